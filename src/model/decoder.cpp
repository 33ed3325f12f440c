// Token ids to logits: embed -> layers -> norm -> head.
#include <cmath>

#include "base/error.h"
#include "model/decoder_layer.h"
#include "model/model.h"
#include "tensor/dequantise.h"

namespace carat {
namespace {

// The per-layer inputs of layers [first, first + n) as [T, n * P]: rows of the table in the file, joined with a projection of the embedding.
// part: 0 for the layers that own K/V, 1 for those that share.
Tensor per_layer_inputs(Ops& ops, const ModelConfig& c, const Weights& w, std::span<const int32_t> ids, Tensor x, int part) {
  const int64_t p = c.hidden_size_per_layer_input;
  const int64_t first = part == 0 ? 0 : c.first_shared_layer;
  const int64_t n = (part == 0 ? c.first_shared_layer : c.num_hidden_layers) - first;
  const TensorInfo& table = w.embed_tokens_per_layer;
  const float scale = std::sqrt(static_cast<float>(p)) * w.embed_tokens_per_layer_factor;
  // Whole blocks that hold the columns wanted.
  const int64_t block = info(table.dtype).block_elems;
  const int64_t begin = first * p / block * block, end = ((first + n) * p + block - 1) / block * block;
  const int64_t skip = row_bytes(table.dtype, begin);
  const auto bytes_wanted = static_cast<size_t>(row_bytes(table.dtype, end - begin));
  const auto tokens = [&](int64_t t, float* out) {
    thread_local std::vector<std::byte> bytes;
    thread_local std::vector<float> row;
    bytes.resize(bytes_wanted);
    row.resize(static_cast<size_t>(end - begin));
    // By position in the file: through the map every row would make 64 KiB resident.
    table.read_part(ids[static_cast<size_t>(t)], skip, bytes);
    dequantise(table.dtype, bytes.data(), row.data(), end - begin);
    for (int64_t i = 0; i < n * p; ++i) out[i] = row[static_cast<size_t>(first * p - begin + i)] * scale;
  };
  return ops.per_layer_inputs(ops.linear(x, w.per_layer_model_projection[part]), 1.0f / std::sqrt(static_cast<float>(c.hidden_size)),
                              w.per_layer_projection_norm.data(), c.rms_norm_eps, p, tokens, std::sqrt(0.5f));
}

// The rows whose logits are wanted, as a batch of their own: runs of consecutive rows of a sequence are its spans.
void narrow(const Batch& b, Batch& out) {
  out.token_ids.clear(), out.positions.clear(), out.spans.clear(), out.logit_rows.clear();
  size_t next = 0;
  for (const BatchSpan& span : b.spans)
    for (; next < b.logit_rows.size() && b.logit_rows[next] < span.row0 + span.rows; ++next) {
      const int32_t row = b.logit_rows[next];
      const int32_t position = b.positions[static_cast<size_t>(row)];
      const bool goes_on = !out.spans.empty() && next > 0 && b.logit_rows[next - 1] == row - 1 && row > span.row0;
      if (goes_on) {
        ++out.spans.back().rows;
      } else {
        BatchSpan s = span;
        s.row0 = static_cast<int32_t>(out.token_ids.size()), s.rows = 1, s.position0 = position;
        out.spans.push_back(s);
      }
      out.logit_rows.push_back(static_cast<int32_t>(out.token_ids.size()));
      out.token_ids.push_back(b.token_ids[static_cast<size_t>(row)]);
      out.positions.push_back(position);
    }
  check(next == b.logit_rows.size(), "logit rows are ascending and inside the spans");
}

}  // namespace

std::unique_ptr<Model> Model::load(std::shared_ptr<const Checkpoint> checkpoint, Ops& ops, const std::function<void(uint64_t, uint64_t)>& progress) {
  auto config = read_config(*checkpoint);
  auto weights = load_weights(std::move(checkpoint), *config, ops, progress);
  return from_parts(std::move(config), std::move(weights));
}

std::unique_ptr<Model> Model::from_parts(std::unique_ptr<ModelConfig> config, std::unique_ptr<Weights> weights) {
  std::unique_ptr<Model> m(new Model);
  m->config_ = std::move(config);
  m->weights_ = std::move(weights);
  return m;
}

Model::~Model() = default;

KvLayout Model::kv_layout(DType dtype) const { return make_kv_layout(config_->kv_group(kSlidingGroup), config_->kv_group(kFullGroup), dtype); }
uint64_t Model::weight_bytes() const { return weights_->bytes; }
uint64_t Model::mapped_weight_bytes() const { return weights_->mapped_bytes; }
uint64_t Model::per_layer_embedding_bytes() const { return weights_->embed_tokens_per_layer.nbytes; }

Tensor Model::forward(Ops& ops, KvStore& kv, const Batch& batch) const {
  const ModelConfig& c = *config_;
  const Weights& w = *weights_;
  for (int32_t id : batch.token_ids) check(id >= 0 && id < c.vocab_size, "token ids are inside the vocabulary");
  ops.begin(kv);
  const Batch* b = &batch;
  const int64_t p = c.hidden_size_per_layer_input;
  Tensor x = ops.embed(w.embed_tokens, b->token_ids, c.embed_scale);
  if (ops.tap) ops.tap("embed", -1, x);

  // The layers that share K/V write no cache, so above them only the rows whose logits are wanted matter.
  thread_local Batch wanted;
  narrow(batch, wanted);
  Tensor ple, ple_wanted;
  if (p > 0) {
    ple = per_layer_inputs(ops, c, w, b->token_ids, x, 0);
    if (ops.tap) ops.tap("per_layer_inputs", 0, ple);
    if (c.first_shared_layer < c.num_hidden_layers && wanted.rows() > 0) {
      ple_wanted = per_layer_inputs(ops, c, w, wanted.token_ids, ops.rows(x, batch.logit_rows), 1);
      if (ops.tap) ops.tap("per_layer_inputs", c.first_shared_layer, ple_wanted);
    }
  }
  int64_t first_ple = 0;
  for (int64_t i = 0; i < c.num_hidden_layers; ++i) {
    if (i == c.first_shared_layer) {
      if (wanted.rows() == 0) break;
      x = ops.rows(x, batch.logit_rows);
      b = &wanted;
      ple = ple_wanted, first_ple = i;
    }
    const LayerConfig& layer = c.layers[static_cast<size_t>(i)];
    ops.begin_layer();
    Tensor input = layer.has_ple ? ops.columns(ple, (i - first_ple) * p, p) : Tensor{};
    x = decoder_layer(ops, layer, w.layers[static_cast<size_t>(i)], *b, c.rms_norm_eps, x, input);
    if (ops.tap) ops.tap("layer", i, x);
  }
  Tensor logits;
  if (wanted.rows() > 0) {
    ops.begin_layer();  // the logits take the place of the layer before the last
    if (b == &batch) x = ops.rows(x, batch.logit_rows);
    x = ops.rms_norm(x, w.norm.data(), c.rms_norm_eps, x.cols);
    if (ops.tap) ops.tap("final_norm", -1, x);
    logits = ops.logits(x, w.lm_head ? w.lm_head : w.embed_tokens, c.final_logit_softcapping);
  }
  ops.end();
  return logits;
}

}  // namespace carat
