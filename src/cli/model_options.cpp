#include "cli/model_options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <chrono>
#include <fstream>

#include "base/error.h"
#include "cli/console.h"
#include "cli/terminal/progress.h"
#include "formats/checkpoint.h"
#include "kernels/kernels.h"

namespace carat::cli {
namespace {

// As CLI11 writes what is allowed: "{scalar,avx2}".
std::string isa_choices() {
  std::string names = kernels::built_tables();
  std::replace(names.begin(), names.end(), ' ', ',');
  return "{" + names + "}";
}

uint64_t parse_bytes(const std::string& text) {
  constexpr std::string_view units = "KMGT";
  std::string digits = text;
  int shift = 0;
  if (!digits.empty()) {
    const size_t unit = units.find(static_cast<char>(std::toupper(static_cast<unsigned char>(digits.back()))));
    if (unit != std::string_view::npos) {
      shift = 10 * static_cast<int>(unit + 1);
      digits.pop_back();
    }
  }
  uint64_t value = 0;
  const char* end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, value);
  if (error != std::errc() || stop != end || value == 0 || value > (uint64_t{1} << 62 >> shift)) {
    fail(ErrorCode::invalid_argument, "'{}' is no number of bytes, --mem-limit, write it as 2000000000 or 2G", terminal_safe(text));
  }
  return value << shift;
}

uint64_t status_field(std::string_view field) {
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line)) {
    if (line.starts_with(field)) return std::strtoull(line.c_str() + field.size(), nullptr, 10) * 1024;
  }
  return 0;
}

}  // namespace

void add_model_options(CLI::App& app, ModelOptions& options) {
  constexpr const char* kGroup = "Machine";
  app.add_option("MODEL", options.model, "a path, or a name such as gemma3:270m")->required();
  add_resolve_options(app, options.resolve);
  app.add_option("--threads", options.threads, "default: physical cores")->check(CLI::Range(0, 1024))->type_name("N")->group(kGroup);
  app.add_option("--ctx", options.ctx, "longest sequence in tokens; default: the most that fits, at most the model's own")
      ->check(CLI::Range(0, 1 << 30))
      ->type_name("N")
      ->group(kGroup);
  app.add_option("--kv", options.kv, "type of the cache: f16, q8 (half of it, a little less exact) or f32")
      ->check(CLI::IsMember({"f16", "q8", "f32"}))
      ->type_name("TYPE")
      ->capture_default_str()
      ->group(kGroup);
  CLI::Option* const isa = app.add_option("--isa", options.isa, fmt::format("instruction set: {}; default: the best this CPU has", kernels::built_tables()))
                               ->check(CLI::Validator(
                                   [](std::string& text) -> std::string {
                                     const std::string known = std::string(" ") + kernels::built_tables() + " ";
                                     return known.find(" " + text + " ") != std::string::npos
                                                ? std::string()
                                                : fmt::format("{} is none of{}", terminal_safe(text), known.substr(0, known.size() - 1));
                                   },
                                   isa_choices()))
                               ->type_name("NAME")
                               ->group(kGroup);
  CLI::Option* const backend = app.add_option("--backend", options.backend, "cpu, or ref: plain loops, slow, what the other is held against")
                                   ->check(CLI::IsMember({"cpu", "ref"}))
                                   ->type_name("NAME")
                                   ->capture_default_str()
                                   ->group(kGroup);
  app.add_flag("--fast-bf16", options.fast_bf16, "BF16 weights by the CPU's dots of bf16: faster prompts, coarser results; needs AVX-512 BF16")
      ->excludes(isa)
      ->excludes(backend)
      ->group(kGroup);
  app.add_option("--mem-limit", options.mem_limit, "memory this process may use, 2G for example; default: what the machine or its cgroup has")
      ->check(CLI::Validator(
          [](std::string& text) -> std::string {
            try {
              parse_bytes(text);
              return {};
            } catch (const Error& error) {
              return error.what();
            }
          },
          std::string()))
      ->type_name("BYTES")
      ->group(kGroup);
}

const Tokenizer& Session::tokenizer() const {
  if (!loaded->tokenizer)
    fail(ErrorCode::unsupported, "the model file has no vocabulary, {}, give the prompt with --token-ids", loaded->checkpoint->path().string());
  return *loaded->tokenizer;
}

EngineOptions engine_options(const ModelOptions& options, int32_t sequences) {
  EngineOptions engine;
  engine.ctx = options.ctx;
  engine.max_num_seqs = sequences;
  engine.max_num_batched_tokens = std::max(engine.max_num_batched_tokens, sequences);
  engine.kv_dtype = options.kv == "f32" ? DType::f32 : options.kv == "q8" ? DType::q8_0 : DType::f16;
  engine.memory_limit = options.mem_limit.empty() ? 0 : parse_bytes(options.mem_limit);
  return engine;
}

LoadOptions load_options(const ModelOptions& options, const EngineOptions& engine) {
  LoadOptions load;
  load.num_threads = options.threads;
  load.isa = options.isa;
  load.fast_bf16 = options.fast_bf16;
  load.ref_backend = options.backend == "ref";
  load.engine = engine;
  return load;
}

Session open_session(const ModelOptions& options, int32_t sequences) {
  const EngineOptions engine = engine_options(options, sequences);
  const std::string path = resolve_model(options.model, options.resolve).string();
  const auto start = std::chrono::steady_clock::now();
  Session session;
  {
    Progress progress("loading");
    LoadOptions load = load_options(options, engine);
    load.progress = [&progress](uint64_t done, uint64_t total) { progress.show(done, total); };
    session.loaded = load_model(path, load);
  }
  session.engine = std::make_unique<Engine>(*session.loaded, engine);
  session.load_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return session;
}

uint64_t peak_memory_bytes() { return status_field("VmHWM:"); }
uint64_t resident_memory_bytes() { return status_field("VmRSS:"); }

}  // namespace carat::cli
