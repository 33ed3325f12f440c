#pragma once
// Conversations on disk: OpenAI's messages as JSON, whole or not at all, readable by their owner only.
#include <filesystem>

#include "chat/conversation.h"

namespace carat::cli {

// "~/" at the start of what a person typed is the home folder.
std::filesystem::path typed_path(const std::string& typed);

// A file that is there and is no conversation is not written over, unless it is `ours`. Fails with invalid_argument (that), not_found (its folder), io.
void save_conversation(const Conversation& conversation, const std::filesystem::path& path, bool ours = false);
// Fails with not_found, io, corrupt, exhausted, invalid_argument; the conversation is as before then.
void load_conversation(Conversation& conversation, const std::filesystem::path& path);

}  // namespace carat::cli
