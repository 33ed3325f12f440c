#pragma once
// The log: one line an event, "carat: level: message key=value ...", to stderr or to a sink of the caller's.
// Never put prompts, completions or keys into it.
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>

namespace carat::log {

enum class Level : uint8_t { debug, info, warning, error, off };

// A value next to a message. Made from text, numbers and bools.
struct Field {
  std::string_view key;
  std::string value;

  Field(std::string_view k, std::string_view v) : key(k), value(v) {}
  Field(std::string_view k, const char* v) : key(k), value(v) {}
  Field(std::string_view k, bool v) : key(k), value(v ? "true" : "false") {}
  Field(std::string_view k, double v);
  template <typename Int>
    requires(std::is_integral_v<Int> && !std::is_same_v<Int, bool>)
  Field(std::string_view k, Int v) : key(k), value(std::to_string(v)) {}
};

using Fields = std::initializer_list<Field>;
using Sink = std::function<void(Level level, const std::string& line)>;

// The least level that is written. At start: warning, or what CARAT_LOG names (debug, info, warning, error, off).
void set_level(Level level);
Level level();
// Where lines go from now on; an empty sink means stderr again. The sink is called by one thread at a time and must not log.
void set_sink(Sink sink);

// Thread-safe. Values with spaces, quotes or control characters are quoted and escaped, so that a line stays a line.
void write(Level level, std::string_view message, Fields fields = {});
inline void debug(std::string_view message, Fields fields = {}) { write(Level::debug, message, fields); }
inline void info(std::string_view message, Fields fields = {}) { write(Level::info, message, fields); }
inline void warning(std::string_view message, Fields fields = {}) { write(Level::warning, message, fields); }
inline void error(std::string_view message, Fields fields = {}) { write(Level::error, message, fields); }

}  // namespace carat::log
