#pragma once
// The chat template of a Hugging Face folder: a file of its own, else a member of an older one.
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace carat {

// read(name): a text file of the folder, empty when it is not there. As transformers has it: chat_template.jinja, else chat_template of chat_template.json or of
// tokenizer_config.json (a text, or a list of named ones, of which "default" counts). "": none. Fails with corrupt, naming `folder`.
std::string folder_template(const std::function<std::optional<std::string>(std::string_view name)>& read, const std::string& folder);

}  // namespace carat
