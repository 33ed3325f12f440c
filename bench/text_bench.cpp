// Speed of the tokenizer alone: text_bench [MODEL [TEXTS.jsonl...]]. Each line of a file is a JSON string, encoded by itself as ordinary text.
// Prints one JSON line: processor seconds of loading and, for each file, of encoding all of it (the best of three), with its tokens and their sum.
// Without arguments: the vocabulary of Gemma 4 in models/ and a few made-up lines.
#include <fmt/core.h>
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <limits>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "text/tokenizer.h"

namespace carat {
namespace {

double thread_seconds() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

std::vector<std::string> read_texts(const std::string& path) {
  std::vector<std::string> texts;
  const std::string all = read_text_file(path, uint64_t{256} << 20);
  for (size_t at = 0; at < all.size();) {
    const size_t end = std::min(all.find('\n', at), all.size());
    if (end > at) texts.push_back(parse_json(std::string_view(all).substr(at, end - at), path).get<std::string>());
    at = end + 1;
  }
  return texts;
}

std::vector<std::string> made_up_texts() {
  std::vector<std::string> texts;
  for (int i = 0; i < 2000; ++i)
    texts.push_back(fmt::format("Line {}: the quick brown fox jumps over the lazy dog, again and again.\n  return x[{}];\n", i, i * 7));
  return texts;
}

Json measure(const Tokenizer& tokenizer, const std::string& name, const std::vector<std::string>& texts) {
  double best = std::numeric_limits<double>::infinity();
  size_t bytes = 0, tokens = 0;
  int64_t sum = 0;
  for (const std::string& text : texts) bytes += text.size();
  for (int i = 0; i < 3; ++i) {
    std::vector<std::vector<TokenId>> all(texts.size());
    const double begin = thread_seconds();
    for (size_t k = 0; k < texts.size(); ++k) all[k] = tokenizer.encode(texts[k], {.add_bos = false, .parse_special = false});
    best = std::min(best, thread_seconds() - begin);
    tokens = 0, sum = 0;
    for (const auto& ids : all) {
      tokens += ids.size();
      for (const TokenId id : ids) sum += id;
    }
  }
  return {{"file", name},
          {"texts", texts.size()},
          {"bytes", bytes},
          {"tokens", tokens},
          {"sum", sum},
          {"seconds", best},
          {"MB_per_s", static_cast<double>(bytes) / best * 1e-6}};
}

int bench(int argc, char** argv) {
  if (argc > 1 && argv[1][0] == '-') argc = 1;  // options of the other benchmarks, as ./dev bench hands them to all
  const std::string model = argc > 1 ? argv[1] : "models/ggml-vocab-gemma-4.gguf";
  if (argc < 2 && !std::filesystem::exists(model)) {
    fmt::print(stderr, "text_bench: {} is not here (./dev model gets it): nothing to measure\n", model);
    return 0;
  }
  const double begin = thread_seconds();
  const auto tokenizer = Tokenizer::load(std::filesystem::path(model));
  const double load = thread_seconds() - begin;
  Json files = Json::array();
  for (int i = 2; i < argc; ++i) files.push_back(measure(*tokenizer, argv[i], read_texts(argv[i])));
  if (argc < 3) files.push_back(measure(*tokenizer, "made-up lines", made_up_texts()));
  fmt::print("{}\n", Json{{"model", model}, {"load_seconds", load}, {"files", files}}.dump());
  return 0;
}

}  // namespace
}  // namespace carat

int main(int argc, char** argv) {
  try {
    return carat::bench(argc, argv);
  } catch (const std::exception& e) {
    fmt::print(stderr, "text_bench: {}\n", e.what());
    return 1;
  }
}
