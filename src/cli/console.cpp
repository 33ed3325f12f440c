#include "cli/console.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.h"

namespace carat::cli {
namespace {

constexpr size_t kMaxInput = size_t{1} << 30;
constexpr size_t kMaxLine = size_t{256} << 20;
constexpr std::string_view kReplacement = "\xef\xbf\xbd";

[[noreturn]] void fail_output() {
  fail(ErrorCode::io, "the answer could not be written, to standard output: {}, free space or let its reader stay", std::strerror(errno));
}

struct CloseFile {
  void operator()(FILE* file) const {
    if (file != stdin) std::fclose(file);
  }
};
using File = std::unique_ptr<FILE, CloseFile>;

File open_input(const std::string& path) {
  if (path == "-") return File(stdin);
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) {
    fail(errno == ENOENT ? ErrorCode::not_found : ErrorCode::io, "the input cannot be read, {}: {}, check the path", terminal_safe(path), std::strerror(errno));
  }
  if (S_ISDIR(status.st_mode)) fail(ErrorCode::io, "the input cannot be read, {}: it is a folder, name a file", terminal_safe(path));
  File file(std::fopen(path.c_str(), "rb"));
  if (!file) fail(ErrorCode::io, "the input cannot be read, {}: {}, check its permissions", terminal_safe(path), std::strerror(errno));
  return file;
}

void check_read(FILE* file, const std::string& path) {
  if (std::ferror(file)) fail(ErrorCode::io, "the input cannot be read, {}: {}, try again", input_name(path), std::strerror(errno));
}

// Bytes of the well-formed UTF-8 character at the start of text, 0 if there is none.
size_t character_bytes(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  const size_t n = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < n) return 0;
  for (size_t i = 1; i < n; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  // Overlong forms, surrogates, and what lies above U+10FFFF.
  if ((first == 0xe0 && byte(1) < 0xa0) || (first == 0xed && byte(1) > 0x9f) || (first == 0xf0 && byte(1) < 0x90) || (first == 0xf4 && byte(1) > 0x8f))
    return 0;
  return n;
}

}  // namespace

void open_standard_files() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    // The lowest free number is taken: those below are open by now. Read-only: an answer that nobody can get is an error.
    if (::fcntl(fd, F_GETFD) < 0 && ::open("/dev/null", O_RDONLY) != fd) ::_exit(1);
  }
}

void print(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) fail_output();
}

std::string json_for_terminal(std::string_view json) {
  std::string out;
  out.reserve(json.size());
  for (size_t i = 0; i < json.size(); ++i) {
    const auto byte = static_cast<unsigned char>(json[i]);
    const auto next = i + 1 < json.size() ? static_cast<unsigned char>(json[i + 1]) : 0U;
    const bool c1 = byte == 0xc2 && next >= 0x80 && next < 0xa0;
    if (c1 || byte == 0x7f) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", c1 ? next : byte);
      i += c1 ? 1 : 0;
    } else {
      out += json[i];
    }
  }
  return out;
}

void print_json(const nlohmann::ordered_json& document) {
  const std::string text = document.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  print(stdout_is_terminal() ? json_for_terminal(text) : text);
  print("\n");
}

void flush_output() {
  if (std::fflush(stdout) != 0) fail_output();
}

bool stdin_is_terminal() { return ::isatty(STDIN_FILENO) == 1; }
bool stdout_is_terminal() { return ::isatty(STDOUT_FILENO) == 1; }

std::string input_name(const std::string& path) { return path == "-" ? "standard input" : terminal_safe(path); }

std::string read_input(const std::string& path) {
  const File file = open_input(path);
  std::string text;
  char buffer[1 << 16];
  while (const size_t n = std::fread(buffer, 1, sizeof buffer, file.get())) {
    if (text.size() + n > kMaxInput) fail(ErrorCode::exhausted, "the input is longer than 1 GiB, {}, cut it into parts", input_name(path));
    text.append(buffer, n);
  }
  check_read(file.get(), path);
  return text;
}

void for_each_line(const std::string& path, const std::function<void(std::string_view line, int64_t number)>& fn) {
  const File file = open_input(path);
  std::string line;
  int64_t number = 1;
  // Character by character: a line is handed on when it ends, not when a buffer is full, and one without end is refused before it fills the memory.
  for (int c = ::getc_unlocked(file.get()); c != EOF; c = ::getc_unlocked(file.get())) {
    if (c == '\n') {
      fn(line, number++);
      line.clear();
      continue;
    }
    if (line.size() == kMaxLine) fail(ErrorCode::exhausted, "a line is longer than 256 MiB, {} line {}, cut it into parts", input_name(path), number);
    line += static_cast<char>(c);
  }
  check_read(file.get(), path);
  if (!line.empty()) fn(line, number);
}

std::string terminal_safe(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const size_t n = character_bytes(text);
    const auto first = static_cast<unsigned char>(text[0]);
    // U+0080..U+009F are control characters too (C2 80..C2 9F).
    const bool control =
        (first < 0x20 && first != '\n' && first != '\t') || first == 0x7f || (n == 2 && first == 0xc2 && static_cast<unsigned char>(text[1]) < 0xa0);
    if (n == 0) {
      out += kReplacement;
    } else if (control) {
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", n == 1 ? first : static_cast<unsigned char>(text[1]));
    } else {
      out += text.substr(0, n);
    }
    text.remove_prefix(n == 0 ? 1 : n);
  }
  return out;
}

}  // namespace carat::cli
