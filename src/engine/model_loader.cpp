#include "engine/engine.h"
#include "formats/checkpoint.h"

namespace carat {

std::unique_ptr<LoadedModel> load_model(const std::string& path, const LoadOptions& options) {
  auto loaded = std::make_unique<LoadedModel>();
  loaded->checkpoint = Checkpoint::open(path);
  const Checkpoint& checkpoint = *loaded->checkpoint;
  // A file without a vocabulary is served by token ids.
  const bool has_vocabulary =
      checkpoint.kind() == CheckpointKind::gguf ? checkpoint.meta("tokenizer.ggml.tokens") != nullptr : checkpoint.side_file("tokenizer.json").has_value();
  if (has_vocabulary) loaded->tokenizer = Tokenizer::load(checkpoint);
  if (options.ref_backend) {
    loaded->ops = make_ref_ops();
  } else {
    CpuOptions cpu;
    cpu.num_threads = options.num_threads;
    cpu.isa = options.isa.c_str();
    loaded->ops = make_cpu_ops(cpu);
  }
  loaded->model = Model::load(loaded->checkpoint, *loaded->ops, options.progress);
  return loaded;
}

}  // namespace carat
