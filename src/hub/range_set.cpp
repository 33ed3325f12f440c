#include "hub/range_set.h"

#include <algorithm>

#include "base/error.h"
#include "base/json.h"

namespace carat::hub {

void RangeSet::add(ByteRange range) {
  if (range.begin >= range.end) return;
  const auto first = std::lower_bound(ranges_.begin(), ranges_.end(), range.begin, [](const ByteRange& r, uint64_t at) { return r.end < at; });
  auto last = first;
  for (; last != ranges_.end() && last->begin <= range.end; ++last) {
    range.begin = std::min(range.begin, last->begin);
    range.end = std::max(range.end, last->end);
  }
  ranges_.insert(ranges_.erase(first, last), range);
}

uint64_t RangeSet::total() const {
  uint64_t sum = 0;
  for (const ByteRange& range : ranges_) sum += range.size();
  return sum;
}

ByteRange RangeSet::first_gap(const RangeSet& a, const RangeSet& b, uint64_t size, uint64_t longest) {
  RangeSet both = a;
  for (const ByteRange& range : b.ranges_) both.add(range);
  uint64_t begin = 0, end = size;
  for (const ByteRange& range : both.ranges_) {
    if (range.begin > begin) {
      end = std::min(range.begin, size);
      break;
    }
    begin = range.end;
  }
  if (begin >= end) return {};
  return {begin, begin + std::min(end - begin, longest)};
}

std::string journal_text(const RangeSet& done, uint64_t size) {
  Json ranges = Json::array();
  for (const ByteRange& range : done.ranges()) ranges.push_back({range.begin, range.end});
  return Json{{"carat_journal", 1}, {"size", size}, {"on_disk", ranges}}.dump() + "\n";
}

RangeSet read_journal(std::string_view text, uint64_t size) {
  try {
    const Json json = parse_json(text, "journal", {.max_bytes = size_t{4} << 20, .max_depth = 4});
    if (!json.is_object() || json.value("carat_journal", 0) != 1 || json.at("size").get<uint64_t>() != size) return {};
    RangeSet done;
    uint64_t at = 0;
    for (const Json& pair : json.at("on_disk")) {
      if (!pair.is_array() || pair.size() != 2 || !pair[0].is_number_unsigned() || !pair[1].is_number_unsigned()) return {};
      const ByteRange range{pair[0].get<uint64_t>(), pair[1].get<uint64_t>()};
      if (range.begin < at || range.begin >= range.end || range.end > size) return {};
      at = range.end;
      done.add(range);
    }
    return done;
  } catch (const Error&) {
    return {};
  } catch (const Json::exception&) {
    return {};
  }
}

}  // namespace carat::hub
