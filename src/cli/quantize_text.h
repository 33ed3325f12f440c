#pragma once
// The texts that `carat quantize` runs a model over, as token ids.
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "quant/source.h"
#include "text/tokenizer.h"

namespace carat::cli {

class QuantizeText {
 public:
  // Fails with unsupported when the model has no vocabulary, and with exhausted when it does not fit into memory to be run.
  QuantizeText(const quant::Source& source, const std::filesystem::path& in, int threads);
  // A file, or stdin ("-"). Fails as read_input() does, and with invalid_argument for less than two tokens.
  std::vector<int32_t> encode(const std::string& path) const;
  int32_t bos() const { return tokenizer_->bos_id(); }

 private:
  std::shared_ptr<const Tokenizer> tokenizer_;
};

// Takes the last tenth away, at most as many tokens as divergence is measured on, and gives it back. Nothing when there is too little of it.
std::vector<int32_t> split_held_out(std::vector<int32_t>& ids);

}  // namespace carat::cli
