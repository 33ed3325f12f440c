#pragma once
// The Kullback-Leibler divergence between next-token distributions, in nats.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace carat::test {

inline std::vector<double> log_softmax(const float* logits, int64_t n) {
  const double largest = *std::max_element(logits, logits + n);
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += std::exp(logits[i] - largest);
  const double norm = largest + std::log(sum);
  std::vector<double> out(logits, logits + n);
  for (double& x : out) x -= norm;
  return out;
}

// KL(p || q).
template <typename T>
double kl(const T* log_p, const std::vector<double>& log_q) {
  double out = 0;
  for (size_t i = 0; i < log_q.size(); ++i) out += std::exp(double{log_p[i]}) * (log_p[i] - log_q[i]);
  return out;
}

}  // namespace carat::test
