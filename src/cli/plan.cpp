// carat plan: the memory a model takes, part by part, before it is loaded.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/command.h"
#include "cli/console.h"
#include "cli/model_name.h"
#include "cli/model_options.h"
#include "engine/memory_plan.h"

namespace carat::cli {
namespace {

using Json = nlohmann::ordered_json;

struct Options {
  ModelOptions model;
  int32_t parallel = 1;
  bool json = false;
};

Json json_of(const MemoryForecast& forecast) {
  const MemoryPlan& p = forecast.plan;
  return {{"weights", p.weights},
          {"weights_mapped", forecast.weights_mapped},
          {"per_layer_embeddings", {{"resident", 0}, {"mapped", forecast.per_layer_embeddings}}},
          {"kv", {{"bytes_per_token", p.kv_bytes_per_token}, {"window", p.kv_window}, {"total", p.kv}}},
          {"activations", p.activations},
          {"media", 0},
          {"program", p.program},
          {"total", p.total()},
          {"available", p.available},
          {"fits", p.fits()},
          {"max_ctx", p.max_ctx},
          {"ctx", p.ctx},
          {"step_rows", p.rows}};
}

std::string line(std::string_view what, uint64_t bytes, std::string_view note) { return fmt::format("{:<22} {:>11}   {}\n", what, format_bytes(bytes), note); }

std::string text_of(const MemoryForecast& forecast, const Options& options) {
  const MemoryPlan& p = forecast.plan;
  const int32_t n = options.parallel;
  std::string text = fmt::format("{}, {} of {} tokens, cache in {}\n\n", terminal_safe(options.model.model),
                                 n == 1 ? std::string("a sequence") : fmt::format("{} sequences", n), p.ctx, options.model.kv);
  text += line("weights", p.weights,
               forecast.weights_mapped == 0 ? std::string("as they are kept in memory")
                                            : fmt::format("{} of it as the file has them, mapped", format_bytes(forecast.weights_mapped)));
  if (forecast.per_layer_embeddings > 0) {
    text += line("per-layer embeddings", 0, fmt::format("{} stay in the file, rows are read when needed", format_bytes(forecast.per_layer_embeddings)));
  }
  std::string cache;
  if (p.kv_window > 0) cache = fmt::format("{} of sliding windows a sequence", format_bytes(p.kv_window));
  if (p.kv_bytes_per_token > 0) cache += fmt::format("{}{} a token", cache.empty() ? "" : ", then ", format_bytes(p.kv_bytes_per_token));
  text += line("KV cache", p.kv, cache);
  text += line("activations", p.activations, fmt::format("results of the largest step, of {} rows", p.rows));
  text += line("media", 0, "no picture or sound is read yet");
  text += line("program", p.program, "tokenizer, tables, libraries");
  text += line("total", p.total(), p.fits() ? "fits" : "does not fit");
  text += line("available", p.available,
               options.model.mem_limit.empty() ? "what the machine and its limits leave" : "as --mem-limit says, at most what the machine has");
  if (!p.fits()) return text + fmt::format("\nIt does not fit: {}.\n", forecast.advice);
  return text + fmt::format("\nThe longest context that fits is {}.\n", p.max_ctx);
}

Action setup(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  add_model_options(app, options->model);
  app.add_option("--parallel", options->parallel, "sequences at once, each of which fills the context")
      ->check(CLI::Range(1, 4096))
      ->type_name("S")
      ->capture_default_str();
  app.add_flag("--json", options->json, "one JSON document");
  return [options] {
    const EngineOptions engine = engine_options(options->model, options->parallel);
    const MemoryForecast forecast = forecast_memory(resolve_model(options->model.model, options->model.resolve).string(), load_options(options->model, engine));
    if (options->json) {
      print_json(json_of(forecast));
    } else {
      print(text_of(forecast, *options));
    }
    return 0;
  };
}

}  // namespace

const Command kPlanCommand = {"plan", "the memory a model takes, before it is loaded",
                              "Examples:\n"
                              "  carat plan gemma3:270m --ctx 8192\n"
                              "  carat plan model.gguf --ctx 4096 --parallel 8 --kv q8\n"
                              "  carat plan model.gguf --mem-limit 2G --json | jq .max_ctx\n\n"
                              "The total foretells the peak of resident memory with every context full. Only the header of the file is read: a rehearsal\n"
                              "runs the code that loads and computes, on memory that nobody touches. Without --ctx the longest context that fits is taken.",
                              setup};

}  // namespace carat::cli
