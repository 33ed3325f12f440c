#include "cli/conversation_file.h"

#include <cstdlib>
#include <span>
#include <system_error>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/output_file.h"
#include "cli/console.h"

namespace carat::cli {
namespace {

constexpr size_t kMaxBytes = size_t{64} << 20;

Json read(const std::filesystem::path& path) {
  return parse_json(read_text_file(path, kMaxBytes), terminal_safe(path.string()), {.max_bytes = kMaxBytes, .max_depth = 128});
}

bool is_conversation(const std::filesystem::path& path) {
  try {
    const Json saved = read(path);
    return saved.is_array() || (saved.is_object() && saved.contains("messages"));
  } catch (const Error&) {
    return false;
  }
}

}  // namespace

std::filesystem::path typed_path(const std::string& typed) {
  const char* home = std::getenv("HOME");
  return home != nullptr && typed.starts_with("~/") ? std::filesystem::path(home) / typed.substr(2) : std::filesystem::path(typed);
}

void save_conversation(const Conversation& conversation, const std::filesystem::path& path, bool ours) {
  std::error_code error;
  if (!ours && std::filesystem::exists(path, error) && !is_conversation(path)) {
    fail(ErrorCode::invalid_argument, "the file is there and is no conversation, {}, give another name or remove it", terminal_safe(path.string()));
  }
  const std::string text = conversation.to_json().dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
  write_file_atomically(path, std::as_bytes(std::span(text)), true);
}

void load_conversation(Conversation& conversation, const std::filesystem::path& path) { conversation.from_json(read(path)); }

}  // namespace carat::cli
