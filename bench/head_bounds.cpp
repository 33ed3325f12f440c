// How much of the logits head a proven bound could leave unread: head_bounds MODEL TEXT [positions=128] [q8_0|q6_k] [threads=2].
// The head's codes are cut into a coarse plane (their high bits) and the rest. A row stays in the running for the best K when its coarse logit plus a bound on
// |rest . x| reaches the K-th best logit. Prints, averaged over positions spread over the text, the share of rows and of panels of 16 that stay, and the share of
// the head's bytes that would be read. Everything is in the bound's favour: the K-th best logit is taken as known, stored norms as exact and (but for their byte) free.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <mutex>
#include <sstream>

#include "base/error.h"
#include "base/thread_pool.h"
#include "formats/checkpoint.h"
#include "quant/encode.h"
#include "quant/text_run.h"
#include "tensor/blocks.h"
#include "tensor/dequantise.h"
#include "text/tokenizer.h"

namespace carat {
namespace {

constexpr int kGroup = 16;  // columns a norm is stored for where the bound goes by groups: half a block of Q8_0, a run of Q6_K
constexpr int kPanel = 16;  // rows that lie together
constexpr int kBest[] = {1, 64};
enum Bound { by_largest, by_norm, by_group_norms, by_absolutes, by_chance, kNumBounds };
constexpr const char* kBoundNames[kNumBounds] = {"sum of scale * largest rest * |x|", "norm of row", "norms of groups of 16",
                                                 "|rest| . |x|: no sign-blind bound is tighter", "NOT PROVEN: 5 standard deviations"};

float dot(const float* a, const float* b, int64_t n) {
  float lanes[16] = {};
  for (int64_t i = 0; i < n; i += 16)
    for (int j = 0; j < 16; ++j) lanes[j] += a[i + j] * b[i + j];
  float sum = 0;
  for (const float lane : lanes) sum += lane;
  return sum;
}

// The head as codes and a scale for each group.
struct Head {
  DType type;
  int64_t rows, cols;
  std::vector<int8_t> codes;
  std::vector<float> scales;
  int bits() const { return type == DType::q8_0 ? 8 : 6; }
  // Bytes of a row of the plane that is read for rows in the running only.
  double rest_bytes(int kept) const { return static_cast<double>(cols) * (bits() - kept) / 8; }
};

Head read_head(const Checkpoint& file, DType type) {
  const TensorInfo* t = file.find("output.weight");
  if (!t) t = &file.at("token_embd.weight");
  Head head{type, t->rows(), t->cols(), {}, {}};
  if (type == DType::q8_0 && t->dtype != type) fail(ErrorCode::unsupported, "{}: the head is not in Q8_0", t->name);
  if (head.cols % 256 != 0 && type == DType::q6_k) fmt::print("(columns are filled up with zeros to whole superblocks of 256)\n");
  const int64_t cols = type == DType::q6_k ? (head.cols + 255) / 256 * 256 : head.cols;
  head.codes.resize(static_cast<size_t>(head.rows * head.cols));
  head.scales.resize(static_cast<size_t>(head.rows * head.cols / kGroup));
  std::vector<std::byte> raw(static_cast<size_t>(t->bytes_per_row())), row(static_cast<size_t>(row_bytes(type, cols)));
  std::vector<float> values(static_cast<size_t>(cols));
  for (int64_t r = 0; r < head.rows; ++r) {
    int8_t* codes = head.codes.data() + r * head.cols;
    float* scales = head.scales.data() + r * head.cols / kGroup;
    t->read_rows(r, 1, raw.data());
    if (type == DType::q8_0) {
      for (int64_t i = 0; i < head.cols; ++i) {
        BlockQ8_0 b;
        std::memcpy(&b, raw.data() + i / 32 * static_cast<int64_t>(sizeof b), sizeof b);
        codes[i] = b.qs[i % 32];
        scales[i / kGroup] = f16_to_f32(b.d);
      }
      continue;
    }
    dequantise(t->dtype, raw.data(), values.data(), head.cols);
    quant::encode_row(type, values.data(), cols, nullptr, row.data());
    dequantise(type, row.data(), values.data(), cols);
    for (int64_t i = 0; i < head.cols; ++i) {
      BlockQ6_K b;
      std::memcpy(&b, row.data() + i / 256 * static_cast<int64_t>(sizeof b), sizeof b);
      const float scale = f16_to_f32(b.d) * static_cast<float>(b.scales[i % 256 / 16]);
      scales[i / kGroup] = scale;
      codes[i] = static_cast<int8_t>(scale == 0 ? 0 : std::lround(values[static_cast<size_t>(i)] / scale));
    }
  }
  return head;
}

// Rows of the final norm of `count` positions, spread evenly over the text.
std::vector<float> hidden_states(const char* model_path, const char* text_path, int64_t count, int threads) {
  auto ops = make_cpu_ops({.num_threads = threads});
  const auto checkpoint = Checkpoint::open(model_path);
  const auto model = Model::load(checkpoint, *ops);
  const auto tokenizer = Tokenizer::load(*checkpoint);
  std::stringstream text;
  text << std::ifstream(text_path).rdbuf();
  const auto ids = tokenizer->encode(text.str(), {.add_bos = false});
  std::vector<float> all, chosen;
  int64_t cols = 0;
  ops->tap = [&](const char* name, int64_t, Tensor x) {
    if (std::string_view(name) != "final_norm") return;
    cols = x.cols;
    all.insert(all.end(), x.data, x.data + x.size());
  };
  quant::TextRun run(*model, *ops);
  for (const auto& window : quant::windows_of(std::span(ids).first(std::min<size_t>(ids.size(), 4 * 511)), tokenizer->bos_id()))
    run.run(window, 32, [](int32_t, Tensor) {});
  const int64_t rows = static_cast<int64_t>(all.size()) / cols;
  if (rows < count) fail(ErrorCode::invalid_argument, "{}: only {} positions", text_path, rows);
  for (int64_t i = 0; i < count; ++i) {
    const float* row = all.data() + (2 * i + 1) * rows / (2 * count) * cols;
    chosen.insert(chosen.end(), row, row + cols);
  }
  return chosen;
}

struct Position {
  const float* x;
  std::vector<float> absolutes, group_norms, group_sums;
  float norm;
  float kth[std::size(kBest)];
};

struct Counts {
  int64_t rows[kNumBounds][std::size(kBest)] = {}, panels[kNumBounds][std::size(kBest)] = {};
};

// What of one panel stays in the running.
void count_panel(const Head& head, int64_t first, int kept, const std::vector<Position>& positions, Counts& counts) {
  const int64_t cols = head.cols, groups = cols / kGroup;
  const int step = 1 << (head.bits() - kept);
  const float middle = 0.5f * static_cast<float>(step - 1);  // what the coarse plane puts in place of the rest
  std::vector<float> coarse(static_cast<size_t>(kPanel * cols)), rest = coarse;
  std::vector<float> norms(static_cast<size_t>(kPanel * groups)), largest = norms;
  float row_norm[kPanel];
  for (int r = 0; r < kPanel; ++r) {
    double square = 0;
    for (int64_t g = 0; g < groups; ++g) {
      const float scale = head.scales[static_cast<size_t>((first + r) * groups + g)];
      float sum = 0;
      for (int64_t i = r * cols + g * kGroup; i < r * cols + (g + 1) * kGroup; ++i) {
        const int code = head.codes[static_cast<size_t>(first * cols + i)], low = code & (step - 1);
        const float part = scale * (static_cast<float>(low) - middle);
        coarse[static_cast<size_t>(i)] = scale * (static_cast<float>(code - low) + middle);
        rest[static_cast<size_t>(i)] = std::fabs(part);
        sum += part * part;
      }
      norms[static_cast<size_t>(r * groups + g)] = std::sqrt(sum);
      largest[static_cast<size_t>(r * groups + g)] = std::fabs(scale) * middle;
      square += static_cast<double>(sum);
    }
    row_norm[r] = static_cast<float>(std::sqrt(square));
  }
  for (const Position& p : positions) {
    bool stays[kNumBounds][std::size(kBest)] = {};
    for (int r = 0; r < kPanel; ++r) {
      const float near = dot(coarse.data() + r * cols, p.x, cols);
      float bound[kNumBounds], chance = 0, by_group = 0, by_sum = 0;
      for (int64_t g = 0; g < groups; ++g) {
        const float n = norms[static_cast<size_t>(r * groups + g)] * p.group_norms[static_cast<size_t>(g)];
        by_group += n;
        chance += n * n / kGroup;
        by_sum += largest[static_cast<size_t>(r * groups + g)] * p.group_sums[static_cast<size_t>(g)];
      }
      bound[by_largest] = by_sum;
      bound[by_norm] = row_norm[r] * p.norm;
      bound[by_group_norms] = by_group;
      bound[by_absolutes] = dot(rest.data() + r * cols, p.absolutes.data(), cols);
      bound[by_chance] = 5 * std::sqrt(chance);
      for (int b = 0; b < kNumBounds; ++b) {
        for (size_t k = 0; k < std::size(kBest); ++k) {
          if (near + bound[b] < p.kth[k]) continue;
          ++counts.rows[b][k];
          stays[b][k] = true;
        }
      }
    }
    for (int b = 0; b < kNumBounds; ++b)
      for (size_t k = 0; k < std::size(kBest); ++k) counts.panels[b][k] += stays[b][k];
  }
}

std::vector<Position> prepare(const Head& head, const std::vector<float>& states, ThreadPool& pool) {
  std::vector<Position> positions(states.size() / static_cast<size_t>(head.cols));
  pool.parallel_for(static_cast<int64_t>(positions.size()), 1, [&](int64_t begin, int64_t end, int) {
    std::vector<float> logits(static_cast<size_t>(head.rows)), row(static_cast<size_t>(head.cols));
    for (int64_t at = begin; at < end; ++at) {
      Position& p = positions[static_cast<size_t>(at)];
      p.x = states.data() + at * head.cols;
      p.norm = std::sqrt(dot(p.x, p.x, head.cols));
      for (int64_t i = 0; i < head.cols; ++i) p.absolutes.push_back(std::fabs(p.x[i]));
      for (int64_t g = 0; g < head.cols; g += kGroup) {
        p.group_norms.push_back(std::sqrt(dot(p.x + g, p.x + g, kGroup)));
        float sum = 0;
        for (int64_t i = g; i < g + kGroup; ++i) sum += p.absolutes[static_cast<size_t>(i)];
        p.group_sums.push_back(sum);
      }
      for (int64_t r = 0; r < head.rows; ++r) {
        const int8_t* codes = head.codes.data() + r * head.cols;
        const float* scales = head.scales.data() + r * head.cols / kGroup;
        for (int64_t g = 0; g < head.cols / kGroup; ++g)
          for (int64_t i = g * kGroup; i < (g + 1) * kGroup; ++i) row[static_cast<size_t>(i)] = scales[g] * static_cast<float>(codes[i]);
        logits[static_cast<size_t>(r)] = dot(row.data(), p.x, head.cols);
      }
      for (size_t k = 0; k < std::size(kBest); ++k) {
        std::nth_element(logits.begin(), logits.begin() + (kBest[k] - 1), logits.end(), std::greater<>());
        p.kth[k] = logits[static_cast<size_t>(kBest[k] - 1)];
      }
    }
  });
  return positions;
}

int measure(int argc, char** argv) {
  const int count = argc > 3 ? std::atoi(argv[3]) : 128, threads = argc > 5 ? std::atoi(argv[5]) : 2;
  const DType type = argc > 4 && std::string_view(argv[4]) == "q6_k" ? DType::q6_k : DType::q8_0;
  const auto states = hidden_states(argv[1], argv[2], count, threads);
  const Head head = read_head(*Checkpoint::open(argv[1]), type);
  ThreadPool pool(threads);
  const auto positions = prepare(head, states, pool);
  for (int kept = head.bits() - 1; kept >= std::max(2, head.bits() - 5); --kept) {
    Counts total;
    std::mutex mutex;
    pool.parallel_for(head.rows / kPanel, 64, [&](int64_t begin, int64_t end, int) {
      Counts mine;
      for (int64_t panel = begin; panel < end; ++panel) count_panel(head, panel * kPanel, kept, positions, mine);
      std::lock_guard lock(mutex);
      for (int b = 0; b < kNumBounds; ++b)
        for (size_t k = 0; k < std::size(kBest); ++k) total.rows[b][k] += mine.rows[b][k], total.panels[b][k] += mine.panels[b][k];
    });
    fmt::print("\n{} of {} bits coarse\n", kept, head.bits());
    for (int b = 0; b < kNumBounds; ++b) {
      const double norms = b == by_group_norms ? static_cast<double>(head.cols) / kGroup : 0;
      const double whole = static_cast<double>(row_bytes(type, (head.cols + 255) / 256 * 256)) * static_cast<double>(head.cols) /
                           static_cast<double>((head.cols + 255) / 256 * 256);
      for (size_t k = 0; k < std::size(kBest); ++k) {
        const double all = static_cast<double>(head.rows) * static_cast<double>(positions.size());
        const double rows = static_cast<double>(total.rows[b][k]) / all, panels = static_cast<double>(total.panels[b][k]) * kPanel / all;
        const auto read = [&](double share) { return (whole - head.rest_bytes(kept) * (1 - share) + norms) / whole; };
        fmt::print("  best {:2}: rows {:7.3f} %, panels {:7.3f} %, bytes read {:5.1f} % (by rows {:5.1f} %)  {}\n", kBest[k], 100 * rows, 100 * panels,
                   100 * read(panels), 100 * read(rows), kBoundNames[b]);
      }
    }
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace
}  // namespace carat

int main(int argc, char** argv) {
  if (argc < 3) return std::fputs("usage: head_bounds MODEL TEXT [positions] [q8_0|q6_k] [threads]\n", stderr), 2;
  try {
    return carat::measure(argc, argv);
  } catch (const carat::Error& e) {
    fmt::print(stderr, "error: {}\n", e.what());
    return 1;
  }
}
