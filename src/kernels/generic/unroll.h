#pragma once
// A loop whose counter is a constant in each turn.
#include <cstdint>

namespace carat::kernels {

template <int I>
struct Const {
  static constexpr int value = I;
};

template <int N, int I = 0, typename F>
[[gnu::always_inline]] inline void unroll(F&& f) {
  if constexpr (I < N) {
    f(Const<I>{});
    unroll<N, I + 1>(f);
  }
}

}  // namespace carat::kernels
