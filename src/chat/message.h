#pragma once
// The turns of a conversation, as OpenAI's clients write them, checked once and typed from there on.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace carat {

struct ContentPart {
  enum class Kind : uint8_t { text, image, audio, video };
  Kind kind = Kind::text;
  std::string text;  // UTF-8, of a text part
  Json media;        // of the others: the part as it was given (where its bytes are); not looked into here
};

struct Content {
  enum class Kind : uint8_t { none, text, parts, value };
  Kind kind = Kind::none;
  std::string text;                // kind text
  std::vector<ContentPart> parts;  // kind parts
  Json value;                      // kind value: a tool's result that is an object, a number, ... (role "tool" only)

  bool empty() const;  // as a template sees it: nothing, "", no parts, {}, 0, false, null
};

struct ToolCall {
  std::string id;  // "" when none was given
  std::string name;
  Json arguments = Json::object();  // an object; a string only when it was given as one that is no JSON object
};

// Results kept on the assistant's message itself (Google's own form); role "tool" messages are the usual one.
struct ToolResponse {
  std::string name;
  Json response;
};

struct Message {
  std::string role;  // system, developer, user, assistant, tool, or another name of letters, digits, '_' and '-'
  Content content;
  std::string reasoning;             // of an assistant: "reasoning" or "reasoning_content"
  bool reasoning_as_content = true;  // it goes by the name "reasoning_content" too: some templates look for nothing else. False when only "reasoning" was given
  std::vector<ToolCall> tool_calls;
  std::vector<ToolResponse> tool_responses;
  std::string tool_call_id;  // of a tool's result
  std::string name;
};

// Whether a tool can have this name and be called by it: 1 to 256 bytes without {, }, <, white space and control characters. What calls of the model hold too.
bool can_be_called(std::string_view name);

inline constexpr size_t kMaxMessages = 10000;
inline constexpr size_t kMaxTools = 1024;
inline constexpr size_t kMaxParts = 4096;  // of one message, and calls of one message

// The OpenAI form, read and written. Parts may also have the form of Hugging Face ({"type":"image"}; audio, video alike); arguments may be a string of JSON, as
// OpenAI's clients send them, or an object; members that are not known are passed over. Reading fails with invalid_argument and names the place
// ("messages[2].content[0].text"): a role or type that cannot be, arguments that are neither an object nor a string, text that is not UTF-8, too many messages,
// an empty list.
std::vector<Message> messages_from_json(const Json& messages, std::string_view where = "messages");
Json message_to_json(const Message& message);

// Checks an OpenAI tool list ([{"type":"function","function":{"name","description","parameters"}}], or bare functions); returns it in the first form. null and [] are none.
// Fails with invalid_argument and the place: a name that could not be called (empty, or holding {, }, <, white space), given twice, parameters that are no object.
Json tools_from_json(const Json& tools, std::string_view where = "tools");

}  // namespace carat
