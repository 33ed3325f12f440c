#pragma once
// What a file says about its tokenizer, read and checked; from_gguf and from_json fill it, make_tokenizer builds on it.
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/tokenizer.h"

namespace carat {

struct TokenizerData {
  std::string source;
  std::shared_ptr<const void> keep;  // owns what the views below look at, where the checkpoint does not
  std::vector<std::string_view> texts;
  std::vector<TokenKind> kinds;
  bool user_defined_always = false;                                   // those pieces are matched in any text, also where specials are not parsed
  bool by_merges = true;                                              // else by scores
  std::vector<std::pair<std::string_view, std::string_view>> merges;  // lowest rank first
  std::vector<float> scores;
  TokenId bos = -1;
  std::vector<TokenId> eos, suppress;
  std::string chat_template;
};

// The views look into the checkpoint: build the tokenizer while it lives.
TokenizerData read_gguf_tokenizer(const Checkpoint& checkpoint);
TokenizerData read_json_tokenizer(const std::string& text, const std::string& source);  // tokenizer.json
std::shared_ptr<const Tokenizer> make_tokenizer(TokenizerData data);

}  // namespace carat
