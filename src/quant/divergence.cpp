#include "quant/divergence.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/output_file.h"
#include "formats/checkpoint.h"
#include "model/model.h"
#include "quant/text_run.h"

namespace carat::quant {
namespace {

constexpr int32_t kRowsAtOnce = 32;  // of logits: 1 MiB each for a real vocabulary

// Natural logarithm of the sum of exponentials.
double log_sum(const float* x, int64_t n) {
  const float most = *std::max_element(x, x + n);
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += std::exp(static_cast<double>(x[i] - most));
  return static_cast<double>(most) + std::log(sum);
}

double kl(const float* p, double log_p, const float* q, double log_q, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) {
    const double a = static_cast<double>(p[i]) - log_p, b = static_cast<double>(q[i]) - log_q;
    if (a > -80) sum += std::exp(a) * (a - b);
  }
  return std::max(0.0, sum);
}

// fn(row, next token, logits) for every position that has a next token, in order.
void for_each_row(const std::shared_ptr<const Checkpoint>& checkpoint, const std::vector<std::vector<int32_t>>& windows, const RunOptions& options,
                  uint64_t done_before, uint64_t total, const std::function<void(int32_t next, const float* logits, int64_t n)>& fn) {
  const auto ops = make_cpu_ops({.num_threads = options.num_threads, .isa = options.isa.c_str()});
  const auto model = Model::load(checkpoint, *ops, options.loading);
  TextRun text(*model, *ops);
  uint64_t done = done_before;
  for (const auto& window : windows) {
    text.run(window, kRowsAtOnce, [&](int32_t row, Tensor logits) {
      if (options.going_on && !options.going_on()) fail(ErrorCode::cancelled, "interrupted");
      for (int64_t r = 0; r < logits.rows; ++r) {
        const size_t next = static_cast<size_t>(row + r) + 1;
        if (next < window.size()) fn(window[next], logits.row(r), logits.cols);
      }
      done += static_cast<uint64_t>(logits.rows);
      if (options.running) options.running(done, total);
    });
  }
}

}  // namespace

Divergence measure_divergence(const std::shared_ptr<const Checkpoint>& before, const std::shared_ptr<const Checkpoint>& after, std::span<const int32_t> ids,
                              int32_t bos, const std::filesystem::path& scratch, const RunOptions& options) {
  const auto windows = windows_of(ids.first(std::min(ids.size(), static_cast<size_t>(kDivergencePositions))), bos);
  if (windows.empty()) fail(ErrorCode::invalid_argument, "the text has less than two tokens, of those that KL divergence is measured on, give a longer one");
  uint64_t rows = 0, scored = 0;
  for (const auto& window : windows) rows += window.size(), scored += window.size() - 1;
  const auto vocabulary = static_cast<uint64_t>(read_config(*before)->vocab_size);
  const auto free = free_space(scratch);
  const uint64_t needed = scored * vocabulary * sizeof(float);
  if (free && *free < needed)
    fail(ErrorCode::exhausted,
         "the predictions on the text take {} bytes for a while, in {}, which has room for {}; free some space or measure on a shorter text", needed,
         scratch.empty() ? "." : scratch.string(), *free);

  ScratchFile logits(scratch);
  std::vector<double> log_sums;
  double loss_before = 0, loss_after = 0;
  for_each_row(before, windows, options, 0, 2 * rows, [&](int32_t next, const float* x, int64_t n) {
    log_sums.push_back(log_sum(x, n));
    loss_before += log_sums.back() - static_cast<double>(x[next]);
    logits.append(std::as_bytes(std::span(x, static_cast<size_t>(n))));
  });
  std::vector<double> divergences;
  std::vector<float> p(static_cast<size_t>(vocabulary));
  Divergence out;
  for_each_row(after, windows, options, rows, 2 * rows, [&](int32_t next, const float* q, int64_t n) {
    if (static_cast<uint64_t>(n) != vocabulary)
      fail(ErrorCode::unsupported, "vocabularies of {} and {} tokens: their predictions cannot be compared", vocabulary, n);
    const size_t i = divergences.size();
    logits.read(i * vocabulary * sizeof(float), std::as_writable_bytes(std::span(p)));
    const double sum = log_sum(q, n);
    loss_after += sum - static_cast<double>(q[next]);
    divergences.push_back(kl(p.data(), log_sums[i], q, sum, n));
    out.same_best += std::max_element(p.begin(), p.end()) - p.begin() == std::max_element(q, q + n) - q;
  });
  out.positions = static_cast<int64_t>(divergences.size());
  const auto n = static_cast<double>(out.positions);
  for (const double d : divergences) out.mean += d / n;
  out.same_best /= n;
  std::sort(divergences.begin(), divergences.end());
  out.median = divergences[divergences.size() / 2];
  out.p99 = divergences[std::min(divergences.size() - 1, divergences.size() * 99 / 100)];
  out.largest = divergences.back();
  out.perplexity_before = std::exp(loss_before / n), out.perplexity_after = std::exp(loss_after / n);
  return out;
}

}  // namespace carat::quant
