// After warm-up a step allocates nothing: every operator new of this program is counted.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "engine/engine_core.h"
#include "engine/fake_model.h"

namespace {
std::atomic<int64_t> allocations{0};
[[gnu::noinline]] void* counted(std::size_t size, std::size_t alignment = 16) noexcept {
  ++allocations;
  return std::aligned_alloc(alignment, (size + alignment) / alignment * alignment);
}
[[gnu::noinline]] void give_back(void* p) noexcept { std::free(p); }
void* or_throw(void* p) {
  if (p == nullptr) throw std::bad_alloc();
  return p;
}
}  // namespace

// Every form, so that none meets the library's own counterpart.
void* operator new(std::size_t n) { return or_throw(counted(n)); }
void* operator new[](std::size_t n) { return or_throw(counted(n)); }
void* operator new(std::size_t n, std::align_val_t a) { return or_throw(counted(n, static_cast<std::size_t>(a))); }
void* operator new[](std::size_t n, std::align_val_t a) { return or_throw(counted(n, static_cast<std::size_t>(a))); }
void* operator new(std::size_t n, const std::nothrow_t&) noexcept { return counted(n); }
void* operator new[](std::size_t n, const std::nothrow_t&) noexcept { return counted(n); }
void* operator new(std::size_t n, std::align_val_t a, const std::nothrow_t&) noexcept { return counted(n, static_cast<std::size_t>(a)); }
void operator delete(void* p) noexcept { give_back(p); }
void operator delete[](void* p) noexcept { give_back(p); }
void operator delete(void* p, std::size_t) noexcept { give_back(p); }
void operator delete[](void* p, std::size_t) noexcept { give_back(p); }
void operator delete(void* p, std::align_val_t) noexcept { give_back(p); }
void operator delete[](void* p, std::align_val_t) noexcept { give_back(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { give_back(p); }
void operator delete[](void* p, std::size_t, std::align_val_t) noexcept { give_back(p); }
void operator delete(void* p, const std::nothrow_t&) noexcept { give_back(p); }
void operator delete[](void* p, const std::nothrow_t&) noexcept { give_back(p); }

namespace carat {
namespace {

TEST(Allocation, AWarmStepAllocatesNothing) {
  fake::FakeModel model;
  EngineOptions o;
  o.ctx = 2000;
  EngineCore engine(model.engine_model(1000, std::make_shared<fake::LetterTokenizer>()), o);
  int64_t tokens = 0;
  for (int i = 0; i < 4; ++i) {
    Request r;
    for (int t = 0; t < 50 + i; ++t) r.token_ids.push_back(t);
    r.sampling.temperature = static_cast<float>(i % 2);
    r.sampling.top_k = i == 3 ? 20 : 0;
    r.sampling.seed = 1;
    r.sampling.max_tokens = 1500;
    r.sampling.repetition_penalty = i == 2 ? 1.1f : 1.0f;
    r.on_output = [&tokens](const RequestOutput& out) { tokens += static_cast<int64_t>(out.token_ids.size()); };
    engine.submit(std::move(r));
  }
  for (int i = 0; i < 500; ++i) engine.step();
  const int64_t tokens_before = tokens, before = allocations;
  for (int i = 0; i < 400; ++i) engine.step();  // over many block borders
  EXPECT_EQ(allocations - before, 0);
  EXPECT_EQ(tokens - tokens_before, 1600);
}

}  // namespace
}  // namespace carat
