#pragma once
// The options of every command as plain data, taken from what the commands declare themselves: for shell completion and the manual page.
#include <string>
#include <string_view>
#include <vector>

namespace carat::cli {

enum class ValueKind {
  none,    // a flag
  text,    // anything: nothing to offer
  file,    // a path of a file
  folder,  // a path of a folder
  model,   // a path or a name
  choice,  // one of `choices`
};

struct TableOption {
  std::vector<std::string> names;  // "--max-tokens", "-n"; of a positional one: "MODEL"
  std::string help, group;
  std::string type;  // what stands for the value: "FILE", "N"
  ValueKind kind = ValueKind::none;
  std::vector<std::string> choices;
  std::string otherwise;  // its default, if the option says one
  bool repeats = false;   // more than one value
};

struct TableCommand {
  std::string name, summary, notes;
  std::vector<TableOption> options;      // in the order of --help, --help first
  std::vector<TableOption> positionals;  // in order
};

std::vector<TableCommand> command_table();

// "a b c"
std::string joined(const std::vector<std::string>& words, std::string_view between);

// Names of models that are worth offering.
const std::vector<std::string>& model_names();

}  // namespace carat::cli
