// What a rehearsal foretells is what loading and computing then take.
#include "engine/memory_footprint.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "base/error.h"
#include "formats/checkpoint.h"

namespace carat {
namespace {

std::filesystem::path model_file(const char* name) { return std::filesystem::path(CARAT_SOURCE_DIR) / "tests/golden/models" / name; }

// By a short name; those that are not in the repository are among the golden cases beside it.
std::filesystem::path model_of(const std::string& name) {
  if (name == "e2b") return model_file("tiny-e2b-Q4_K_M.gguf");
  if (name == "gemma3") return model_file("tiny-gemma3-Q4_K_M.gguf");
  const char* shared = std::getenv("CARAT_SHARED");
  const std::filesystem::path folder = shared ? shared : std::filesystem::path(CARAT_SOURCE_DIR).parent_path() / "shared";
  return folder / "golden/models" / ("tiny-" + name) / "gguf/model-Q4_K_M.gguf";
}

EngineOptions options_of(int32_t ctx, int32_t sequences, int32_t rows, DType kv) {
  EngineOptions o;
  o.ctx = ctx, o.max_num_seqs = sequences, o.max_num_batched_tokens = rows, o.kv_dtype = kv;
  return o;
}

// Sequences that fill their context, their prompts' log-probabilities included.
void fill(LoadedModel& loaded, const EngineOptions& o, bool scored) {
  Engine engine(loaded, o);
  for (int32_t i = 0; i < o.max_num_seqs; ++i) {
    Request r;
    for (int32_t t = 0; t < o.ctx * 3 / 4; ++t) r.token_ids.push_back((i * 31 + t * 7) % 250);
    r.sampling.ignore_eos = true;
    r.sampling.seed = 1;
    if (scored) r.sampling.prompt_logprobs = 1;
    r.on_output = [](const RequestOutput& out) { EXPECT_EQ(out.error, ""); };
    engine.submit(std::move(r));
  }
  engine.run_until_idle();
}

class Footprint : public testing::TestWithParam<const char*> {};

TEST_P(Footprint, IsWhatLoadingAndComputingTake) {
  const std::filesystem::path path = model_of(GetParam());
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is not here; set CARAT_SHARED";
  for (const int threads : {1, 2})
    for (const DType kv : {DType::f16, DType::q8_0, DType::f32})
      for (const auto& [ctx, sequences, rows] : {std::tuple{512, 4, 128}, std::tuple{700, 1, 512}, std::tuple{96, 8, 64}}) {
        const EngineOptions o = options_of(ctx, sequences, rows, kv);
        LoadOptions load;
        load.num_threads = threads;
        load.engine = o;
        const auto loaded = load_model(path, load);
        EXPECT_EQ(loaded->ops->peak_step_bytes(), 0u) << "a rehearsal leaves nothing behind";
        EXPECT_EQ(loaded->plan->weights, loaded->model->weight_bytes());
        const MemoryFootprint foretold = rehearse_steps(*loaded->model, *loaded->ops, o);
        EXPECT_EQ(loaded->plan->activations, foretold.activations + foretold.tables_per_tile * ((static_cast<uint64_t>(ctx) + 31) / 32));
        fill(*loaded, o, false);
        fill(*loaded, o, true);
        const uint64_t taken = loaded->ops->peak_step_bytes();
        EXPECT_LE(taken, foretold.activations) << ctx << " " << sequences << " " << rows;
        EXPECT_GE(static_cast<double>(taken), 0.9 * static_cast<double>(foretold.activations)) << ctx << " " << sequences << " " << rows;
      }
}

// With per-layer embeddings; plain; experts and one tensor for K and V; one tensor.
INSTANTIATE_TEST_SUITE_P(Models, Footprint, testing::Values("e2b", "gemma3", "26b", "31b"), [](const auto& test) { return std::string(test.param); });

TEST(Loading, WhatCannotFitIsRefusedBeforeAByteOfWeightsIsRead) {
  LoadOptions load;
  load.engine = options_of(512, 1, 512, DType::f16);
  load.engine->memory_limit = 1000;
  bool read = false;
  load.progress = [&read](uint64_t, uint64_t) { read = true; };
  try {
    load_model(model_file("tiny-e2b-Q4_K_M.gguf"), load);
    FAIL() << "it was loaded";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::exhausted);
  }
  EXPECT_FALSE(read);
}

TEST(Loading, StepsShrinkBeforeAContextIsRefused) {
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "a sanitizer's own memory moves while the limit is tried";
#endif
  LoadOptions load;
  load.engine = options_of(512, 1, 512, DType::f16);
  const auto roomy = load_model(model_file("tiny-e2b-Q4_K_M.gguf"), load);
  // The program is what is resident when the plan is made; the vocabulary of this model takes next to nothing.
  load.engine->memory_limit = resident_memory() + roomy->plan->weights + roomy->plan->kv + roomy->plan->activations / 2 + (256 << 10);
  const auto tight = load_model(model_file("tiny-e2b-Q4_K_M.gguf"), load);
  EXPECT_LT(tight->plan->rows, roomy->plan->rows);
  EXPECT_EQ(tight->plan->ctx, 512);
  Engine engine(*tight, *load.engine);
  EXPECT_EQ(engine.options().max_num_batched_tokens, tight->plan->rows);
}

TEST(Loading, ThePlainBackendIsPlannedToo) {
  LoadOptions load;
  load.ref_backend = true;
  load.engine = options_of(256, 1, 64, DType::f32);
  const auto loaded = load_model(model_file("tiny-e2b-Q4_K_M.gguf"), load);
  EXPECT_NEAR(static_cast<double>(loaded->plan->weights), static_cast<double>(loaded->model->weight_bytes()),
              0.05 * static_cast<double>(loaded->plan->weights));
  fill(*loaded, *load.engine, false);
}

}  // namespace
}  // namespace carat
