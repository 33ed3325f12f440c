#pragma once
// What carat bench found, as JSON and for people.
#include <cstdint>
#include <string>

#include "base/json.h"
#include "cli/bench_run.h"

namespace carat::cli {

struct BenchResult {
  std::string cpu, isa;
  int threads = 0;
  int32_t ctx = 0;
  double load_seconds = 0;         // from the path to an engine that takes requests
  double first_token_seconds = 0;  // from the command's start
  Phase prefill, decode;
  uint64_t peak_memory = 0;  // VmHWM without the roofline's buffer; 0: unknown
  uint64_t read_bytes = 0;   // of that buffer
};

Json bench_json(const BenchOptions& options, const BenchResult& result);
std::string bench_text(const BenchOptions& options, const BenchResult& result);

}  // namespace carat::cli
