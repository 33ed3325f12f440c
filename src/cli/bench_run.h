#pragma once
// The measurements of carat bench, on an engine as every command uses it.
#include <cstdint>
#include <functional>
#include <vector>

#include "cli/model_options.h"
#include "cli/roofline.h"
#include "model/work.h"

namespace carat::cli {

struct BenchOptions {
  ModelOptions model;
  int32_t prompt = 512;  // tokens; 0: prefill is not measured
  int32_t tokens = 128;  // decoded by each sequence; 0: decode is not measured
  int32_t depth = 0;     // tokens in the cache before either, of each sequence
  int32_t parallel = 1;  // sequences that decode together
  int32_t repeat = 3;
};

// The context a sequence needs: depth, then prompt or tokens, then the token that ends the prompt.
int32_t bench_ctx(const BenchOptions& options);
// The sequences an engine is to have room for, so that all of them are admitted at once: the scheduler wants a block to spare for each that runs.
int32_t bench_room(const BenchOptions& options);

struct Repeat {
  double seconds = 0;
  Rates beside;  // what the machine allowed just before and just after, the mean of both
};

// What was measured of a phase; `repeats` is empty when it was not.
struct Phase {
  std::vector<Repeat> repeats;
  int64_t tokens = 0;  // a repeat, of all sequences together
  int64_t steps = 0;   // a repeat
  Work work;           // a repeat

  // Of the repeats' figures; 0 without repeats.
  double median(const std::function<double(const Repeat&)>& figure) const;
  double median_seconds() const;
};

// Answers a short sentence with one token.
void first_token(Session& session);

// Prefill of the first sequence behind its depth, which lies in the cache, fills it and takes no part in the time; warmed up by one repeat.
Phase measure_prefill(Session& session, const BenchOptions& options, RooflineMeter& meter);
// Decoding of all sequences together, from the token after the prompt's on: what every step takes, sampling included. Warmed up by a few tokens.
// Fails with exhausted when the cache does not hold all sequences at once.
Phase measure_decode(Session& session, const BenchOptions& options, RooflineMeter& meter);

}  // namespace carat::cli
