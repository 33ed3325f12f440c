#pragma once
// What `--type` means: which type each tensor of a file gets. The mixtures give each tensor the type that llama.cpp's llama-quantize gives it.
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/dtype.h"

namespace carat::quant {

// How a mixture departs from its base type.
enum class Mixture { none, keep, q2_k, q2_k_s, q3_k_m, q3_k_l, q4_k_s, q4_k_m, q5_k_m, q4_0, q5_0, iq4, mxfp4_moe };

struct Recipe {
  std::string_view name;  // "q4_k_m"
  DType base;
  Mixture mixture;
  int32_t file_type;           // general.file_type; negative: as it is
  std::string_view also = {};  // another name
};

std::span<const Recipe> all_recipes();
// Any case. Fails with invalid_argument, listing the names.
const Recipe& find_recipe(std::string_view name);
// A type of a tensor by its name ("q4_k", any case). Fails with invalid_argument.
DType find_type(std::string_view name);

// What the rules look at.
struct TensorShape {
  std::string name;            // GGUF's
  std::vector<int64_t> shape;  // PyTorch's order
  DType dtype;                 // as it is; kept where a tensor is not quantised
};
struct ModelShape {
  int64_t num_layers = 0;
  int64_t num_experts = 0;        // 0: none
  int64_t heads_per_kv_head = 1;  // of the first layer
};

// `PATTERN=TYPE`: tensors whose name has a match of the regular expression (POSIX extended).
struct TypeOverride {
  std::string pattern;
  DType type;
};

struct ChosenType {
  DType type;
  DType wanted;          // what the rule said, before the rows turned out to be no whole blocks of it
  bool quantise = true;  // false: the tensor is of a kind that keeps its type
};

// One for each tensor. Fails with invalid_argument on a pattern that is no regular expression or matches no tensor whose type may change.
std::vector<ChosenType> choose_types(const Recipe& recipe, std::span<const TensorShape> tensors, const ModelShape& model,
                                     std::span<const TypeOverride> overrides, bool has_importance);

}  // namespace carat::quant
