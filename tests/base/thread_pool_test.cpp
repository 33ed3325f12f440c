#include "base/thread_pool.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <system_error>
#include <vector>

#include "base/error.h"

namespace carat {
namespace {

TEST(ThreadPool, CoversEveryIndexOnceForAnyCut) {
  for (int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    for (int64_t n : {0, 1, 7, 64, 1000})
      for (int64_t grain : {1, 3, 64, 5000}) {
        std::vector<std::atomic<int>> seen(static_cast<size_t>(n));
        pool.parallel_for(n, grain, [&](int64_t begin, int64_t end, int worker) {
          EXPECT_LE(end - begin, grain);
          EXPECT_GE(worker, 0);
          EXPECT_LT(worker, threads);
          for (int64_t i = begin; i < end; ++i) ++seen[static_cast<size_t>(i)];
        });
        for (const auto& s : seen) EXPECT_EQ(s.load(), 1);
      }
  }
}

// Everything written in one region is there in the next, whoever wrote it.
TEST(ThreadPool, RegionsFollowEachOther) {
  ThreadPool pool(4);
  std::vector<int64_t> a(512, 0), b(512, 0);
  for (int64_t round = 0; round < 2000; ++round) {
    pool.parallel_for(512, 5, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) b[static_cast<size_t>(511 - i)] = a[static_cast<size_t>(i)] + 1;
    });
    std::swap(a, b);
  }
  for (int64_t v : a) EXPECT_EQ(v, 2000);
}

TEST(ThreadPool, RefusesSillyNumbers) {
  EXPECT_THROW(ThreadPool(0), Error);
  EXPECT_THROW(ThreadPool(100000), Error);
  EXPECT_GE(default_num_threads(), 1);
}

// Threads that have begun when the next one is refused end, and the failure is an exception: no call of terminate, no wait for ever.
TEST(ThreadPool, ThreadsThatCannotBeHadAreAnError) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer maps terabytes: no limit on the address space leaves room for a few threads only";
#endif
  const auto limit = [] {
    const rlimit little{rlim_t{200} << 20, rlim_t{200} << 20};
    ::setrlimit(RLIMIT_AS, &little);
  };
  const pid_t probe = ::fork();
  if (probe == 0) {
    limit();
    ::_exit(::mmap(nullptr, size_t{1} << 30, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(probe, &status, 0), probe);
  if (status != 0) GTEST_SKIP() << "no limit on the address space is kept here (an emulator)";
  const auto too_many = [&] {
    ::alarm(20);
    limit();
    try {
      ThreadPool pool(1024);
    } catch (const std::system_error&) {
      ::_exit(7);
    }
    ::_exit(1);
  };
  EXPECT_EXIT(too_many(), testing::ExitedWithCode(7), "");
}

}  // namespace
}  // namespace carat
