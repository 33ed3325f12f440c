#include "model/weights.h"

#include <cmath>

#include "base/error.h"
#include "model/tensor_names.h"

namespace carat {
namespace {

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string s = "[";
  for (size_t i = 0; i < shape.size(); ++i) s += (i ? ", " : "") + std::to_string(shape[i]);
  return s + "]";
}

class Loader {
 public:
  Loader(const Checkpoint& c, const ModelConfig& config, Ops& ops, Weights& w, const std::function<void(uint64_t, uint64_t)>& progress)
      : c_(c), config_(config), ops_(ops), w_(w), names_(c), progress_(progress) {
    for (const TensorInfo& t : c.tensors()) total_ += t.nbytes;
  }

  // Also asked for what a model may lack: a matrix in a form that is not read is not taken for absent.
  const TensorInfo* find(const std::string& name) const {
    const std::string theirs = names_.in_file(name);
    if (const auto why = c_.why_unread(theirs))
      fail(ErrorCode::unsupported, "{}: tensor {} is stored in a form that Carat does not read: {}; use a GGUF or the unquantised folder", c_.path().string(),
           theirs, *why);
    return c_.find(theirs);
  }
  const TensorInfo& at(const std::string& name) const {
    const TensorInfo* t = find(name);
    return t ? *t : c_.at(names_.in_file(name));
  }

  static void expect(const Checkpoint& c, const TensorInfo& t, const std::vector<int64_t>& shape) {
    std::vector<int64_t> have = t.shape;
    while (have.size() > shape.size() && have.front() == 1) have.erase(have.begin());
    if (have != shape)
      fail(ErrorCode::corrupt, "{}: tensor {} has shape {} where the configuration needs {}", c.path().string(), t.name, shape_text(t.shape),
           shape_text(shape));
  }

  static void expect_rows(const Checkpoint& c, const TensorInfo& t, int64_t rows, int64_t cols) {
    if (t.shape.size() != 2 || t.shape[0] < rows || t.shape[1] != cols)
      fail(ErrorCode::corrupt, "{}: tensor {} has shape {} where the configuration needs at least {} rows of {}", c.path().string(), t.name,
           shape_text(t.shape), rows, cols);
  }

  Vector vector(const std::string& name, int64_t n, bool is_norm = true) {
    const TensorInfo& t = at(name);
    expect(c_, t, {n});
    need_numbers(t);
    Vector v = numbers(t);
    if (is_norm && config_.norm_weights_are_offsets)
      for (float& x : v) x += 1.0f;
    done(t.nbytes);
    w_.bytes += v.size() * sizeof(float);
    return v;
  }

  // Rows [row0, row0 + out) of tensors laid end to end.
  Linear rows(const std::vector<const TensorInfo*>& parts, int64_t row0, int64_t out, int64_t in, float scale = 1.0f) {
    for (const TensorInfo* t : parts) {
      need_numbers(*t);
      if (t->dtype != parts[0]->dtype || t->cols() != in)
        fail(ErrorCode::unsupported, "{}: tensors {} and {} cannot be joined: their types or widths differ", c_.path().string(), parts[0]->name, t->name);
    }
    MatrixSource source;
    source.dtype = parts[0]->dtype, source.in = in, source.out = out, source.scale = scale;
    source.read = [parts, row0](int64_t first, int64_t n, std::byte* to) {
      first += row0;
      for (const TensorInfo* t : parts) {
        const int64_t have = t->rows();
        if (first < have && n > 0) {
          const int64_t take = std::min(n, have - first);
          t->read_rows(first, take, to);
          to += take * t->bytes_per_row(), n -= take, first = 0;
        } else {
          first -= std::min(first, have);
        }
      }
    };
    if (parts.size() == 1) source.panels = parts[0]->panels_of_rows(row0, out);
    Linear l = ops_.place(source);
    w_.bytes += l.bytes;
    if (l.mapped) map(*parts[0], l);
    done(static_cast<uint64_t>(row_bytes(source.dtype, in) * out));
    return l;
  }

  // padded: the file may have more rows than are wanted (a table padded beyond the vocabulary).
  Linear matrix(const std::string& name, int64_t out, int64_t in, bool padded = false) {
    const TensorInfo& t = at(name);
    if (padded) {
      expect_rows(c_, t, out, in);
    } else {
      expect(c_, t, {out, in});
    }
    return rows({&t}, 0, out, in, factor(name));
  }

  LayerWeights layer(int64_t i) {
    const LayerConfig& c = config_.layers[static_cast<size_t>(i)];
    const std::string b = "blk." + std::to_string(i) + ".";
    const int64_t hidden = config_.hidden_size;
    const int64_t q = int64_t{c.attn.num_attention_heads} * c.attn.head_dim, kv = int64_t{c.attn.num_key_value_heads} * c.attn.head_dim;
    LayerWeights w;
    w.input_norm = vector(b + "attn_norm.weight", hidden);
    w.post_attention_norm = vector(b + "post_attention_norm.weight", hidden);
    w.pre_feedforward_norm = vector(b + "ffn_norm.weight", hidden);
    w.post_feedforward_norm = vector(b + "post_ffw_norm.weight", hidden);
    w.q_norm = vector(b + "attn_q_norm.weight", c.attn.head_dim);
    if (c.owns_kv) w.k_norm = vector(b + "attn_k_norm.weight", c.attn.head_dim);
    if (const TensorInfo* fused = find(b + "attn_qkv.weight")) {
      expect(c_, *fused, {q + 2 * kv, hidden});
      const float scale = factor(b + "attn_qkv.weight");
      w.q_proj = rows({fused}, 0, q, hidden, scale);
      if (c.owns_kv) w.k_proj = rows({fused}, q, kv, hidden, scale), w.v_proj = rows({fused}, q + kv, kv, hidden, scale);
    } else {
      w.q_proj = matrix(b + "attn_q.weight", q, hidden);
      if (c.owns_kv) w.k_proj = matrix(b + "attn_k.weight", kv, hidden);
      if (c.owns_kv && !c.k_eq_v) w.v_proj = matrix(b + "attn_v.weight", kv, hidden);
    }
    w.o_proj = matrix(b + "attn_output.weight", hidden, q);
    w.mlp.gate = matrix(b + "ffn_gate.weight", c.intermediate_size, hidden);
    w.mlp.up = matrix(b + "ffn_up.weight", c.intermediate_size, hidden);
    w.mlp.down = matrix(b + "ffn_down.weight", hidden, c.intermediate_size);
    if (find(b + "layer_output_scale.weight")) w.layer_scalar = vector(b + "layer_output_scale.weight", 1, false)[0];
    if (c.has_experts) experts(b, w);
    if (c.has_ple) {
      const int64_t p = config_.hidden_size_per_layer_input;
      w.per_layer_input_gate = matrix(b + "inp_gate.weight", p, hidden);
      w.per_layer_projection = matrix(b + "proj.weight", hidden, p);
      w.post_per_layer_input_norm = vector(b + "post_norm.weight", hidden);
    }
    return w;
  }

  void experts(const std::string& b, LayerWeights& w) {
    const int64_t hidden = config_.hidden_size, width = config_.moe_intermediate_size, n = config_.num_experts;
    w.router = matrix(b + "ffn_gate_inp.weight", n, hidden);
    w.router_scale = vector(b + "ffn_gate_inp.scale", hidden, false);
    const float root = 1.0f / std::sqrt(static_cast<float>(hidden));
    for (float& s : w.router_scale) s *= root;
    w.pre_feedforward_norm_2 = vector(b + "pre_ffw_norm_2.weight", hidden);
    w.post_feedforward_norm_1 = vector(b + "post_ffw_norm_1.weight", hidden);
    w.post_feedforward_norm_2 = vector(b + "post_ffw_norm_2.weight", hidden);
    w.experts.top_k = config_.top_k_experts;
    w.experts.scale = find(b + "ffn_down_exps.scale") ? vector(b + "ffn_down_exps.scale", n, false) : Vector(static_cast<size_t>(n), 1.0f);
    const TensorInfo& down = at(b + "ffn_down_exps.weight");
    expect(c_, down, {n, hidden, width});
    const TensorInfo* gate_up = find(b + "ffn_gate_up_exps.weight");
    const TensorInfo* gate = gate_up ? nullptr : &at(b + "ffn_gate_exps.weight");
    const TensorInfo* up = gate_up ? nullptr : &at(b + "ffn_up_exps.weight");
    if (gate_up) {
      expect(c_, *gate_up, {n, 2 * width, hidden});
    } else {
      expect(c_, *gate, {n, width, hidden});
      expect(c_, *up, {n, width, hidden});
    }
    const Vector gate_scale = factors(b + (gate_up ? "ffn_gate_up_exps.weight" : "ffn_gate_exps.weight"), n);
    // An expert is linear in its up half and its down matrix: their factors go to its output. In a GGUF that of down is already there.
    if (!gate_up) {
      const Vector up_scale = factors(b + "ffn_up_exps.weight", n);
      for (size_t e = 0; e < up_scale.size(); ++e)
        if (up_scale[e] != gate_scale[e]) w.experts.scale[e] *= up_scale[e] / gate_scale[e];
    }
    if (names_.factor_in_file(b + "ffn_down_exps.weight") != names_.in_file(b + "ffn_down_exps.scale")) {
      const Vector down_scale = factors(b + "ffn_down_exps.weight", n);
      for (size_t e = 0; e < down_scale.size(); ++e) w.experts.scale[e] *= down_scale[e];
    }
    for (int64_t e = 0; e < n; ++e) {
      Expert x;
      const float scale = gate_scale[static_cast<size_t>(e)];
      x.gate_up = gate_up ? rows({gate_up}, e * 2 * width, 2 * width, hidden, scale) : joined(*gate, *up, e, width, hidden, scale);
      x.down = rows({&down}, e * hidden, hidden, width);
      w.experts.experts.push_back(std::move(x));
    }
  }

  // A small tensor's values. A rehearsal reads none, and takes a number that is not 1: a factor of 1 is left out.
  Vector numbers(const TensorInfo& t) const { return ops_.rehearsing() ? Vector(static_cast<size_t>(t.elements()), 0.5f) : t.to_f32(); }
  void need_numbers(const TensorInfo& t) const {
    if (!is_float(t.dtype) && !is_quantised(t.dtype))
      fail(ErrorCode::unsupported, "{}: tensor {} is of type {}, which holds no weights", c_.path().string(), t.name, info(t.dtype).name);
  }
  // The factors that NVFP4 keeps apart from a tensor: one for each of its n matrices; 1 where there are none.
  Vector factors(const std::string& name, int64_t n) {
    const TensorInfo* of = find(name);
    const TensorInfo* t = of && (of->dtype == DType::nvfp4 || (of->source && !of->panels)) ? c_.find(names_.factor_in_file(name)) : nullptr;
    if (!t) return Vector(static_cast<size_t>(n), 1.0f);
    expect(c_, *t, {n});
    need_numbers(*t);
    Vector v = numbers(*t);
    for (const float f : v)
      if (!std::isfinite(f) || f == 0) fail(ErrorCode::corrupt, "{}: tensor {} holds {}, no factor of a matrix", c_.path().string(), t->name, f);
    return v;
  }
  float factor(const std::string& name) { return factors(name, 1)[0]; }

 private:
  // An expert's gate and up from two tensors, gate first.
  Linear joined(const TensorInfo& gate, const TensorInfo& up, int64_t e, int64_t width, int64_t hidden, float scale) {
    need_numbers(gate), need_numbers(up);
    if (gate.dtype != up.dtype) fail(ErrorCode::unsupported, "{}: tensors {} and {} have different types", c_.path().string(), gate.name, up.name);
    MatrixSource source;
    source.dtype = gate.dtype, source.in = hidden, source.out = 2 * width, source.scale = scale;
    source.read = [&gate, &up, e, width](int64_t first, int64_t n, std::byte* to) {
      const int64_t from_gate = std::max<int64_t>(0, std::min(n, width - first));
      if (from_gate > 0) gate.read_rows(e * width + first, from_gate, to);
      if (n > from_gate) up.read_rows(e * width + first + from_gate - width, n - from_gate, to + from_gate * gate.bytes_per_row());
    };
    Linear l = ops_.place(source);
    w_.bytes += l.bytes;
    done(static_cast<uint64_t>(gate.bytes_per_row() * 2 * width));
    return l;
  }
  void map(const TensorInfo& t, const Linear& l) {
    w_.mapped_bytes += l.bytes;
    if (!ops_.rehearsing()) t.file->prepare(static_cast<uint64_t>(l.data.get() - t.file->bytes().data()), l.bytes);
  }
  void done(uint64_t bytes) {
    done_ += bytes;
    if (progress_) progress_(done_, total_);
  }

  const Checkpoint& c_;
  const ModelConfig& config_;
  Ops& ops_;
  Weights& w_;
  TensorNames names_;
  const std::function<void(uint64_t, uint64_t)>& progress_;
  uint64_t done_ = 0, total_ = 0;
};

}  // namespace

std::unique_ptr<Weights> load_weights(std::shared_ptr<const Checkpoint> checkpoint, ModelConfig& config, Ops& ops,
                                      const std::function<void(uint64_t, uint64_t)>& progress) {
  auto w = std::make_unique<Weights>();
  w->checkpoint = std::move(checkpoint);
  const Checkpoint& c = *w->checkpoint;
  Loader load(c, config, ops, *w, progress);
  const int64_t hidden = config.hidden_size, p = config.hidden_size_per_layer_input;
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) w->layers.push_back(load.layer(i));
  w->norm = load.vector("output_norm.weight", hidden);
  w->embed_tokens = load.matrix("token_embd.weight", config.vocab_size, hidden, true);
  if (const TensorInfo* head = load.find("output.weight")) {
    const TensorInfo& embedding = load.at("token_embd.weight");
    if (head->offset != embedding.offset || head->file != embedding.file) w->lm_head = load.matrix("output.weight", config.vocab_size, hidden, true);
  }
  if (p > 0) {
    const int64_t layers = config.num_hidden_layers, lower = config.first_shared_layer;
    w->embed_tokens_per_layer = load.at("per_layer_token_embd.weight");
    Loader::expect_rows(c, w->embed_tokens_per_layer, config.vocab_size, layers * p);
    load.need_numbers(w->embed_tokens_per_layer);
    w->embed_tokens_per_layer_factor = load.factor("per_layer_token_embd.weight");
    const TensorInfo& proj = load.at("per_layer_model_proj.weight");
    Loader::expect(c, proj, {layers * p, hidden});
    const float scale = load.factor("per_layer_model_proj.weight");
    w->per_layer_model_projection[0] = load.rows({&proj}, 0, lower * p, hidden, scale);
    if (lower < layers) w->per_layer_model_projection[1] = load.rows({&proj}, lower * p, (layers - lower) * p, hidden, scale);
    w->per_layer_projection_norm = load.vector("per_layer_proj_norm.weight", p);
  }
  // A cache of one tensor is read with the norm and the rope of the layer that owns it.
  for (size_t i = 0; i < config.layers.size(); ++i) {
    AttentionSpec& reader = config.layers[i].attn;
    if (!reader.one_tensor) continue;
    for (size_t j = 0; j < config.layers.size(); ++j) {
      const LayerConfig& owner = config.layers[j];
      if (!owner.owns_kv || owner.attn.kv.group != reader.kv.group || owner.attn.kv.layer != reader.kv.layer) continue;
      reader.one_tensor_k_norm = w->layers[j].k_norm.data();
      reader.one_tensor_rope = &config.layers[j].rope;
    }
  }
  return w;
}

}  // namespace carat
