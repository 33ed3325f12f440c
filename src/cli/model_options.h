#pragma once
// What all commands that run a model have in common: MODEL, the options about machine and cache, loading.
#include <cstdint>
#include <memory>
#include <string>

#include "cli/model_name.h"
#include "engine/engine.h"

namespace CLI {
class App;
}

namespace carat::cli {

struct ModelOptions {
  std::string model;
  ResolveOptions resolve;
  int threads = 0;  // 0: physical cores
  int32_t ctx = 0;  // 0: the most that fits, at most the model's own
  std::string kv = "f16";
  std::string isa;  // empty: the best this CPU has
  bool fast_bf16 = false;
  std::string backend = "cpu";
  std::string mem_limit;  // bytes with an optional K, M, G (times 1024); empty: what the machine or its cgroup has
};

// Declares MODEL and the options above. `options` must outlive the parsing.
void add_model_options(CLI::App& app, ModelOptions& options);

// A loaded model with an engine. The engine goes first when it is destroyed.
struct Session {
  std::unique_ptr<LoadedModel> loaded;
  std::unique_ptr<Engine> engine;
  double load_seconds = 0;

  // Fails with unsupported when the file has no vocabulary.
  const Tokenizer& tokenizer() const;
};
// What the options say, for an engine of that many sequences at once; and for load_model() of a model for it.
EngineOptions engine_options(const ModelOptions& options, int32_t sequences);
LoadOptions load_options(const ModelOptions& options, const EngineOptions& engine);
// Shows progress on stderr if that is a terminal. Fails like Checkpoint::open, load_model and Engine; and with exhausted when --mem-limit is too small.
Session open_session(const ModelOptions& options, int32_t sequences = 1);

// Peak resident memory of this process so far (VmHWM), and what is resident now (VmRSS); 0 when the system does not tell.
uint64_t peak_memory_bytes();
uint64_t resident_memory_bytes();

}  // namespace carat::cli
