#pragma once
// Which bytes of a file are there: disjoint ranges in order. Small: a download adds a few at a time, and neighbours grow together.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace carat::hub {

struct ByteRange {
  uint64_t begin = 0, end = 0;  // [begin, end)
  uint64_t size() const { return end - begin; }
  bool operator==(const ByteRange&) const = default;
};

class RangeSet {
 public:
  void add(ByteRange range);  // an empty one changes nothing
  const std::vector<ByteRange>& ranges() const { return ranges_; }
  uint64_t total() const;
  // The first range of [0, size) that is in neither set, at most `longest` bytes of it; empty: there is none.
  static ByteRange first_gap(const RangeSet& a, const RangeSet& b, uint64_t size, uint64_t longest);
  bool operator==(const RangeSet&) const = default;

 private:
  std::vector<ByteRange> ranges_;
};

// The journal's text: which of a file's `size` bytes are on disk.
std::string journal_text(const RangeSet& done, uint64_t size);
// What a journal claims; nothing at all if it is not exactly a journal for a file of this size.
RangeSet read_journal(std::string_view text, uint64_t size);

}  // namespace carat::hub
