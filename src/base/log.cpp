#include "base/log.h"

#include <fmt/format.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <mutex>

namespace carat::log {
namespace {

Level level_from_environment() {
  const char* text = std::getenv("CARAT_LOG");
  const std::string_view name = text == nullptr ? "" : text;
  if (name == "debug") return Level::debug;
  if (name == "info") return Level::info;
  if (name == "error") return Level::error;
  if (name == "off") return Level::off;
  return Level::warning;
}

// The log's sink is one of the two singletons of the house.
struct State {
  std::atomic<Level> least{level_from_environment()};
  std::mutex mutex;
  Sink sink;
};

State& state() {
  static State instance;
  return instance;
}

std::string_view name_of(Level level) {
  switch (level) {
    case Level::debug: return "debug";
    case Level::info: return "info";
    case Level::warning: return "warning";
    case Level::error: return "error";
    case Level::off: break;
  }
  return "off";
}

// Control characters would break the line, or drive the terminal.
void append_escaped(std::string& out, std::string_view text) {
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", byte);
    } else {
      out.push_back(c);
    }
  }
}

void append_value(std::string& out, std::string_view value) {
  if (!value.empty() && value.find_first_of(" =\"\\") == std::string_view::npos) return append_escaped(out, value);
  out.push_back('"');
  for (const char c : value) {
    if (c == '"' || c == '\\') out.push_back('\\');
    append_escaped(out, std::string_view(&c, 1));
  }
  out.push_back('"');
}

}  // namespace

Field::Field(std::string_view k, double v) : key(k), value(fmt::format("{:.6g}", v)) {}

void set_level(Level level) { state().least = level; }
Level level() { return state().least; }

void set_sink(Sink sink) {
  const std::lock_guard lock(state().mutex);
  state().sink = std::move(sink);
}

void write(Level level, std::string_view message, Fields fields) {
  State& s = state();
  if (level == Level::off || level < s.least.load(std::memory_order_relaxed)) return;
  std::string line = fmt::format("carat: {}: ", name_of(level));
  append_escaped(line, message);
  for (const Field& field : fields) {
    line.push_back(' ');
    append_escaped(line, field.key);
    line.push_back('=');
    append_value(line, field.value);
  }
  const std::lock_guard lock(s.mutex);
  if (s.sink) return s.sink(level, line);
  line.push_back('\n');
  std::fwrite(line.data(), 1, line.size(), stderr);
}

}  // namespace carat::log
