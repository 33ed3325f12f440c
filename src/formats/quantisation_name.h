#pragma once
// What a Hugging Face folder says about its quantisation. For messages only: what is read is decided by the tensors.
#include <string>

namespace carat {

class Checkpoint;

// "compressed-tensors float-quantized", "modelopt FP8": method and format of quantization_config in config.json, else of hf_quant_config.json. Fit to be shown;
// empty when nothing is said or the file cannot be read.
std::string quantisation_name(const Checkpoint& checkpoint);

}  // namespace carat
