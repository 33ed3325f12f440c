// The vocabulary of a folder -> tokenizer.* keys of a GGUF: merges by rank ("gemma4"), or pieces with scores ("llama") where a Gemma 3 folder has tokenizer.model.
#include <algorithm>
#include <array>
#include <charconv>

#include "base/error.h"
#include "base/json.h"
#include "formats/gguf_write.h"
#include "model/raw_config.h"
#include "quant/sentencepiece_file.h"
#include "quant/source.h"
#include "text/folder_template.h"
#include "text/tokenizer_data.h"

namespace carat::quant {
namespace {

constexpr float kNoScore = -1000;  // what the converter writes where scores mean nothing
constexpr JsonLimits kConfigLimits{.max_bytes = size_t{64} << 20, .max_depth = 32};

struct Entry {
  std::string text;
  float score = kNoScore;
  TokenKind kind = TokenKind::normal;
};

struct Vocabulary {
  bool by_merges = true;
  std::vector<Entry> entries;
  std::vector<std::string> merges;

  int64_t find(std::string_view text) const {
    const auto it = std::find_if(entries.begin(), entries.end(), [&](const Entry& e) { return e.text == text; });
    return it == entries.end() ? -1 : it - entries.begin();
  }
};

std::string name_of(const Checkpoint& c, std::string_view file) { return fmt::format("{}/{}", c.path().string(), file); }

// Parsers of answers have to see these, so they are no control tokens.
bool stays_visible(std::string_view text) {
  static constexpr std::array<std::string_view, 7> kVisible = {"<|channel>",       "<channel|>",       "<|tool_call>", "<tool_call|>",
                                                               "<|tool_response>", "<tool_response|>", "<|\"|>"};
  return std::find(kVisible.begin(), kVisible.end(), text) != kVisible.end();
}

Vocabulary from_tokenizer_json(const Checkpoint& c, const std::string& text) {
  const TokenizerData d = read_json_tokenizer(text, name_of(c, "tokenizer.json"));
  Vocabulary v;
  for (size_t i = 0; i < d.texts.size(); ++i) {
    const bool visible = d.kinds[i] == TokenKind::control && stays_visible(d.texts[i]);
    v.entries.push_back({std::string(d.texts[i]), kNoScore, visible ? TokenKind::user_defined : d.kinds[i]});
  }
  for (const auto& [left, right] : d.merges) {
    std::string merge(left);
    merge += ' ';
    merge += right;
    v.merges.push_back(std::move(merge));
  }
  return v;
}

Json tokenizer_config(const Checkpoint& c) {
  const auto text = c.side_file("tokenizer_config.json");
  if (!text) return Json::object();
  Json config = parse_json(*text, name_of(c, "tokenizer_config.json"), kConfigLimits);
  if (!config.is_object()) fail(ErrorCode::corrupt, "{}: not a JSON object", name_of(c, "tokenizer_config.json"));
  return config;
}

bool looks_special(std::string_view text) {
  const auto between = [&](std::string_view front, std::string_view back) { return text.starts_with(front) && text.ends_with(back); };
  return text == "<pad>" || text == "<mask>" || text == "<2mass>" || text == "[@BOS@]" || between("<|", "|>") || between("<unused", ">");
}

// U+2581 as what it stands for.
std::string with_spaces(std::string_view text) {
  constexpr std::string_view kMark = "\xe2\x96\x81";
  std::string out;
  while (!text.empty()) {
    const bool mark = text.starts_with(kMark);
    out += mark ? ' ' : text.front();
    text.remove_prefix(mark ? kMark.size() : 1);
  }
  return out;
}

// tokenizer_config.json may say more about some of the pieces.
void apply_added_tokens(const Json& config, std::vector<Entry>& entries) {
  const auto added = config.find("added_tokens_decoder");
  if (added == config.end() || !added->is_object()) return;
  for (const auto& [key, token] : added->items()) {
    size_t id = entries.size();
    std::from_chars(key.data(), key.data() + key.size(), id);
    if (id >= entries.size() || !token.is_object() || !token.contains("content") || !token["content"].is_string()) continue;
    Entry& e = entries[id];
    e.text = token["content"].get<std::string>();
    const bool special = token.contains("special") && token["special"].is_boolean() && token["special"].get<bool>();
    e.kind = special || looks_special(e.text) ? TokenKind::control : TokenKind::user_defined;
    e.score = kNoScore;
    if (e.kind != TokenKind::user_defined) continue;
    e.text = with_spaces(e.text);
  }
}

Vocabulary read_vocabulary(const Checkpoint& c) {
  if (read_hf_config(c).architecture == "gemma3") {
    if (const auto pieces = c.side_file("tokenizer.model")) {
      Vocabulary v;
      v.by_merges = false;
      for (SentencePiece& p : read_sentencepiece(*pieces, name_of(c, "tokenizer.model"))) v.entries.push_back({std::move(p.text), p.score, p.kind});
      apply_added_tokens(tokenizer_config(c), v.entries);
      return v;
    }
  }
  const auto text = c.side_file("tokenizer.json");
  return text ? from_tokenizer_json(c, *text) : Vocabulary{};
}

// "<eos>", or {"content": "<eos>", ...}.
std::string token_text(const Json& config, const char* key, const char* otherwise) {
  const auto it = config.find(key);
  if (it == config.end()) return otherwise;
  if (it->is_string()) return it->get<std::string>();
  if (it->is_object() && it->contains("content") && (*it)["content"].is_string()) return (*it)["content"].get<std::string>();
  return otherwise;
}

}  // namespace

int64_t folder_vocabulary_size(const Checkpoint& c) { return static_cast<int64_t>(read_vocabulary(c).entries.size()); }

void write_folder_vocabulary(const Source& source, GgufWriter& out) {
  const Checkpoint& c = *source.checkpoint;
  Vocabulary v = read_vocabulary(c);
  if (v.entries.empty()) return;                // served by token ids
  for (const SourceTensor& t : source.tensors)  // no token without a row
    if (t.name == "token_embd.weight") v.entries.resize(std::min(v.entries.size(), static_cast<size_t>(t.shape[0])));
  out.add("tokenizer.ggml.model", v.by_merges ? "gemma4" : "llama");
  if (!v.by_merges) out.add("tokenizer.ggml.pre", "default");
  std::vector<std::string> texts;
  std::vector<float> scores;
  std::vector<int32_t> kinds;
  for (const Entry& e : v.entries) {
    texts.push_back(e.text), scores.push_back(e.score), kinds.push_back(static_cast<int32_t>(e.kind));
  }
  out.add_array("tokenizer.ggml.tokens", texts);
  out.add_array("tokenizer.ggml.scores", scores);
  out.add_array("tokenizer.ggml.token_type", kinds);
  if (v.by_merges) out.add_array("tokenizer.ggml.merges", v.merges);
  const Json config = tokenizer_config(c);
  struct Special {
    const char *key, *name, *otherwise;
  };
  for (const Special& s : {Special{"bos_token", "bos", "<bos>"}, Special{"eos_token", "eos", "<eos>"}, Special{"unk_token", "unknown", "<unk>"},
                           Special{"pad_token", "padding", "<pad>"}, Special{"mask_token", "mask", "<mask>"}})
    if (const int64_t id = v.find(token_text(config, s.key, s.otherwise)); id >= 0)
      out.add(fmt::format("tokenizer.ggml.{}_token_id", s.name), static_cast<uint32_t>(id));
  out.add("tokenizer.ggml.add_bos_token", true);
  out.add("tokenizer.ggml.add_sep_token", false);
  out.add("tokenizer.ggml.add_eos_token", false);
  const std::string chat = folder_template([&](std::string_view name) { return c.side_file(name); }, c.path().string());
  if (!chat.empty()) out.add("tokenizer.chat_template", chat);
  out.add("tokenizer.ggml.add_space_prefix", false);
}

}  // namespace carat::quant
