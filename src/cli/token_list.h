#pragma once
// Lists of token ids as commands read them: a JSON array of integers.
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace carat::cli {

// `what` names the source in messages ("standard input line 3"). Each id must be in [0, vocab_size). Fails with invalid_argument or corrupt.
std::vector<int32_t> token_ids_from(const Json& list, std::string_view what, int32_t vocab_size);
std::vector<int32_t> parse_token_ids(std::string_view text, std::string_view what, int32_t vocab_size);

}  // namespace carat::cli
