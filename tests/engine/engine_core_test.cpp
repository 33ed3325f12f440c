#include "engine/engine_core.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <random>
#include <thread>
#include <vector>

#include "base/error.h"
#include "engine/fake_model.h"

namespace carat {
namespace {

using fake::FakeModel;
using fake::kVocab;

struct Answer {
  std::vector<int32_t> ids;
  std::vector<TokenLogprob> logprobs;
  std::vector<std::optional<TokenLogprob>> prompt;
  std::optional<TokenLogprob> next;
  std::string text, error;
  FinishReason finish = FinishReason::none;
  int32_t cached = 0, completion = 0;
};

void collect(Request& r, Answer& a) {
  r.on_output = [&a](const RequestOutput& out) {
    EXPECT_EQ(a.finish, FinishReason::none) << "nothing comes after the end";
    a.text += out.text;
    a.ids.insert(a.ids.end(), out.token_ids.begin(), out.token_ids.end());
    a.logprobs.insert(a.logprobs.end(), out.logprobs.begin(), out.logprobs.end());
    if (!out.prompt_logprobs.empty()) a.prompt = out.prompt_logprobs;
    if (out.next) a.next = out.next;
    a.finish = out.finish;
    a.error = out.error;
    a.cached = out.cached_tokens;
    a.completion = out.completion_tokens;
  };
}

bool same(const TokenLogprob& a, const TokenLogprob& b) { return a.id == b.id && std::memcmp(&a.logprob, &b.logprob, 4) == 0 && a.top == b.top; }

// What a request must give, computed row by row without engine, cache or batch.
Answer naive_answer(const FakeModel& model, const Request& r, int32_t ctx, const std::vector<int32_t>& eos = {}) {
  Sampler sampler(kVocab);
  const SamplingParams& p = r.sampling;
  Answer a;
  std::vector<int32_t> tokens = r.token_ids;
  const auto row_of = [&](const std::vector<std::vector<float>>& rows, size_t i) {
    std::vector<float> row = rows[i];
    row[fake::kPoison] = -std::numeric_limits<float>::infinity();
    return row;
  };
  std::vector<std::vector<float>> rows = model.naive_logits(tokens);
  if (p.prompt_logprobs >= 0) {
    a.prompt.emplace_back();
    for (size_t i = 0; i + 1 < tokens.size(); ++i) a.prompt.emplace_back(sampler.logprob(row_of(rows, i).data(), tokens[i + 1], p.prompt_logprobs));
    a.next = sampler.logprob(row_of(rows, tokens.size() - 1).data(), -1, p.prompt_logprobs);
  }
  TokenHistory history(kVocab);
  history.add_prompt(tokens);
  while (static_cast<int32_t>(tokens.size()) < ctx && (p.max_tokens < 0 || static_cast<int32_t>(a.ids.size()) < p.max_tokens)) {
    rows = model.naive_logits(tokens);
    std::vector<float> row = row_of(rows, tokens.size() - 1);
    const int32_t id = sampler.sample(row.data(), p, &history, *p.seed, static_cast<int64_t>(tokens.size()));
    if (p.logprobs >= 0) a.logprobs.push_back(sampler.logprob(row.data(), id, p.logprobs));
    a.ids.push_back(id);
    tokens.push_back(id);
    history.add_output(id);
    if (!p.ignore_eos && std::find(eos.begin(), eos.end(), id) != eos.end()) {
      a.finish = FinishReason::stop;
      return a;
    }
  }
  a.finish = FinishReason::length;
  return a;
}

void expect_same(const Answer& got, const Answer& want) {
  EXPECT_EQ(got.ids, want.ids);
  EXPECT_EQ(got.finish, want.finish) << got.error;
  ASSERT_EQ(got.logprobs.size(), want.logprobs.size());
  for (size_t i = 0; i < want.logprobs.size(); ++i) ASSERT_TRUE(same(got.logprobs[i], want.logprobs[i])) << "token " << i;
  ASSERT_EQ(got.prompt.size(), want.prompt.size());
  for (size_t i = 0; i < want.prompt.size(); ++i) {
    ASSERT_EQ(got.prompt[i].has_value(), want.prompt[i].has_value());
    ASSERT_TRUE(!want.prompt[i] || same(*got.prompt[i], *want.prompt[i])) << "prompt token " << i;
  }
  ASSERT_EQ(got.next.has_value(), want.next.has_value());
  EXPECT_TRUE(!want.next || same(*got.next, *want.next));
}

Request request_of(std::vector<int32_t> prompt, int32_t max_tokens, float temperature = 0) {
  Request r;
  r.token_ids = std::move(prompt);
  r.sampling.max_tokens = max_tokens;
  r.sampling.temperature = temperature;
  r.sampling.seed = 1;
  r.sampling.logprobs = 2;
  return r;
}

std::vector<int32_t> words(int32_t n, int32_t seed = 0) {
  std::vector<int32_t> t;
  for (int32_t i = 0; i < n; ++i) t.push_back((i * i + 31 * seed + i) % 90);
  return t;
}

EngineOptions options_of(int32_t ctx) {
  EngineOptions o;
  o.ctx = ctx;
  return o;
}

TEST(EngineCore, AnswersDoNotDependOnCompanyChunksHitsOrPreemption) {
  int64_t preemptions = 0, hits = 0;
  for (uint32_t round = 0; round < 36; ++round) {
    std::mt19937 random(round);
    const auto pick = [&](int n) { return static_cast<int32_t>(random() % static_cast<uint32_t>(n)); };
    FakeModel model;
    const int32_t shapes[][5] = {{2, 1, 40, 2, 4}, {3, 2, 64, 4, 2}, {1, 0, 33, 2, 2}, {0, 2, 0, 2, 2}, {5, 1, 32, 2, 8}, {1, 1, 1, 2, 2}};
    const int32_t* shape = shapes[round % 6];
    model.sliding_layers = shape[0], model.full_layers = shape[1], model.window = shape[2], model.sliding_dim = shape[3], model.full_dim = shape[4];
    EngineOptions o = options_of(260);
    o.max_num_seqs = 1 + pick(8);
    o.max_num_batched_tokens = o.max_num_seqs + pick(2) * pick(150);
    o.prefill_chunk = pick(2) ? 1 + pick(80) : 0;
    o.prefix_cache = pick(5) != 0;
    const int32_t chunk = o.prefill_chunk > 0 ? std::min(o.prefill_chunk, o.max_num_batched_tokens) : o.max_num_batched_tokens;
    EngineCore engine(model.engine_model(slots_of_sequence(model.layout(), o.ctx, chunk) + pick(2) * pick(12)), o);
    std::vector<Request> asked;
    std::vector<Answer> answers(14);
    std::vector<std::vector<int32_t>> said = {words(130)};
    for (size_t i = 0; i < answers.size(); ++i) {
      std::vector<int32_t> prompt = said[static_cast<size_t>(pick(static_cast<int>(said.size())))];
      if (pick(3) == 0) prompt.resize(static_cast<size_t>(1 + pick(static_cast<int>(prompt.size()))));
      for (int32_t n = pick(40); n > 0; --n) prompt.push_back(pick(90));
      if (prompt.size() > 200) prompt.resize(static_cast<size_t>(pick(2) ? 200 : 30));
      Request r = request_of(prompt, pick(pick(2) ? 10 : 130), static_cast<float>(pick(2)));
      r.sampling.seed = i;
      r.sampling.prompt_logprobs = pick(4) == 0 ? 3 : -1;
      r.sampling.repetition_penalty = pick(3) ? 1.0f : 1.2f;
      r.resume_points = {pick(200)};
      r.use_prefix_cache = pick(6) != 0;
      asked.push_back(r);
      collect(r, answers[i]);
      engine.submit(std::move(r));
      for (int32_t steps = pick(30); steps > 0; --steps) {
        engine.step();
        engine.audit();
      }
      if (!answers[0].ids.empty()) {
        said.push_back(asked[i].token_ids);
        said.back().insert(said.back().end(), answers[i].ids.begin(), answers[i].ids.end());
      }
    }
    while (engine.step()) engine.audit();
    for (size_t i = 0; i < answers.size(); ++i) {
      expect_same(answers[i], naive_answer(model, asked[i], o.ctx));
      ASSERT_FALSE(HasFailure()) << "round " << round << " request " << i;
      if (asked[i].sampling.prompt_logprobs >= 0) {
        EXPECT_EQ(answers[i].cached, 0);
      }
    }
    EXPECT_EQ(engine.stats().slots_used, 0);
    EXPECT_EQ(engine.stats().running + engine.stats().waiting, 0);
    preemptions += engine.stats().preemptions;
    hits += engine.stats().prefix_hit_tokens;
  }
  EXPECT_GE(preemptions, 5);
  EXPECT_GT(hits, 1000);
}

TEST(EngineCore, ThePreemptedGoOnAsIfNothingHadHappened) {
  for (const bool prefix_cache : {true, false}) {
    FakeModel model;
    EngineOptions o = options_of(400);
    o.max_num_batched_tokens = 64;
    o.prefix_cache = prefix_cache;
    EngineCore engine(model.engine_model(slots_of_sequence(model.layout(), 400, 64) + 3, prefix_cache ? std::make_shared<fake::LetterTokenizer>() : nullptr),
                      o);
    std::vector<Answer> answers(6);
    std::vector<Request> asked;
    for (size_t i = 0; i < answers.size(); ++i) {
      asked.push_back(request_of(words(20 + 5 * static_cast<int32_t>(i), static_cast<int32_t>(i)), 250, static_cast<float>(i % 2)));
      if (i == 2) asked[i].sampling.repetition_penalty = 1.3f, asked[i].sampling.presence_penalty = 0.5f;
      if (i == 4) asked[i].sampling.prompt_logprobs = 4;
      Request r = asked[i];
      collect(r, answers[i]);
      engine.submit(std::move(r));
    }
    while (engine.step()) engine.audit();
    EXPECT_GT(engine.stats().preemptions, 1);
    EXPECT_EQ(engine.stats().prefix_hit_tokens > 0, prefix_cache);
    for (size_t i = 0; i < answers.size(); ++i) {
      SCOPED_TRACE(i);
      expect_same(answers[i], naive_answer(model, asked[i], 400));
    }
  }
}

TEST(EngineCore, ASecondTurnComputesOnlyWhatIsNew) {
  FakeModel model;
  EngineCore engine(model.engine_model(400), options_of(1000));
  Answer first, second;
  Request r = request_of(words(300), 50);
  collect(r, first);
  engine.submit(r);
  while (engine.step()) {}
  std::vector<int32_t> next = r.token_ids;
  next.insert(next.end(), first.ids.begin(), first.ids.end());
  for (const int32_t t : words(20, 3)) next.push_back(t);
  const int64_t rows = engine.stats().rows;
  Request q = request_of(next, 5);
  collect(q, second);
  engine.submit(q);
  while (engine.step()) {}
  EXPECT_EQ(second.cached, 320);  // 349 were computed; blocks of 64 and 32
  EXPECT_EQ(engine.stats().rows - rows, 370 - 320 + 4);
  expect_same(second, naive_answer(model, q, 1000));
}

TEST(EngineCore, OneBadRequestEndsOnlyItself) {
  FakeModel model;
  EngineCore engine(model.engine_model(400), options_of(300));
  std::vector<Answer> answers(3);
  std::vector<Request> asked = {request_of(words(20, 1), 10), request_of(words(20, 2), 10), request_of(words(30, 3), 10)};
  asked[1].token_ids[15] = fake::kPoison;
  for (size_t i = 0; i < 3; ++i) {
    Request r = asked[i];
    collect(r, answers[i]);
    engine.submit(std::move(r));
  }
  while (engine.step()) engine.audit();
  EXPECT_EQ(answers[1].finish, FinishReason::error);
  EXPECT_EQ(answers[1].error, "poison in the batch");
  EXPECT_TRUE(answers[1].ids.empty());
  expect_same(answers[0], naive_answer(model, asked[0], 300));
  expect_same(answers[2], naive_answer(model, asked[2], 300));
  EXPECT_EQ(engine.stats().slots_used, 0);
}

TEST(EngineCore, AThrowingCallbackEndsItsRequest) {
  FakeModel model;
  EngineCore engine(model.engine_model(400), options_of(300));
  int calls = 0;
  Request bad = request_of(words(20), 10);
  bad.on_output = [&](const RequestOutput&) { ++calls, throw std::runtime_error("gone"); };
  Answer good;
  Request r = request_of(words(20, 2), 10);
  collect(r, good);
  engine.submit(std::move(bad));
  engine.submit(std::move(r));
  while (engine.step()) engine.audit();
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(good.ids.size(), 10u);
}

TEST(EngineCore, BrokenWeightsAreAnErrorOfTheRequest) {
  FakeModel model;
  EngineModel m = model.engine_model(400);
  m.forward = [&](const Batch& batch, KvStore& store) {
    const Tensor t = model.forward(batch, store);
    std::fill(t.data, t.data + t.size(), std::nanf(""));
    return t;
  };
  EngineCore engine(std::move(m), options_of(300));
  Answer a;
  Request r = request_of(words(20), 10);
  collect(r, a);
  engine.submit(std::move(r));
  while (engine.step()) {}
  EXPECT_EQ(a.finish, FinishReason::error);
  EXPECT_NE(a.error.find("none is finite"), std::string::npos);
}

TEST(EngineCore, CancelEndsWaitingAndRunningRequests) {
  FakeModel model;
  EngineOptions o = options_of(300);
  o.max_num_seqs = 1;
  EngineCore engine(model.engine_model(400), o);
  Answer running, waiting, last;
  Request a = request_of(words(20), -1), b = request_of(words(20, 1), 5), c = request_of(words(20, 2), 5);
  collect(a, running);
  collect(b, waiting);
  collect(c, last);
  const RequestId ia = engine.submit(a), ib = engine.submit(b);
  engine.submit(c);
  for (int i = 0; i < 5; ++i) engine.step();
  EXPECT_EQ(running.ids.size(), 5u);
  engine.cancel(ib);
  engine.cancel(ia);
  engine.cancel(ia);
  engine.cancel(9999);
  engine.step();
  EXPECT_EQ(running.finish, FinishReason::cancelled);
  EXPECT_EQ(waiting.finish, FinishReason::cancelled);
  EXPECT_TRUE(waiting.ids.empty());
  while (engine.step()) engine.audit();
  EXPECT_EQ(last.finish, FinishReason::length);
  EXPECT_FALSE(engine.step());
}

TEST(EngineCore, CancelFromTheCallbackIsAllowed) {
  FakeModel model;
  EngineCore engine(model.engine_model(400), options_of(300));
  int tokens = 0;
  FinishReason finish = FinishReason::none;
  RequestId id = 0;
  Request r = request_of(words(20), -1);
  r.on_output = [&](const RequestOutput& out) {
    tokens += static_cast<int>(out.token_ids.size());
    finish = out.finish;
    if (tokens == 3) engine.cancel(id);
  };
  id = engine.submit(std::move(r));
  while (engine.step()) {}
  EXPECT_EQ(tokens, 3);
  EXPECT_EQ(finish, FinishReason::cancelled);
}

TEST(EngineCore, StopRules) {
  FakeModel model;
  const auto letters = std::make_shared<fake::LetterTokenizer>();
  const Request plain = request_of(words(20), 30);
  const Answer truth = naive_answer(model, plain, 300);
  std::string text;
  for (const int32_t id : truth.ids) text += id < letters->vocab_size() ? std::string(letters->piece(id)) : "";
  const auto ask = [&](auto change, std::vector<int32_t> eos = {}) {
    EngineModel m = model.engine_model(400, letters);
    m.eos_token_ids = std::move(eos);
    EngineCore engine(std::move(m), options_of(300));
    Request r = plain;
    change(r);
    Answer a;
    collect(r, a);
    engine.submit(std::move(r));
    while (engine.step()) {}
    return a;
  };
  const int32_t id = truth.ids[7];
  const auto at = static_cast<size_t>(std::find(truth.ids.begin(), truth.ids.end(), id) - truth.ids.begin());
  const std::string before = text.substr(0, at);

  Answer a = ask([](Request&) {});
  EXPECT_EQ(a.text, text);
  EXPECT_EQ(a.finish, FinishReason::length);
  EXPECT_EQ(a.completion, 30);

  a = ask([](Request&) {}, {id});
  EXPECT_EQ(a.finish, FinishReason::stop);
  EXPECT_EQ(a.ids.size(), at + 1);  // the token is given, its text is not
  EXPECT_EQ(a.text, before);

  a = ask([](Request& r) { r.sampling.ignore_eos = true; }, {id});
  EXPECT_EQ(a.ids, truth.ids);

  a = ask([&](Request& r) { r.sampling.ignore_eos = true, r.sampling.stop_token_ids = {id}; }, {id});
  EXPECT_EQ(a.finish, FinishReason::stop);
  EXPECT_EQ(a.text, before);

  const std::string stop = text.substr(10, 3);
  a = ask([&](Request& r) { r.sampling.stop = {"never", stop}; });
  EXPECT_EQ(a.finish, FinishReason::stop);
  EXPECT_EQ(a.text, text.substr(0, text.find(stop)));
  EXPECT_EQ(a.ids.size(), text.find(stop) + 3);

  a = ask([&](Request& r) { r.sampling.stop = {text.substr(28) + "?"}; });  // held back until the end
  EXPECT_EQ(a.text, text);
  EXPECT_EQ(a.finish, FinishReason::length);

  a = ask([](Request& r) { r.sampling.max_tokens = 0, r.sampling.prompt_logprobs = 1; });
  EXPECT_EQ(a.finish, FinishReason::length);
  EXPECT_TRUE(a.ids.empty());
  EXPECT_EQ(a.prompt.size(), 20u);
  EXPECT_TRUE(a.next.has_value());

  a = ask([](Request& r) { r.sampling.max_tokens = -1; });
  EXPECT_EQ(a.ids.size(), 280u);  // until the context is full
  EXPECT_EQ(a.finish, FinishReason::length);
}

TEST(EngineCore, RefusesWhatCannotBe) {
  FakeModel model;
  EngineCore engine(model.engine_model(18), options_of(300));
  const auto refusal = [&](auto change) -> std::string {
    Request r = request_of(words(20), 10);
    change(r);
    try {
      engine.submit(std::move(r));
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::invalid_argument);
      return e.what();
    }
    return "";
  };
  EXPECT_EQ(refusal([](Request&) {}), "");
  EXPECT_NE(refusal([](Request& r) { r.token_ids.clear(); }).find("prompt: it is empty"), std::string::npos);
  EXPECT_NE(refusal([](Request& r) { r.token_ids = words(301); }).find("301 tokens, the context holds 300"), std::string::npos);
  EXPECT_NE(refusal([](Request& r) { r.token_ids = words(300); }).find("no room to answer"), std::string::npos);
  EXPECT_NE(refusal([](Request& r) { r.token_ids[3] = kVocab; }).find("token 97 is outside"), std::string::npos);
  EXPECT_NE(refusal([](Request& r) { r.token_ids[3] = -1; }).find("outside"), std::string::npos);
  EXPECT_NE(refusal([](Request& r) { r.sampling.top_p = 2; }).find("top_p"), std::string::npos);
  EXPECT_NE(refusal([](Request& r) { r.sampling.stop = {"x"}; }).find("no vocabulary"), std::string::npos);
  EXPECT_NE(refusal([](Request& r) { r.sampling.max_tokens = 280; }).find("KV cache"), std::string::npos);  // would need more slots than there are
  while (engine.step()) {}
}

TEST(EngineCore, RequestsComeFromOtherThreads) {
  FakeModel model;
  EngineCore engine(model.engine_model(2000), options_of(300));
  constexpr int kThreads = 4, kEach = 10;
  std::vector<Answer> answers(kThreads * kEach);
  std::vector<Request> asked(answers.size());
  std::atomic<int> done{0};
  std::vector<std::thread> threads;
  for (size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (size_t i = t * kEach; i < (t + 1) * kEach; ++i) {
        asked[i] = request_of(words(10 + static_cast<int32_t>(i), static_cast<int32_t>(i)), 8);
        Request r = asked[i];
        collect(r, answers[i]);
        const RequestId id = engine.submit(std::move(r));
        if (i % 5 == 4) engine.cancel(id);
        engine.stats();
      }
      ++done;
    });
  }
  while (done < kThreads) engine.step();
  for (std::thread& t : threads) t.join();
  while (engine.step()) {}
  for (size_t i = 0; i < answers.size(); ++i) {
    if (i % 5 == 4) {
      EXPECT_NE(answers[i].finish, FinishReason::none);
    } else {
      expect_same(answers[i], naive_answer(model, asked[i], 300));
    }
  }
}

}  // namespace
}  // namespace carat
