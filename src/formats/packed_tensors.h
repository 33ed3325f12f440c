#pragma once
// 4-bit forms of Hugging Face folders: several tensors that make one matrix become that one. Names and shapes of the tensors decide; a config is not asked.
//
//   compressed-tensors "pack-quantized"          X.weight_packed I32, X.weight_scale, X.weight_shape, perhaps X.weight_zero_point
//   compressed-tensors "nvfp4-pack-quantized"    X.weight_packed U8, X.weight_scale F8_E4M3, X.weight_global_scale (the reciprocal of the factor)
//   compressed-tensors "mxfp4-pack-quantized"    X.weight_packed U8, X.weight_scale U8 or F8_E8M0
//   ModelOpt NVFP4, MXFP4                        X.weight U8, X.weight_scale, X.weight_scale_2 (the factor, NVFP4 only)
//   ModelOpt, experts of a layer in one tensor   X U8, X_weight_scale, X_weight_scale_2
#include <string>
#include <vector>

#include "formats/checkpoint.h"

namespace carat {

// A matrix that is there in a form that is not read.
struct UnreadTensor {
  std::string name;  // of the matrix: X.weight
  std::string why;   // "2-bit codes (I32)"
};

// In place of the parts above come X.weight (X for experts of a layer in one tensor), in the type that holds it exactly (packed_rows.h), and for NVFP4 X.scale, F32:
// one factor a matrix. Scales of activations and of K/V caches go. Matrices in forms that are not read stay as they are and are returned; those of the vision and
// audio towers stay as they are. Fails with corrupt, naming file and tensor, when parts are missing, do not fit together, or hold no finite scale.
std::vector<UnreadTensor> unite_packed_tensors(std::vector<TensorInfo>& tensors);

// Factors as a tensor [n] in F32 that is said to lie where `origin` does.
TensorInfo factors_tensor(std::string name, std::vector<float> values, const TensorInfo& origin);

}  // namespace carat
