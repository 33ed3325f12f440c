#pragma once
// What the name of a folder says of a model, and its size in words: as llama.cpp's converter takes them for the metadata of a GGUF.
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "quant/source.h"

namespace carat::quant {

// "gemma-3-270m-it" -> gemma-3, it, -, 270M. What is not said is empty.
struct ModelId {
  std::string basename, finetune, version, size_label;
};

// name: without the owner. parameters: of the model; a size in the name that is far from it is taken for something else (a length of context).
ModelId parse_model_id(std::string_view name, int64_t parameters);

// For people: "tiny-e2b" -> "Tiny E2B". Words with capitals, versions and words that start with a digit stay as they are.
std::string title_of(std::string_view name);

int64_t parameters_of(std::span<const SourceTensor> tensors);
// "270M", "1.5B"; with experts their number and what one of them takes together with all that is shared: "128x4.0B".
std::string size_label_of(std::span<const SourceTensor> tensors);

}  // namespace carat::quant
