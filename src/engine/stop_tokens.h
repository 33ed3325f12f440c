#pragma once
// The ids that end an answer by themselves.
#include <cstdint>
#include <vector>

#include "text/tokenizer.h"

namespace carat {

// eos_ids: as the model's config names them. A model that ends turns (<turn|>) also ends where it hands over to its tools (<|tool_response>), which some
// configs leave out: the answer would go on with results that the model makes up. tokenizer may be null.
std::vector<int32_t> stop_tokens(std::vector<int32_t> eos_ids, const Tokenizer* tokenizer);

}  // namespace carat
