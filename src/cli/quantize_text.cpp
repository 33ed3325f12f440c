#include "cli/quantize_text.h"

#include <algorithm>

#include "base/error.h"
#include "cli/console.h"
#include "engine/memory_plan.h"
#include "quant/divergence.h"
#include "quant/text_run.h"

namespace carat::cli {
namespace {

constexpr size_t kLeastHeldOut = 16;

// The model itself is the most that is ever loaded: what it becomes is not larger.
void check_memory(const std::filesystem::path& in, int threads) {
  LoadOptions load;
  load.num_threads = threads;
  EngineOptions engine;
  engine.ctx = quant::kWindow, engine.max_num_seqs = 1, engine.kv_dtype = DType::f32;
  load.engine = engine;
  const MemoryForecast forecast = forecast_memory(in.string(), load);
  if (forecast.plan.fits()) return;
  fail(ErrorCode::exhausted, "running the model on a text takes {} of memory and there are {}, --calibrate and --kl-text, leave them out or free some memory",
       format_bytes(forecast.plan.total()), format_bytes(forecast.plan.available));
}

}  // namespace

QuantizeText::QuantizeText(const quant::Source& source, const std::filesystem::path& in, int threads) {
  check_memory(in, threads);
  tokenizer_ = Tokenizer::load(*source.checkpoint);
}

std::vector<int32_t> QuantizeText::encode(const std::string& path) const {
  std::vector<int32_t> ids = tokenizer_->encode(read_input(path), {.add_bos = false, .parse_special = false});
  if (ids.size() < 2) fail(ErrorCode::invalid_argument, "the text has less than two tokens, {}, give a longer one", input_name(path));
  return ids;
}

std::vector<int32_t> split_held_out(std::vector<int32_t>& ids) {
  const size_t n = std::min(ids.size() / 10, static_cast<size_t>(quant::kDivergencePositions));
  if (n < kLeastHeldOut) return {};
  std::vector<int32_t> held_out(ids.end() - static_cast<std::ptrdiff_t>(n), ids.end());
  ids.resize(ids.size() - n);
  return held_out;
}

}  // namespace carat::cli
