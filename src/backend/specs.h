#pragma once
// The nouns of the verbs in ops.h: matrices as a backend keeps them, and what attention and rope need to know about a layer.
#include <cstdint>
#include <memory>
#include <vector>

#include "tensor/dtype.h"

namespace carat {

// A weight matrix [out, in] placed on a backend. `data` is in the backend's own layout (CPU: panels of 16 outputs; ref: rows as in the file).
struct Linear {
  DType dtype = DType::f32;
  int64_t in = 0;
  int64_t out = 0;
  float scale = 1.0f;                     // a factor on the result (NVFP4's separate tensor)
  std::shared_ptr<const std::byte> data;  // null: there is no such matrix
  uint64_t bytes = 0;                     // resident bytes of data
  bool mapped = false;                    // they are pages of a file

  explicit operator bool() const { return data != nullptr; }
};

struct GatedMlp {
  Linear gate, up;  // [F, D]
  Linear down;      // [D, F]
};

// One expert of a layer. gate_up holds gate's rows first.
struct Expert {
  Linear gate_up;  // [2 F, D]
  Linear down;     // [D, F]
};
struct ExpertStack {
  std::vector<Expert> experts;
  std::vector<float> scale;  // [E], on each expert's output (per_expert_scale)
  int64_t top_k = 0;
};

// Which experts a row uses: [T, top_k], descending probability, weights sum to 1 before the per-expert scale.
struct Routing {
  const int32_t* experts = nullptr;
  const float* weights = nullptr;
  int64_t rows = 0;
  int64_t top_k = 0;
};

// Rotary embedding of a layer: pairs (i, i + head_dim / 2) for i < freqs.size(), by angle position * freqs[i].
struct RopeSpec {
  std::vector<float> freqs;  // f_i > 0 and finite, radians a position; dims beyond are left alone
};

struct KvGroupRef {
  int32_t group = 0;  // 0 sliding, 1 full
  int32_t layer = 0;  // index among the layers of the group that own K/V
};

struct AttentionSpec {
  int32_t num_attention_heads = 0;
  int32_t num_key_value_heads = 0;
  int32_t head_dim = 0;
  int32_t sliding_window = 0;                // 0: none (full layer); else a row sees this many positions, its own included
  float scale = 1.0f;                        // on the scores
  KvGroupRef kv;                             // where K/V are read (and written, if the layer owns them)
  bool one_tensor = false;                   // the cache keeps n only; K is rebuilt from it (architecture: one tensor for k = v)
  const float* one_tensor_k_norm = nullptr;  // [head_dim], of the layer that owns the cache
  const RopeSpec* one_tensor_rope = nullptr;
};

}  // namespace carat
