// A row's result never depends on its neighbours: the same request gives the same bits alone and in company, in any chunks, after a prefix hit or a preemption, with
// any number of threads and any instruction set. Real weights (the tiny golden models), every token's whole distribution, memcmp.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/memory_plan.h"

namespace carat {
namespace {

namespace fs = std::filesystem;

fs::path models_folder() {
  const char* shared = std::getenv("CARAT_SHARED");
  return fs::path(shared ? shared : CARAT_SOURCE_DIR "/../shared") / "golden" / "models";
}

std::vector<std::string> all_models() {
  std::vector<std::string> found;
  std::error_code none;
  for (const auto& model : fs::directory_iterator(models_folder(), none)) {
    const std::string name = model.path().filename().string();
    if (name.find("assistant") != std::string::npos || name == "tokenizer") continue;  // no models of their own
    if (fs::exists(model.path() / "hf" / "model.safetensors")) found.push_back(name + "/hf");
    for (const char* file : {"model-bf16.gguf", "model-Q8_0.gguf", "model-Q4_K_M.gguf"}) {
      if (fs::exists(model.path() / "gguf" / file)) found.push_back(name + "/gguf/" + file);
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

struct Answer {
  std::vector<int32_t> ids;
  std::vector<TokenLogprob> logprobs;
  std::vector<std::optional<TokenLogprob>> prompt;
  std::optional<TokenLogprob> next;
  std::string error;
  int32_t cached = 0;
};

void expect_bits(const TokenLogprob& got, const TokenLogprob& want, const char* what, size_t i) {
  ASSERT_EQ(got.id, want.id) << what << " " << i;
  ASSERT_EQ(std::memcmp(&got.logprob, &want.logprob, sizeof(float)), 0) << what << " " << i << ": " << got.logprob << " against " << want.logprob;
  ASSERT_EQ(got.top.size(), want.top.size());
  for (size_t k = 0; k < want.top.size(); ++k) {
    ASSERT_TRUE(got.top[k].first == want.top[k].first && std::memcmp(&got.top[k].second, &want.top[k].second, sizeof(float)) == 0)
        << what << " " << i << ", rank " << k << ": " << got.top[k].first << " " << got.top[k].second << " against " << want.top[k].first << " "
        << want.top[k].second;
  }
}

void expect_same(const Answer& got, const Answer& want) {
  ASSERT_EQ(got.error, "");
  ASSERT_EQ(got.ids, want.ids);
  ASSERT_EQ(got.logprobs.size(), want.logprobs.size());
  for (size_t i = 0; i < want.logprobs.size() && !::testing::Test::HasFatalFailure(); ++i) expect_bits(got.logprobs[i], want.logprobs[i], "token", i);
  if (got.prompt.empty()) return;  // not asked for: it might take a hit
  ASSERT_EQ(got.prompt.size(), want.prompt.size());
  for (size_t i = 1; i < want.prompt.size() && !::testing::Test::HasFatalFailure(); ++i) expect_bits(*got.prompt[i], *want.prompt[i], "prompt token", i);
  ASSERT_TRUE(got.next.has_value());
  expect_bits(*got.next, *want.next, "next", 0);
}

class Invariance : public ::testing::TestWithParam<std::string> {
 protected:
  std::unique_ptr<LoadedModel> load(int threads, const char* isa = "") {
    LoadOptions o;
    o.num_threads = threads;
    o.isa = isa;
    return load_model((models_folder() / GetParam()).string(), o);
  }
  // Request i of a fixed set; 0 is the long one that everything is held against.
  static Request request(const LoadedModel& model, int i, bool score) {
    const auto vocab = static_cast<int32_t>(model.model->config().vocab_size);
    Request r;
    const int length = i == 0 ? 290 : 5 + 37 * i;
    for (int t = 0; t < length; ++t) r.token_ids.push_back((t * t * 31 + t * 7 + 101 * i) % (vocab - 10) + 3);
    r.sampling.temperature = 0;
    r.sampling.ignore_eos = true;
    r.sampling.max_tokens = i == 0 ? 24 : 6 + i;
    r.sampling.logprobs = vocab;
    if (score) r.sampling.prompt_logprobs = std::min(vocab, 600);
    return r;
  }
  static void collect(Request& r, Answer& a) {
    r.on_output = [&a](const RequestOutput& out) {
      a.ids.insert(a.ids.end(), out.token_ids.begin(), out.token_ids.end());
      a.logprobs.insert(a.logprobs.end(), out.logprobs.begin(), out.logprobs.end());
      if (!out.prompt_logprobs.empty()) a.prompt = out.prompt_logprobs;
      if (out.next) a.next = out.next;
      a.error = out.error;
      a.cached = out.cached_tokens;
    };
  }
  static EngineOptions options(int32_t chunk = 0) {
    EngineOptions o;
    o.ctx = 400;
    o.prefill_chunk = chunk;
    return o;
  }
  static Answer alone(LoadedModel& model, const EngineOptions& o, int i = 0) {
    Engine engine(model, o);
    Answer a;
    Request r = request(model, i, true);
    collect(r, a);
    engine.submit(std::move(r));
    engine.run_until_idle();
    return a;
  }
};

TEST_P(Invariance, TheSameBitsHoweverItIsServed) {
  std::unique_ptr<LoadedModel> one = load(1), two = load(2), scalar = load(2, "scalar");
  const Answer want = alone(*one, options());
  ASSERT_EQ(want.error, "");
  ASSERT_EQ(want.ids.size(), 24u);
  ASSERT_EQ(want.prompt.size(), 290u);

  for (const int32_t chunk : {0, 1, 7, 64}) {
    SCOPED_TRACE("chunks of " + std::to_string(chunk));
    expect_same(alone(*one, options(chunk)), want);
    expect_same(alone(*two, options(chunk)), want);
    if (HasFatalFailure()) return;
  }
  {
    SCOPED_TRACE("the scalar kernels");
    expect_same(alone(*scalar, options()), want);
    if (HasFatalFailure()) return;
  }
  // In company: eight at once, each as it is alone.
  for (LoadedModel* model : {one.get(), two.get()}) {
    for (const int32_t chunk : {0, 7}) {
      SCOPED_TRACE("a batch of eight, chunks of " + std::to_string(chunk));
      EngineOptions o = options(chunk);
      o.max_num_batched_tokens = 100;
      Engine engine(*model, o);
      while (engine.settle()) {}
      std::vector<Answer> answers(8);
      for (int i = 7; i >= 0; --i) {
        Request r = request(*model, i, i % 3 == 0);
        collect(r, answers[static_cast<size_t>(i)]);
        engine.submit(std::move(r));
      }
      engine.run_until_idle();
      expect_same(answers[0], want);
      for (const int i : {3, 5}) expect_same(answers[static_cast<size_t>(i)], alone(*one, options(), i));
      if (HasFatalFailure()) return;
    }
  }
}

TEST_P(Invariance, APrefixHitChangesNothing) {
  std::unique_ptr<LoadedModel> model = load(2);
  const Answer want = alone(*model, options());
  Engine engine(*model, options());
  // The first turn ends somewhere inside the prompt; the second goes on from there; the third is the second again.
  for (const size_t length : {size_t{150}, size_t{290}, size_t{290}}) {
    Request r = request(*model, 0, false);
    r.token_ids.resize(length);
    r.resume_points = {100};
    if (length < 290) r.sampling.max_tokens = 1;
    Answer a;
    collect(r, a);
    engine.submit(std::move(r));
    engine.run_until_idle();
    if (length < 290) continue;
    EXPECT_GT(a.cached, 0);
    expect_same(a, want);
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(engine.stats().prefix_hit_tokens, 200);
}

TEST_P(Invariance, APreemptionChangesNothing) {
  std::unique_ptr<LoadedModel> model = load(2);
  const Answer want = alone(*model, options());
  // Six elders grow while the youngest, the one that is looked at, computes its prompt in small chunks; together they want more than there is.
  EngineOptions o = options(2);
  o.prefix_cache = false;
  const KvLayout layout = model->model->kv_layout(o.kv_dtype);
  o.kv_bytes = (slots_of_sequence(layout, o.ctx, 2) + 2 * slots_of_sequence(layout, 270, 2)) * layout.slot_bytes();
  Engine engine(*model, o);
  std::vector<Answer> answers(7);
  for (int i = 0; i < 7; ++i) {
    Request r = request(*model, i < 6 ? 2 : 0, false);
    if (i < 6) r.token_ids[0] = 5 + i, r.token_ids.resize(20), r.sampling.max_tokens = 230, r.sampling.logprobs = -1;
    collect(r, answers[static_cast<size_t>(i)]);
    engine.submit(std::move(r));
  }
  engine.run_until_idle();
  expect_same(answers[6], want);
  EXPECT_GT(engine.stats().preemptions, 0);
}

INSTANTIATE_TEST_SUITE_P(Tiny, Invariance, ::testing::ValuesIn(all_models()), [](const auto& p) {
  std::string name = p.param;
  for (char& c : name) {
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  }
  return name;
});
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Invariance);

TEST(InvarianceModels, AreThere) {
  if (all_models().empty()) GTEST_SKIP() << "no golden models in " << models_folder() << "; set CARAT_SHARED";
}

}  // namespace
}  // namespace carat
