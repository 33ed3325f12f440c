// Opening a file costs at most twice the bytes of its header, address space included, whatever the header holds.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <fstream>

#include "formats/checkpoint.h"
#include "formats/temp_folder.h"

namespace carat {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitised = true;  // shadow memory makes the measure meaningless
#else
constexpr bool kSanitised = false;
#endif

uint64_t address_space() {
  uint64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  return pages * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}

// In a process of its own: opens the file with room for twice its size (all header), its map, and 4 MiB for the rest. Ends with 0 if all is well.
void open_within(const std::filesystem::path& path) {
  const uint64_t size = std::filesystem::file_size(path);
  const rlim_t limit = address_space() + size + 2 * size + (4u << 20);
  const rlimit r{limit, limit};
  if (::setrlimit(RLIMIT_AS, &r) != 0) ::_exit(3);
  const std::clock_t start = std::clock();  // of the processor: the machine may be busy
  try {
    Checkpoint::open(path);
  } catch (const Error& e) {
    ::_exit(e.code() == ErrorCode::unsupported || e.code() == ErrorCode::corrupt ? 0 : 4);
  } catch (...) {
    ::_exit(5);
  }
  const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  ::_exit(seconds < std::max(0.5, static_cast<double>(size) / 1e8) ? 0 : 6);
}

template <typename T>
void put(std::string& out, T v) {
  out.append(reinterpret_cast<const char*>(&v), sizeof v);
}

std::string gguf_start(int64_t tensors, int64_t keys) {
  std::string out = "GGUF";
  put(out, uint32_t{3});
  put(out, tensors);
  put(out, keys);
  return out;
}

std::string gguf_array(int32_t type, uint64_t count, size_t bytes) {
  std::string out = gguf_start(0, 1);
  put(out, uint64_t{1});
  out += 'k';
  put(out, int32_t{9});
  put(out, type);
  put(out, count);
  out.resize(out.size() + bytes);
  return out;
}

void expect_modest(std::string_view name, const std::string& bytes) {
  if (kSanitised) GTEST_SKIP() << "not measured under sanitizers";
  const TempFolder folder;
  const auto path = folder.put(name, bytes);
  EXPECT_EXIT(open_within(path), testing::ExitedWithCode(0), "");
}

constexpr size_t kBig = 40'000'000;

TEST(HeaderMemory, EmptyStrings) { expect_modest("m.gguf", gguf_array(8, kBig / 8, kBig)); }
TEST(HeaderMemory, ByteArray) { expect_modest("m.gguf", gguf_array(0, kBig, kBig)); }
TEST(HeaderMemory, BoolArray) { expect_modest("m.gguf", gguf_array(7, kBig, kBig)); }

TEST(HeaderMemory, OneLongString) {
  std::string out = gguf_start(0, 1);
  put(out, uint64_t{1});
  out += 'k';
  put(out, int32_t{8});
  put(out, uint64_t{kBig});
  out.resize(out.size() + kBig);
  expect_modest("m.gguf", out);
}

TEST(HeaderMemory, LongSafetensorsMetadata) {
  std::string json = "{\"__metadata__\":{";
  while (json.size() < kBig) json += "\"a\":\"\\u0041\",";
  json += "\"z\":\"\"}}";
  std::string out;
  put(out, uint64_t{json.size()});
  expect_modest("m.safetensors", out + json);
}

TEST(HeaderMemory, ManyTensorsOfASafetensorsFileAreRefused) {
  std::string json = "{";
  for (int i = 0; i < 400000; ++i) json += fmt::format(R"("{}":{{"dtype":"U8","shape":[1],"data_offsets":[0,1]}},)", i);
  json.back() = '}';
  std::string out;
  put(out, uint64_t{json.size()});
  expect_modest("m.safetensors", out + json);
}

TEST(HeaderMemory, LyingCountsAllocateNothing) {
  if (kSanitised) GTEST_SKIP() << "not measured under sanitizers";
  const TempFolder folder;
  // 2 GiB that are mostly a hole: the count of strings would fit into it, but the first string is none.
  const auto path = folder.put("m.gguf", gguf_array(8, uint64_t{1} << 27, 0) + std::string(8, '\xff'));
  std::filesystem::resize_file(path, uint64_t{2} << 30);
  const auto open_small = [&] {
    const rlim_t limit = address_space() + (uint64_t{2} << 30) + (uint64_t{8} << 20);
    const rlimit r{limit, limit};
    ::setrlimit(RLIMIT_AS, &r);
    try {
      Checkpoint::open(path);
    } catch (const Error& e) {
      ::_exit(e.code() == ErrorCode::corrupt ? 0 : 2);
    } catch (...) {
      ::_exit(3);
    }
    ::_exit(1);
  };
  EXPECT_EXIT(open_small(), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace carat
