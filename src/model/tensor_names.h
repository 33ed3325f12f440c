#pragma once
// Names of tensors: canonical (= GGUF's) <-> Hugging Face's.
#include <string>
#include <string_view>

namespace carat {

class Checkpoint;

// Finds tensors by canonical name ("blk.3.attn_q.weight") in either kind of file.
class TensorNames {
 public:
  explicit TensorNames(const Checkpoint& checkpoint);
  // The name this checkpoint uses for a canonical one, whether or not it has the tensor.
  std::string in_file(std::string_view canonical) const;
  // The other way: the canonical name of a tensor of this checkpoint; empty: it is not of the text model (a tower, an output head that is tied).
  std::string canonical(std::string_view in_file) const;
  // Where it keeps the factor of a matrix in NVFP4.
  std::string factor_in_file(std::string_view canonical) const;

 private:
  bool hf_ = false;
  std::string prefix_;  // "model.language_model.", "language_model.model." or "model."
};

}  // namespace carat
