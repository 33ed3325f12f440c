#pragma once
// The published chat templates, known by their text: the quick way, and the only one where templates cannot be run.
#include <memory>
#include <string_view>

#include "chat/chat_format.h"

namespace carat {

// null: it is none of them, letter by letter but for blanks at its end; it may print the same all the same (check_template). A text made to have another's hash
// gets that one's format: no more than it could have by being that text.
std::shared_ptr<const ChatFormat> published_format(std::string_view chat_template);

}  // namespace carat
