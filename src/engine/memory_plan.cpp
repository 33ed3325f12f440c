#include "engine/memory_plan.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <string_view>

#include "base/error.h"

namespace carat {
namespace {

constexpr uint64_t kUnlimited = std::numeric_limits<uint64_t>::max();
constexpr uint64_t kMargin = uint64_t{64} << 20;  // left to the rest of the machine

// "MemAvailable:  123 kB" of a file of such lines.
uint64_t field_kib(const char* file, std::string_view name, uint64_t otherwise) {
  std::ifstream in(file);
  std::string word;
  uint64_t kib = 0;
  while (in >> word) {
    if (word == name && in >> kib) return kib * 1024;
  }
  return otherwise;
}

uint64_t number_in(const std::string& file, uint64_t otherwise) {
  std::ifstream in(file);
  uint64_t n = 0;
  return in >> n ? n : otherwise;  // "max" is no number
}

uint64_t cgroup_left(const std::string& folder, const char* limit_name, const char* usage_name, std::string_view cache_name) {
  const uint64_t limit = number_in(folder + "/" + limit_name, kUnlimited);
  if (limit == kUnlimited) return kUnlimited;
  uint64_t used = number_in(folder + "/" + usage_name, 0);
  std::ifstream stat(folder + "/memory.stat");
  std::string word;
  uint64_t n = 0;
  while (stat >> word >> n) {
    if (word == cache_name) used -= std::min(used, n);  // file cache gives way
  }
  return limit - std::min(limit, used);
}

// The limits of this process's cgroup and all above it, of either version.
uint64_t cgroup_available() {
  uint64_t left = kUnlimited;
  std::ifstream in("/proc/self/cgroup");
  std::string line;
  while (std::getline(in, line)) {
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const bool v2 = controllers.empty();
    if (!v2 && controllers != "memory") continue;
    const std::string root = v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory";
    for (std::string path = line.substr(second + 1);; path = path.substr(0, path.rfind('/'))) {
      const std::string folder = root + (path == "/" ? "" : path);
      left = std::min(left, v2 ? cgroup_left(folder, "memory.max", "memory.current", "inactive_file")
                               : cgroup_left(folder, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"));
      if (path.empty() || path == "/" || path.find('/') == std::string::npos) break;
    }
  }
  return left;
}

void check_range(const char* name, int64_t value, int64_t least, int64_t most) {
  if (value < least || value > most) fail(ErrorCode::invalid_argument, "{}: {} is outside {}..{}", name, value, least, most);
}

int32_t chunk_of(const EngineOptions& o) { return o.prefill_chunk > 0 ? std::min(o.prefill_chunk, o.max_num_batched_tokens) : o.max_num_batched_tokens; }

}  // namespace

uint64_t available_memory() {
  const uint64_t machine = field_kib("/proc/meminfo", "MemAvailable:", uint64_t{1} << 30);
  return std::min(machine, cgroup_available());
}

uint64_t resident_memory() { return field_kib("/proc/self/status", "VmRSS:", 0); }

uint64_t activation_bytes(const ModelConfig& config, const EngineOptions& options) {
  int64_t widest = 0;  // floats a row of the hungriest layer
  for (const LayerConfig& layer : config.layers) {
    const int64_t heads = int64_t{layer.attn.num_attention_heads} + 2 * layer.attn.num_key_value_heads;
    int64_t floats = 8 * config.hidden_size + 3 * heads * layer.attn.head_dim + 3 * layer.intermediate_size;
    if (layer.has_experts) floats += config.num_experts * 2 + config.top_k_experts * (3 * config.moe_intermediate_size + 2 * config.hidden_size);
    widest = std::max(widest, floats);
  }
  const int64_t row = 2 * widest + 3 * config.hidden_size_per_layer_input * config.num_hidden_layers;  // two arenas take turns
  const int64_t logit_rows = options.max_num_seqs + std::max<int64_t>(1, kScoredLogitBytes / (4 * std::max<int64_t>(1, config.vocab_size)));
  return static_cast<uint64_t>(4 * (row * options.max_num_batched_tokens + 2 * logit_rows * config.vocab_size));
}

MemoryPlan plan_memory(const MemoryQuestion& q, const EngineOptions& o) {
  check_range("max_num_seqs", o.max_num_seqs, 1, 4096);
  check_range("max_num_batched_tokens", o.max_num_batched_tokens, o.max_num_seqs, 65536);  // each running sequence has its row
  check_range("prefill_chunk", o.prefill_chunk, 0, 65536);
  check_range("ctx", o.ctx, 0, q.max_positions);
  if (o.kv_bytes < 0) fail(ErrorCode::invalid_argument, "kv_bytes: {} is negative; 0 means what is needed, at most what the machine has", o.kv_bytes);

  MemoryPlan plan;
  plan.weights = q.weights;
  plan.activations = q.activations;
  plan.program = q.program;
  const uint64_t others = q.activations + kMargin + (q.loaded ? 0 : q.weights + q.program);
  const uint64_t left = q.available - std::min(q.available, others);
  const uint64_t budget = o.kv_bytes > 0 ? std::min(static_cast<uint64_t>(o.kv_bytes), left) : left;
  const auto slot = static_cast<uint64_t>(q.layout.slot_bytes());
  const auto most = static_cast<int32_t>(std::min<uint64_t>(budget / slot, std::numeric_limits<int32_t>::max() / 2));
  const int32_t chunk = chunk_of(o);

  int32_t fits = 0;  // the longest context of which one sequence fits
  for (int32_t lo = 1, hi = q.max_positions; lo <= hi;) {
    const int32_t mid = lo + (hi - lo) / 2;
    if (slots_of_sequence(q.layout, mid, chunk) <= most)
      fits = mid, lo = mid + 1;
    else
      hi = mid - 1;
  }
  if (fits < q.max_positions) fits = fits / q.layout.max_block_positions() * q.layout.max_block_positions();
  plan.ctx = o.ctx > 0 ? o.ctx : fits;
  plan.slots_per_sequence = slots_of_sequence(q.layout, std::max(plan.ctx, 1), chunk);
  plan.kv_per_sequence = static_cast<uint64_t>(plan.slots_per_sequence) * slot;
  if (plan.ctx == 0 || plan.slots_per_sequence > most) {
    const std::string advice = fits > 0 ? fmt::format("--ctx {} would fit", fits) : std::string("not even one block fits; free memory or take a smaller model");
    const int32_t wanted = o.ctx > 0 ? o.ctx : q.layout.max_block_positions();
    const uint64_t needs = static_cast<uint64_t>(slots_of_sequence(q.layout, wanted, chunk)) * slot;
    if (o.kv_bytes > 0) {
      fail(ErrorCode::exhausted, "KV cache: a context of {} needs {}, the memory allowed for it is {}; {}", wanted, format_bytes(needs), format_bytes(budget),
           advice);
    }
    fail(ErrorCode::exhausted, "memory: a context of {} needs {} (KV cache {}, activations {}{}), has {}; {}", wanted, format_bytes(needs + others),
         format_bytes(needs), format_bytes(q.activations), q.loaded ? std::string() : ", weights " + format_bytes(q.weights), format_bytes(q.available),
         advice);
  }
  // Room for two windows a sequence beside the running ones: a conversation's last turn and what all begin with.
  const KvGroupShape& sliding = q.layout.groups[kSlidingGroup];
  const int64_t window = std::min(sliding.window, plan.ctx);
  const int64_t windows = o.prefix_cache ? 2 * ((window + q.layout.block_positions[kSlidingGroup] - 1) / q.layout.block_positions[kSlidingGroup]) *
                                               q.layout.slots_per_block[kSlidingGroup]
                                         : 0;
  const int64_t wanted = (int64_t{plan.slots_per_sequence} + windows) * o.max_num_seqs;
  plan.num_slots = static_cast<int32_t>(std::clamp<int64_t>(o.kv_bytes > 0 ? most : wanted, plan.slots_per_sequence, most));
  plan.kv = static_cast<uint64_t>(plan.num_slots) * slot;
  return plan;
}

std::string format_bytes(uint64_t bytes) {
  const auto b = static_cast<double>(bytes);
  if (bytes >= uint64_t{1} << 30) return fmt::format("{:.2f} GiB", b / (1 << 30));
  if (bytes >= uint64_t{1} << 20) return fmt::format("{:.1f} MiB", b / (1 << 20));
  return fmt::format("{:.1f} KiB", b / 1024);
}

}  // namespace carat
