#pragma once
// The vocabularies the tests encode with, each loaded once, and what a test says when one is not there.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

#include "support/golden.h"
#include "support/real_model.h"
#include "text/tokenizer.h"

namespace carat::test {

using TokenizerPtr = std::shared_ptr<const Tokenizer>;

inline std::filesystem::path text_data(const std::string& name) { return std::filesystem::path(CARAT_SOURCE_DIR) / "tests" / "text" / "data" / name; }

inline std::filesystem::path gemma4_vocab_file() {
  const char* path = std::getenv("CARAT_GEMMA4_VOCAB");
  return path ? std::filesystem::path(path) : std::filesystem::path(CARAT_SOURCE_DIR) / "models" / "ggml-vocab-gemma-4.gguf";
}

inline const TokenizerPtr& gemma4_tokenizer() {
  static const TokenizerPtr tokenizer = Tokenizer::load(gemma4_vocab_file());
  return tokenizer;
}
inline const TokenizerPtr& gemma3_tokenizer() {
  static const TokenizerPtr tokenizer = Tokenizer::load(real_model());
  return tokenizer;
}
inline const TokenizerPtr& tiny_tokenizer() {
  static const TokenizerPtr tokenizer = Tokenizer::load(text_data("tiny_tokenizer.json"));
  return tokenizer;
}

// Empty when the file is there; else the reason to skip.
inline std::string missing_gemma4() {
  if (std::filesystem::exists(gemma4_vocab_file())) return "";
  return gemma4_vocab_file().string() + " is not there: get it with ./dev model, or name it in CARAT_GEMMA4_VOCAB";
}
inline std::string missing_gemma3() {
  if (std::filesystem::exists(real_model())) return "";
  return real_model().string() + " is not there: get it with ./dev model, or name it in CARAT_MODEL_270M";
}
inline std::string missing_golden() { return have_golden() ? "" : (shared_dir() / "golden").string() + " is not there: name its parent in CARAT_SHARED"; }

inline constexpr EncodeOptions kText = {.add_bos = false, .parse_special = false};
inline constexpr EncodeOptions kParsed = {.add_bos = false, .parse_special = true};

using Ids = std::vector<TokenId>;

}  // namespace carat::test
