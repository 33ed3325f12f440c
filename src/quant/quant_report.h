#pragma once
// What quantising did, as JSON and as a table to read.
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "quant/divergence.h"
#include "quant/quantise.h"

namespace carat::quant {

struct QuantReport {
  std::string input, output, type;
  uint64_t bytes_before = 0;
  double seconds = 0;
  const Plan* plan = nullptr;         // outlives the report
  std::vector<TensorResult> results;  // empty: nothing was written yet (--dry-run)
  int64_t calibration_tokens = 0;     // 0: every column counts the same
  std::optional<Divergence> divergence;
};

// {"input", "output", "type", "bytes", "tensors": [...], "totals": {...}, "calibration", "divergence"}: docs/guide/quantize.md says what is in it.
Json report_json(const QuantReport& report);
// Tensors by the types they had and have, totals, divergence. each_tensor: a line a tensor as well. Names of tensors are as the file has them.
std::string report_text(const QuantReport& report, bool each_tensor);

}  // namespace carat::quant
