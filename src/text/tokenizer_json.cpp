// tokenizer.json -> TokenizerData, by simdjson: 32 MB in well under a quarter of a second.
#include <simdjson.h>

#include "base/error.h"
#include "text/tokenizer_data.h"
#include "text/vocab.h"

namespace carat {
namespace {

using simdjson::dom::element;

[[noreturn]] void bad(const std::string& source, const char* what) { fail(ErrorCode::corrupt, "{}: {}", source, what); }

std::string_view text_of(element e, const std::string& source, const char* what) {
  std::string_view s;
  if (e.get_string().get(s)) bad(source, what);
  return s;
}

std::pair<std::string_view, std::string_view> merge_of(element e, const std::string& source) {  // "left right" or ["left", "right"]
  std::string_view s;
  if (!e.get_string().get(s)) {
    const size_t space = s.size() < 2 ? std::string_view::npos : s.find(' ', 1);
    if (space == std::string_view::npos || space + 1 == s.size()) bad(source, "a merge is not of the form 'left right'");
    return {s.substr(0, space), s.substr(space + 1)};
  }
  simdjson::dom::array pair;
  if (e.get_array().get(pair) || pair.size() != 2) bad(source, "a merge is neither a string nor a pair");
  return {text_of(pair.at(0).value_unsafe(), source, "a merge's left part is not a string"),
          text_of(pair.at(1).value_unsafe(), source, "a merge's right part is not a string")};
}

}  // namespace

TokenizerData read_json_tokenizer(const std::string& text, const std::string& source) {
  TokenizerData d;
  d.source = source;
  d.user_defined_always = true;  // added tokens that are not special
  auto owner = std::make_shared<simdjson::dom::parser>();
  simdjson::dom::parser& parser = *owner;
  d.keep = owner;
  element root, vocab_element, merges_element;
  simdjson::dom::object vocab;
  simdjson::dom::array merges, added;
  if (const auto error = parser.parse(text).get(root)) fail(ErrorCode::corrupt, "{}: not valid JSON ({})", source, simdjson::error_message(error));
  std::string_view type;
  if (!root["model"]["type"].get_string().get(type) && type != "BPE") fail(ErrorCode::unsupported, "{}: tokenizer model '{}' is not known (BPE)", source, type);
  if (root["model"]["vocab"].get(vocab_element) || vocab_element.get_object().get(vocab)) bad(source, "model.vocab is missing or not an object");
  if (root["model"]["merges"].get(merges_element) || merges_element.get_array().get(merges)) bad(source, "model.merges is missing or not a list");
  bool byte_fallback = false;
  if (root["model"]["byte_fallback"].get_bool().get(byte_fallback)) byte_fallback = false;  // absent

  std::vector<bool> seen;
  const auto set = [&](std::string_view piece, int64_t id, TokenKind kind) {
    if (id < 0 || id >= static_cast<int64_t>(kMaxVocab)) fail(ErrorCode::corrupt, "{}: token id {} is outside 0..{}", source, id, kMaxVocab - 1);
    const size_t i = static_cast<size_t>(id);
    if (i >= d.texts.size()) d.texts.resize(i + 1), d.kinds.resize(i + 1, TokenKind::unused), seen.resize(i + 1);
    if (seen[i] && d.texts[i] != piece) fail(ErrorCode::corrupt, "{}: token id {} is given twice", source, id);
    d.texts[i] = piece, d.kinds[i] = kind, seen[i] = true;
  };
  const int64_t end = int64_t{1 << 16} + static_cast<int64_t>(vocab.size()) * 64;  // ids need not come in order, nor without holes
  for (const auto& [piece, value] : vocab) {
    int64_t id = 0;
    if (value.get_int64().get(id)) bad(source, "an id in model.vocab is not a whole number");
    if (id > end) bad(source, "the ids of model.vocab are scattered far beyond their number");
    const bool byte = byte_fallback && piece.size() == 6 && piece.substr(0, 3) == "<0x" && piece.back() == '>';
    set(piece, id, byte ? TokenKind::byte : TokenKind::normal);
  }
  if (!root["added_tokens"].get_array().get(added))
    for (element t : added) {
      int64_t id = 0;
      bool special = false;
      std::string_view content;
      if (t["id"].get_int64().get(id) || t["content"].get_string().get(content)) bad(source, "an entry of added_tokens has no id or content");
      if (t["special"].get_bool().get(special)) special = false;  // absent
      if (id > end) bad(source, "the ids of added_tokens are scattered far beyond their number");
      set(content, id, special ? TokenKind::control : TokenKind::user_defined);
    }
  d.merges.reserve(merges.size());
  for (element m : merges) d.merges.push_back(merge_of(m, source));
  for (size_t i = 0; i < d.texts.size(); ++i) {
    if (d.texts[i] == "<bos>") d.bos = static_cast<TokenId>(i);
    if (d.texts[i] == "<eos>") d.eos.push_back(static_cast<TokenId>(i));
  }
  return d;
}

}  // namespace carat
