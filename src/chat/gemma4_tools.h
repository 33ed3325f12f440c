#pragma once
// The declaration of a tool in Gemma 4's system turn: what of its JSON Schema the model gets to see (docs/chat.md).
#include <string>

#include "base/json.h"
#include "chat/chat_format.h"
#include "chat/prompt_writer.h"

namespace carat::gemma4 {

// declaration:NAME{...}, without the control tokens around it. function: of tools_from_json(). `where` is its place for messages.
// Fails with invalid_argument for a schema that cannot be said: "required" that is no list, "properties" that is no object, a type with other than ASCII letters.
void write_declaration(PromptWriter& out, const Json& function, Gemma4Revision revision, const std::string& where);

}  // namespace carat::gemma4
