// Spoils good model files and lets everything that reads them have a go. Only success or carat::Error is accepted.
//
//   mutate_files SEED COUNT [--from N] [--keep FOLDER] FILE...
//
// FILE: .gguf, .safetensors, or a .json of a model folder (config, tokenizer, index). Small files of its own come on top.
// A case depends on SEED, its number and the list of files alone; --from N --keep F repeats one: COUNT 1.
#include <fmt/core.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>
#include <map>
#include <string>

#include "base/error.h"
#include "fuzz/mutate.h"
#include "fuzz/seeds.h"
#include "fuzz/targets.h"

#if defined(__SANITIZE_ADDRESS__)
// An allocation that no small file can justify is a finding; so is a process that grows.
extern "C" const char* __asan_default_options() { return "max_allocation_size_mb=512:hard_rss_limit_mb=4096:detect_stack_use_after_return=1"; }
extern "C" void __sanitizer_set_death_callback(void (*callback)());
constexpr bool kSanitised = true;
void on_death(void (*callback)()) { __sanitizer_set_death_callback(callback); }
#else
constexpr bool kSanitised = false;
void on_death(void (*)()) {}
#endif

namespace carat::fuzz {
namespace {

namespace fs = std::filesystem;

constexpr unsigned kSecondsPerCase = 10;
std::array<char, 512> current_case{};  // for the signal handler: what is being tried
std::string keep_folder;

void say_case(const char* what) {
  static_cast<void>(!::write(2, what, std::strlen(what)));
  static_cast<void>(!::write(2, current_case.data(), std::strlen(current_case.data())));
  static_cast<void>(!::write(2, "\n", 1));
}

void on_signal(int signal) {
  say_case(signal == SIGALRM ? "\nHANG (10 s) in " : "\nCRASH in ");
  if (signal == SIGALRM) ::_exit(3);
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

void set_limits() {
  std::signal(SIGALRM, on_signal);
  on_death([] { say_case("\nREPORT in "); });
  std::signal(SIGBUS, on_signal);
  std::signal(SIGABRT, on_signal);
  if (kSanitised) return;  // it reports crashes by itself, and its shadow memory needs the address space
  std::signal(SIGSEGV, on_signal);
  std::signal(SIGFPE, on_signal);
  const rlimit space{rlim_t{4} << 30, rlim_t{4} << 30};
  ::setrlimit(RLIMIT_AS, &space);
}

void note_case(uint64_t seed, uint64_t number, const fs::path& file) {
  const std::string text = fmt::format("case {} of seed {} ({})", number, seed, file.string());
  text.copy(current_case.data(), current_case.size() - 1);
  current_case[std::min(text.size(), current_case.size() - 1)] = '\0';
}

struct Options {
  uint64_t seed = 0;
  uint64_t count = 0;
  uint64_t from = 0;
  std::vector<fs::path> files;
};

Options parse(int argc, char** argv) {
  Options o;
  std::vector<std::string> plain;
  for (int i = 1; i < argc; ++i) {
    const std::string arg = argv[i];
    if (arg == "--from" && i + 1 < argc)
      o.from = std::stoull(argv[++i]);
    else if (arg == "--keep" && i + 1 < argc)
      keep_folder = argv[++i];
    else
      plain.push_back(arg);
  }
  if (plain.size() < 2) throw std::runtime_error("usage: mutate_files SEED COUNT [--from N] [--keep FOLDER] FILE...");
  o.seed = std::stoull(plain[0]);
  o.count = std::stoull(plain[1]);
  o.files.assign(plain.begin() + 2, plain.end());
  return o;
}

std::string spoilt(const Seed& seed, Rng& rng) {
  switch (seed.kind) {
    case SeedKind::gguf: return mutate_gguf(seed.bytes, seed.fields, rng);
    case SeedKind::safetensors: return mutate_safetensors(seed.bytes, rng);
    case SeedKind::json: return mutate_json(seed.bytes, rng);
  }
  return {};
}

void keep(const Seed& seed, uint64_t number, const std::string& bytes) {
  if (keep_folder.empty()) return;
  fs::create_directories(keep_folder);
  std::ofstream(fs::path(keep_folder) / fmt::format("case-{}-{}", number, seed.file.filename().string()), std::ios::binary) << bytes;
}

int run(const Options& o) {
  const fs::path work = fs::temp_directory_path() / fmt::format("carat_mutate_{}", ::getpid());
  std::vector<fs::path> files = write_builtin_seeds(work / "good");
  files.insert(files.end(), o.files.begin(), o.files.end());
  std::vector<Seed> seeds;
  for (const fs::path& file : files) seeds.push_back(load_seed(file, work / "cases", seeds.size()));
  // The untouched files must be read, or the mutations say nothing.
  for (const Seed& seed : seeds) {
    std::ofstream(seed.folder / seed.file.filename(), std::ios::binary) << seed.bytes;
    open_checkpoint(seed.given);
  }

  std::map<std::string, uint64_t> outcomes;  // "tokenizer: corrupt" -> cases
  uint64_t findings = 0;
  double slowest = 0;
  uint64_t slowest_case = 0;
  for (uint64_t number = o.from; number < o.from + o.count; ++number) {
    Rng rng(o.seed, number);
    const Seed& seed = seeds[number % seeds.size()];
    note_case(o.seed, number, seed.file);
    const std::string bytes = spoilt(seed, rng);
    std::ofstream(seed.folder / seed.file.filename(), std::ios::binary | std::ios::trunc) << bytes;
    if (o.count == 1) keep(seed, number, bytes);
    const auto start = std::chrono::steady_clock::now();
    ::alarm(kSecondsPerCase);
    for (const Target& target : targets()) {
      std::string outcome = "accepted";
      try {
        target.run(seed.given);
      } catch (const Error& e) {
        outcome = to_string(e.code());
        if (e.code() == ErrorCode::internal || std::string_view(e.what()).find('\n') != std::string_view::npos) {
          fmt::print(stderr, "FINDING in {}, {}: {}\n", current_case.data(), target.name, e.what());
          keep(seed, number, bytes);
          ++findings;
        }
      } catch (const std::exception& e) {
        fmt::print(stderr, "FINDING in {}, {}: foreign exception: {}\n", current_case.data(), target.name, e.what());
        keep(seed, number, bytes);
        ++findings;
        outcome = "FOREIGN EXCEPTION";
      }
      ++outcomes[fmt::format("{}: {}", target.name, outcome)];
    }
    ::alarm(0);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (seconds > slowest) slowest = seconds, slowest_case = number;
  }
  fs::remove_all(work);
  fmt::print("{} cases of {} files, {} findings; slowest {:.3f} s (case {})\n", o.count, seeds.size(), findings, slowest, slowest_case);
  for (const auto& [outcome, n] : outcomes) fmt::print("  {:32} {}\n", outcome, n);
  return findings == 0 ? 0 : 1;
}

}  // namespace
}  // namespace carat::fuzz

int main(int argc, char** argv) {
  carat::fuzz::set_limits();
  try {
    return carat::fuzz::run(carat::fuzz::parse(argc, argv));
  } catch (const std::exception& e) {
    fmt::print(stderr, "{}\n", e.what());
    return 2;
  }
}
