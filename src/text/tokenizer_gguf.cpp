// tokenizer.ggml.* metadata -> TokenizerData.
#include <limits>

#include "base/error.h"
#include "formats/checkpoint.h"
#include "text/tokenizer_data.h"

namespace carat {

TokenizerData read_gguf_tokenizer(const Checkpoint& c) {
  TokenizerData d;
  d.source = c.path().string();
  const auto model = c.meta_string("tokenizer.ggml.model");
  if (!model) fail(ErrorCode::not_found, "{}: no tokenizer in this file (tokenizer.ggml.model is missing)", d.source);
  if (*model != "gemma4" && *model != "llama") fail(ErrorCode::unsupported, "{}: tokenizer.ggml.model '{}' is not known (gemma4, llama)", d.source, *model);
  d.by_merges = *model == "gemma4";      // the scores of such files mean nothing
  d.user_defined_always = !d.by_merges;  // SentencePiece does so

  const MetaStrings* tokens = c.meta_strings("tokenizer.ggml.tokens");
  if (!tokens) fail(ErrorCode::corrupt, "{}: metadata key tokenizer.ggml.tokens is missing", d.source);
  d.texts.assign(tokens->begin(), tokens->end());
  const auto kinds = c.meta_ints("tokenizer.ggml.token_type");
  if (!kinds) fail(ErrorCode::corrupt, "{}: metadata key tokenizer.ggml.token_type is missing", d.source);
  if (kinds->size() != d.texts.size())
    fail(ErrorCode::corrupt, "{}: tokenizer.ggml.token_type has {} entries for {} tokens", d.source, kinds->size(), d.texts.size());
  d.kinds.reserve(kinds->size());
  for (size_t i = 0; i < kinds->size(); ++i) {
    const int64_t k = (*kinds)[i];
    if (k < 1 || k > 6) fail(ErrorCode::corrupt, "{}: tokenizer.ggml.token_type is {} for token {}, outside 1..6", d.source, k, i);
    d.kinds.push_back(static_cast<TokenKind>(k));
  }
  if (d.by_merges) {
    const MetaStrings* merges = c.meta_strings("tokenizer.ggml.merges");
    if (!merges) fail(ErrorCode::corrupt, "{}: metadata key tokenizer.ggml.merges is missing", d.source);
    d.merges.reserve(merges->size());
    for (size_t i = 0; i < merges->size(); ++i) {
      const std::string_view m = (*merges)[i];
      const size_t space = m.size() < 2 ? std::string_view::npos : m.find(' ', 1);
      if (space == std::string_view::npos || space + 1 == m.size()) fail(ErrorCode::corrupt, "{}: merge {} is not of the form 'left right'", d.source, i);
      d.merges.emplace_back(m.substr(0, space), m.substr(space + 1));
    }
  } else {
    const auto scores = c.meta_floats("tokenizer.ggml.scores");
    if (!scores) fail(ErrorCode::corrupt, "{}: metadata key tokenizer.ggml.scores is missing", d.source);
    d.scores.assign(scores->begin(), scores->end());
  }

  const auto id = [&](const char* key) -> std::optional<TokenId> {
    const auto v = c.meta_int(key);
    if (!v) return std::nullopt;
    if (*v < 0 || *v >= static_cast<int64_t>(d.texts.size()))
      fail(ErrorCode::corrupt, "{}: {} is {}, outside the vocabulary of {}", d.source, key, *v, d.texts.size());
    return static_cast<TokenId>(*v);
  };
  if (const auto bos = id("tokenizer.ggml.bos_token_id")) d.bos = *bos;
  for (const char* key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"})
    if (const auto eos = id(key)) d.eos.push_back(*eos);
  if (const auto suppress = c.meta_ints("tokenizer.ggml.suppress_tokens"))
    for (int64_t s : *suppress) {
      if (s < 0 || s >= static_cast<int64_t>(d.texts.size()))
        fail(ErrorCode::corrupt, "{}: tokenizer.ggml.suppress_tokens names {}, outside the vocabulary", d.source, s);
      d.suppress.push_back(static_cast<TokenId>(s));
    }
  d.chat_template = c.meta_string("tokenizer.chat_template").value_or("");
  return d;
}

}  // namespace carat
