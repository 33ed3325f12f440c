#pragma once
// tokenizer.model, as SentencePiece writes it: the pieces with their scores and kinds. Gemma 3's vocabulary in a GGUF is made of these.
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace carat::quant {

struct SentencePiece {
  std::string text;
  float score = 0;
  TokenKind kind = TokenKind::normal;
};

// bytes: the whole file. Fails with corrupt, naming `source`.
std::vector<SentencePiece> read_sentencepiece(std::string_view bytes, const std::string& source);

}  // namespace carat::quant
