#pragma once
// stdin, stdout and files as commands use them. stdout takes the answer and nothing else; whatever cannot be written is an error, never half an answer.
#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace carat::cli {

// At the start of main(): what a launcher left closed becomes /dev/null (an empty stdin, a stdout that takes nothing), so that no model file
// gets its number.
void open_standard_files();

// Buffered; fails with io when stdout cannot take it (full disk, reader gone).
void print(std::string_view text);
// One JSON document and a newline. Text that is not UTF-8 gets U+FFFD for each bad byte; numbers that JSON lacks become null. On a terminal it is json_for_terminal().
void print_json(const nlohmann::ordered_json& document);
// Hands over what print() has buffered. main() calls it at the end; streams call it after each piece.
void flush_output();

bool stdin_is_terminal();
bool stdout_is_terminal();

// The whole of a file, "-": of stdin. At most 1 GiB. Fails with not_found, io, exhausted.
std::string read_input(const std::string& path);
// Calls fn(line, number) for each line of a file or stdin ("-"), without its newline, numbers from 1; lines of at most 256 MiB.
void for_each_line(const std::string& path, const std::function<void(std::string_view line, int64_t number)>& fn);
// "standard input" or the path: for messages.
std::string input_name(const std::string& path);

// JSON for a terminal, JSON still: the control characters that it lets stand in its strings (U+007F to U+009F) as \u00NN.
std::string json_for_terminal(std::string_view json);

// Text for a terminal: control characters other than newline and tab, which could drive the terminal, as \xNN; bad UTF-8 as U+FFFD.
std::string terminal_safe(std::string_view text);

}  // namespace carat::cli
