#pragma once
// The one description of a Gemma layer, for every size, prefill and decode, and every backend.
#include "backend/ops.h"
#include "model/config.h"
#include "model/weights.h"

namespace carat {

// x: [T, hidden]; ple: [T, P] per-layer input of this layer, or empty. Returns [T, hidden].
Tensor decoder_layer(Ops& ops, const LayerConfig& c, const LayerWeights& w, const Batch& b, float eps, Tensor x, Tensor ple);

}  // namespace carat
