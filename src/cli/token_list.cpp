#include "cli/token_list.h"

#include "base/error.h"

namespace carat::cli {

std::vector<int32_t> token_ids_from(const Json& list, std::string_view what, int32_t vocab_size) {
  if (!list.is_array()) fail(ErrorCode::invalid_argument, "the token ids are not a list, {}, write them as [2, 9259]", what);
  std::vector<int32_t> ids;
  ids.reserve(list.size());
  for (const Json& item : list) {
    const bool fits = item.is_number_unsigned() && item.get<uint64_t>() < static_cast<uint64_t>(vocab_size);
    if (!fits) {
      fail(ErrorCode::invalid_argument, "a token id is no integer from 0 to {}, {} item {}, ask carat tokenize for the ids of a text", vocab_size - 1, what,
           ids.size());
    }
    ids.push_back(item.get<int32_t>());
  }
  return ids;
}

std::vector<int32_t> parse_token_ids(std::string_view text, std::string_view what, int32_t vocab_size) {
  constexpr JsonLimits limits{.max_bytes = size_t{256} << 20, .max_depth = 4};
  return token_ids_from(parse_json(text, what, limits), what, vocab_size);
}

}  // namespace carat::cli
