#pragma once
// Gemma 4's own syntax for what others give: a model's earlier text, and values: arguments of calls, results of tools, words of a tool's declaration (docs/chat.md). Strings stand raw between <|"|>.
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "chat/prompt_writer.h"

namespace carat::gemma4 {

inline constexpr std::string_view kQuote = "<|\"|>";

enum class Null : uint8_t { as_none, as_null };  // "None", or from the canonical revision on "null"
enum class Keys : uint8_t { plain, quoted };

// Members in the order that Jinja's dictsort gives: by name without regard to case, equal ones as they came. `object` must outlive the result.
std::vector<std::pair<const std::string*, const Json*>> sorted_members(const Json& object);

// What a model has said before, without its thoughts, and stripped: split at every <channel|>, each part up to its first <|channel>.
std::string strip_thinking(std::string_view text);

void write_string(PromptWriter& out, std::string_view text);  // <|"|>text<|"|>
void write_value(PromptWriter& out, const Json& value, Null null, Keys keys);
void write_members(PromptWriter& out, const Json& object, Null null, Keys keys);  // key:value,key:value

}  // namespace carat::gemma4
