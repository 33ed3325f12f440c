#include "cli/terminal/history_file.h"

#include <algorithm>
#include <span>
#include <system_error>

#include "base/error.h"
#include "base/file.h"
#include "base/output_file.h"
#include "base/utf8.h"

namespace carat::cli {
namespace {

std::string escape(std::string_view entry) {
  std::string line;
  for (const char c : entry) {
    if (c == '\n') {
      line += "\\n";
    } else if (c == '\\') {
      line += "\\\\";
    } else {
      line += c;
    }
  }
  return line;
}

std::string unescape(std::string_view line) {
  std::string entry;
  for (size_t i = 0; i < line.size(); ++i) {
    const bool escaped = line[i] == '\\' && i + 1 < line.size();
    if (escaped) ++i;
    entry += escaped && line[i] == 'n' ? '\n' : line[i];
  }
  return entry;
}

// Control characters have no place in what is shown while one edits.
bool can_be_kept(std::string_view entry) {
  return !entry.empty() && entry.front() != ' ' && entry.size() <= HistoryFile::kMaxEntryBytes && utf8_valid(entry) &&
         std::none_of(entry.begin(), entry.end(), [](char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t') || c == 0x7f; });
}

}  // namespace

HistoryFile::HistoryFile(std::filesystem::path path) : path_(std::move(path)), entries_(read()) {}

std::vector<std::string> HistoryFile::read() const {
  std::vector<std::string> entries;
  if (path_.empty()) return entries;
  std::string text;
  try {
    text = read_text_file(path_, kMaxFileBytes);
  } catch (const Error&) {
    return entries;
  }
  for (std::string_view rest = text; !rest.empty();) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    std::string entry = unescape(rest.substr(0, end));
    if (can_be_kept(entry)) entries.push_back(std::move(entry));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  if (entries.size() > kMaxEntries) entries.erase(entries.begin(), entries.end() - static_cast<std::ptrdiff_t>(kMaxEntries));
  return entries;
}

void HistoryFile::append(std::string entry) {
  std::erase(entries_, entry);
  entries_.push_back(std::move(entry));
  if (entries_.size() > kMaxEntries) entries_.erase(entries_.begin());
}

bool HistoryFile::add(std::string_view entry) {
  if (!can_be_kept(entry)) return true;
  if (path_.empty()) {
    append(std::string(entry));
    return true;
  }
  if (std::vector<std::string> now = read(); !now.empty()) entries_ = std::move(now);
  append(std::string(entry));
  // Of many long entries the oldest go, so that the file can be read again.
  std::string text;
  size_t first = entries_.size();
  for (size_t bytes = 0; first > 0; --first) {
    bytes += escape(entries_[first - 1]).size() + 1;
    if (bytes > kMaxFileBytes) break;
  }
  for (size_t i = first; i < entries_.size(); ++i) text += escape(entries_[i]) + "\n";
  try {
    std::error_code error;
    std::filesystem::create_directories(path_.parent_path(), error);
    write_file_atomically(path_, std::as_bytes(std::span(text)), true);
  } catch (const Error&) {
    return false;
  }
  return true;
}

}  // namespace carat::cli
