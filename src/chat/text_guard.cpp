#include "chat/text_guard.h"

#include <algorithm>
#include <array>
#include <bitset>
#include <set>

#include "base/error.h"
#include "base/utf8.h"

namespace carat {
namespace {

constexpr uint32_t kPrivate = 0xF0000, kBlock = 0x1000, kBlocks = 31;  // planes 15 and 16, without the last block, which holds non-characters
constexpr uint32_t kWords = 0, kEdges = 0x80;                          // within a block: ASCII letters and digits; edges

bool is_word(uint32_t c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); }

template <typename Fn>
void for_each_char(std::string_view text, Fn&& fn) {
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = utf8_decode(text.substr(at));
    const size_t length = c.length == 0 ? 1 : static_cast<size_t>(c.length);
    fn(c.length == 0 ? uint32_t{0xFFFD} : c.code, text.substr(at, length));
    at += length;
  }
}

// Members of a conversation, a call and a tool that are its form; whoever named them was not the speaker.
constexpr std::array<std::string_view, 14> kForm = {"role",      "content",           "type",           "text",     "tool_calls",   "id",        "function",
                                                    "reasoning", "reasoning_content", "tool_responses", "response", "tool_call_id", "arguments", "name"};
constexpr std::array<std::string_view, 6> kRoles = {"system", "developer", "user", "assistant", "model", "tool"};
// Words of JSON Schema that templates look for. None of them is a part of a control token.
constexpr std::array<std::string_view, 28> kSchemaWords = {"name",     "description", "parameters", "strict", "type",   "properties", "required",
                                                           "nullable", "enum",        "items",      "anyOf",  "oneOf",  "allOf",      "default",
                                                           "minimum",  "maximum",     "format",     "title",  "const",  "pattern",    "string",
                                                           "number",   "integer",     "boolean",    "array",  "object", "null",       "additionalProperties"};

// In any case: templates look for "STRING", tools are given with "String".
bool is_schema_word(std::string_view word) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return std::any_of(kSchemaWords.begin(), kSchemaWords.end(), [&](std::string_view known) {
    return std::equal(word.begin(), word.end(), known.begin(), known.end(), [&](char a, char b) { return lower(a) == lower(b); });
  });
}

template <size_t N>
bool is_one_of(std::string_view word, const std::array<std::string_view, N>& words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

}  // namespace

ControlTexts::ControlTexts(const Tokenizer& tokenizer) {
  std::set<uint32_t> edges;
  for (TokenId id = 0; id < tokenizer.vocab_size(); ++id) {
    const TokenKind kind = tokenizer.kind(id);
    if (kind == TokenKind::normal || kind == TokenKind::byte || kind == TokenKind::unused) continue;
    const std::string_view text = tokenizer.piece(id);
    if (text.empty()) continue;
    // Runs of spaces and newlines are user-defined in some files: they are text.
    if (kind == TokenKind::user_defined && !(text.front() == '<' && text.back() == '>')) continue;
    texts_.add(text, id, "the vocabulary");
    uint32_t first = 0, last = 0;
    for_each_char(text, [&](uint32_t code, std::string_view bytes) {
      if (bytes.data() == text.data()) first = code;
      last = code;
    });
    edges.insert(first);
    edges.insert(last);
  }
  edges_.assign(edges.begin(), edges.end());
  if (edges_.size() > kBlock - kEdges)
    fail(ErrorCode::unsupported, "the control tokens begin with {} characters, the vocabulary, take --chat-template builtin", edges_.size());
}

TextGuard::TextGuard(const ControlTexts& controls, std::string_view chat_template, const Json& variables) : edges_(controls.edges()) {
  std::bitset<kBlocks> taken;
  const auto take = [&](std::string_view text) {
    for_each_char(text, [&](uint32_t code, std::string_view) {
      if (code >= kPrivate && (code - kPrivate) / kBlock < kBlocks) taken.set((code - kPrivate) / kBlock);
    });
  };
  take(chat_template);
  take(variables.dump(-1, ' ', false, Json::error_handler_t::replace));
  uint32_t block = 0;
  while (block < kBlocks && taken[block]) ++block;
  if (block == kBlocks) fail(ErrorCode::unsupported, "the conversation uses all characters of private use, messages, take --chat-template builtin");
  base_ = kPrivate + block * kBlock;
}

std::string TextGuard::replaced(std::string_view text, bool strict) const {
  std::string out;
  out.reserve(text.size());
  for_each_char(text, [&](uint32_t code, std::string_view bytes) {
    const auto edge = std::lower_bound(edges_.begin(), edges_.end(), code);
    if (edge != edges_.end() && *edge == code) {
      utf8_append(base_ + kEdges + static_cast<uint32_t>(edge - edges_.begin()), out);
    } else if (strict && is_word(code)) {
      utf8_append(base_ + kWords + code, out);
    } else {
      out += bytes;
    }
  });
  return out;
}

Json TextGuard::replaced(const Json& value, Place place, bool strict) const {
  if (value.is_string()) {
    const std::string& text = value.get_ref<const std::string&>();
    return replaced(text, strict && !(place != Place::structure && is_schema_word(text)));
  }
  if (value.is_array()) {
    Json out = Json::array();
    for (const Json& item : value) out.push_back(replaced(item, place, strict));
    return out;
  }
  if (!value.is_object()) return value;
  Json::object_t members;
  for (const auto& [key, item] : value.items()) {
    const bool form = place != Place::free && (is_one_of(key, kForm) || (place == Place::function && is_schema_word(key)));
    const bool word = place == Place::free && is_schema_word(key);
    std::string name = form || word ? key : replaced(key, strict);
    const bool kept =
        place == Place::structure && (key == "type" || (key == "role" && item.is_string() && is_one_of(item.get_ref<const std::string&>(), kRoles)));
    Place within = place;
    if (place == Place::structure && key == "function") within = Place::function;
    if (place == Place::function || key == "arguments" || key == "response") within = Place::free;
    if (place == Place::structure && key == "content" && item.is_object()) within = Place::free;
    Json inner = kept ? item : replaced(item, within, strict);
    members.push_back({std::move(name), std::move(inner)});
  }
  return members;
}

Json TextGuard::guarded(const Json& variables, bool strict) const {
  Json out = variables;
  out["messages"] = replaced(variables["messages"], Place::structure, strict);
  if (variables["tools"].is_array()) out["tools"] = replaced(variables["tools"], Place::structure, strict);
  return out;
}

std::string TextGuard::restored(std::string_view text) const {
  std::string out;
  out.reserve(text.size());
  for_each_char(text, [&](uint32_t code, std::string_view bytes) {
    if (code < base_ || code >= base_ + kBlock) {
      out += bytes;
    } else if (code - base_ >= kEdges && code - base_ - kEdges < edges_.size()) {
      utf8_append(edges_[code - base_ - kEdges], out);
    } else {
      utf8_append(code - base_ - kWords, out);
    }
  });
  return out;
}

}  // namespace carat
