#pragma once
// What a sequence has said so far, as the penalties see it. Costs 4 bytes a word of the vocabulary: made only when a penalty is on.
#include <cstdint>
#include <span>
#include <vector>

namespace carat {

class TokenHistory {
 public:
  explicit TokenHistory(int32_t vocab_size) : counts_(static_cast<size_t>(vocab_size)) {}

  void add_prompt(std::span<const int32_t> ids) {
    for (const int32_t id : ids) see(id);
  }
  void add_output(int32_t id) { see(id), counts_[static_cast<size_t>(id)] += 2; }

  const std::vector<int32_t>& seen() const { return seen_; }  // each id once, in order of appearance
  int32_t output_count(int32_t id) const { return static_cast<int32_t>(counts_[static_cast<size_t>(id)] >> 1); }

 private:
  void see(int32_t id) {
    uint32_t& c = counts_[static_cast<size_t>(id)];
    if ((c & 1) == 0) c |= 1, seen_.push_back(id);
  }
  std::vector<uint32_t> counts_;  // bit 0: seen; the rest: how often in the output
  std::vector<int32_t> seen_;
};

}  // namespace carat
