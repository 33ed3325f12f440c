#pragma once
// What `carat inspect` found out about a model: gathered once, shown as JSON or as text.
#include <filesystem>
#include <string>

#include "base/json.h"

namespace carat::cli {

// {"path", "kind", "file_bytes", "config", "metadata", "chat_template", "tensors": [{"name", "type", "shape", "bytes", "offset"}],
//  "totals": {"tensors", "parameters", "bytes", "by_type": {TYPE: {the same}}}, "problems": [text]}.
// "chat_template" is null, or {"bytes", "format": as ChatFormat::name(), null for one that is not known, "differences": [text]: where it differs from those that are}.
// Long arrays of metadata appear as {"type", "length", "first": [...]}. Whatever can be opened gives a report; what is wrong inside stands in "problems".
Json inspect_model(const std::filesystem::path& path);

// The same for a person; safe on a terminal whatever the file holds.
std::string inspect_text(const Json& report);

}  // namespace carat::cli
