#include "quant/importance.h"

#include <unordered_map>

#include "base/error.h"
#include "model/model.h"
#include "model/weights.h"
#include "quant/observing_ops.h"
#include "quant/text_run.h"

namespace carat::quant {
namespace {

// Squares of rows, summed by column.
struct Squares {
  std::vector<double> sum;
  int64_t rows = 0;

  void add(Tensor x) {
    if (sum.empty()) sum.resize(static_cast<size_t>(x.cols));
    for (int64_t r = 0; r < x.rows; ++r)
      for (int64_t i = 0; i < x.cols; ++i) sum[static_cast<size_t>(i)] += static_cast<double>(x.row(r)[i]) * static_cast<double>(x.row(r)[i]);
    rows += x.rows;
  }
  float mean(size_t i) const { return rows > 0 ? static_cast<float>(sum[i] / static_cast<double>(rows)) : 0.0f; }
};

// A stack of experts: one Squares each.
struct StackSquares {
  std::string layer;  // "blk.3."
  std::vector<Squares> gate_up, down;
};

class Collector {
 public:
  Collector(const Weights& weights, const Checkpoint& checkpoint) {
    for (size_t i = 0; i < weights.layers.size(); ++i) {
      const LayerWeights& l = weights.layers[i];
      const std::string b = "blk." + std::to_string(i) + ".";
      // Rows of one fused tensor: q stands for all three.
      const bool fused = checkpoint.find(b + "attn_qkv.weight") != nullptr;
      watch(l.q_proj, b + (fused ? "attn_qkv" : "attn_q"));
      if (!fused) watch(l.k_proj, b + "attn_k"), watch(l.v_proj, b + "attn_v");
      watch(l.o_proj, b + "attn_output");
      watch(l.mlp.gate, b + "ffn_gate"), watch(l.mlp.up, b + "ffn_up"), watch(l.mlp.down, b + "ffn_down");
      watch(l.per_layer_input_gate, b + "inp_gate"), watch(l.per_layer_projection, b + "proj");
      if (l.experts.experts.empty()) continue;
      StackSquares& s = stacks_[&l.experts];
      s.layer = b;
      s.gate_up.resize(l.experts.experts.size()), s.down.resize(l.experts.experts.size());
    }
  }

  void linear(const Linear& w, Tensor x) {
    const auto found = matrices_.find(w.data.get());
    if (found != matrices_.end()) found->second.second.add(x);
  }
  void expert(const ExpertStack& stack, int64_t e, Tensor gate_up_input, Tensor down_input) {
    StackSquares& s = stacks_.at(&stack);
    s.gate_up[static_cast<size_t>(e)].add(gate_up_input);
    s.down[static_cast<size_t>(e)].add(down_input);
  }

  Importance result() const {
    Importance out;
    for (const auto& [data, named] : matrices_) {
      const auto& [name, squares] = named;
      std::vector<float>& means = out[name];
      for (size_t i = 0; i < squares.sum.size(); ++i) means.push_back(squares.mean(i));
      if (means.empty()) out.erase(name);  // never used: layers above the last wanted row
    }
    for (const auto& [stack, s] : stacks_) {
      const Expert& first = stack->experts[0];
      for (const char* name : {"ffn_gate_up_exps", "ffn_gate_exps", "ffn_up_exps"}) out[s.layer + name + ".weight"] = means_of(s.gate_up, first.gate_up.in);
      out[s.layer + "ffn_down_exps.weight"] = means_of(s.down, first.down.in);
    }
    return out;
  }

 private:
  void watch(const Linear& w, const std::string& name) {
    if (w) matrices_[w.data.get()].first = name + ".weight";
  }
  static std::vector<float> means_of(const std::vector<Squares>& squares, int64_t cols) {
    std::vector<float> out;
    for (const Squares& s : squares)
      for (size_t i = 0; i < static_cast<size_t>(cols); ++i) out.push_back(s.sum.empty() ? 0.0f : s.mean(i));
    return out;
  }

  std::unordered_map<const std::byte*, std::pair<std::string, Squares>> matrices_;
  std::unordered_map<const ExpertStack*, StackSquares> stacks_;
};

}  // namespace

Importance collect_importance(const std::shared_ptr<const Checkpoint>& checkpoint, std::span<const int32_t> ids, int32_t bos, const RunOptions& options) {
  const auto windows = windows_of(ids, bos);
  if (windows.empty()) fail(ErrorCode::invalid_argument, "the text has less than two tokens, --calibrate, give a longer one");
  ObservingOps ops(make_cpu_ops({.num_threads = options.num_threads, .isa = options.isa.c_str()}));
  auto config = read_config(*checkpoint);
  auto weights = load_weights(checkpoint, *config, ops, options.loading);
  Collector collector(*weights, *checkpoint);
  const auto model = Model::from_parts(std::move(config), std::move(weights));
  ops.on_linear = [&](const Linear& w, Tensor x) { collector.linear(w, x); };
  ops.on_expert = [&](const ExpertStack& stack, int64_t e, Tensor in, Tensor hidden) { collector.expert(stack, e, in, hidden); };
  TextRun text(*model, ops);
  uint64_t done = 0, total = 0;
  for (const auto& window : windows) total += window.size();
  for (const auto& window : windows) {
    if (options.going_on && !options.going_on()) fail(ErrorCode::cancelled, "interrupted; nothing was written");
    text.run(window, kWindow, [](int32_t, Tensor) {});
    done += window.size();
    if (options.running) options.running(done, total);
  }
  return collector.result();
}

}  // namespace carat::quant
