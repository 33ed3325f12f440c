#include "cli/command_table.h"

#include <CLI/CLI.hpp>
#include <string_view>

#include "cli/command.h"

namespace carat::cli {
namespace {

// CLI11 writes what a check allows behind the type: "TYPE:{f16,q8,f32}".
std::vector<std::string> choices_of(const std::string& type) {
  std::vector<std::string> choices;
  const size_t open = type.find('{'), close = type.find('}', open == std::string::npos ? 0 : open);
  if (open == std::string::npos || close == std::string::npos) return choices;
  for (size_t at = open + 1; at < close;) {
    const size_t end = std::min(type.find(',', at), close);
    if (end > at) choices.push_back(type.substr(at, end - at));
    at = end + 1;
  }
  return choices;
}

ValueKind kind_of(const TableOption& option, bool positional) {
  if (!option.choices.empty()) return ValueKind::choice;
  const std::string& word = positional ? option.names.front() : option.type;
  if (word == "MODEL" || word == "IN") return ValueKind::model;
  if (word == "DIR" || word.find("=]DIR") != std::string::npos) return ValueKind::folder;
  // "FILE", "FILE|-"; a positional one such as OUT is a file to be written.
  if (word.starts_with("FILE") || word == "OUT") return ValueKind::file;
  return ValueKind::text;
}

TableOption option_of(const CLI::Option& o) {
  TableOption option;
  const bool positional = o.get_positional();
  if (positional) {
    option.names.push_back(o.get_name(true));
  } else {
    for (const std::string& name : o.get_lnames()) option.names.push_back("--" + name);
    for (const std::string& name : o.get_snames()) option.names.push_back("-" + name);
  }
  option.help = o.get_description();
  option.group = o.get_group();
  option.otherwise = o.get_default_str();
  if (o.get_items_expected_max() == 0) return option;  // a flag
  const std::string type = o.get_type_name();
  option.type = positional ? option.names.front() : type.substr(0, type.find(':'));
  option.choices = choices_of(type);
  option.kind = kind_of(option, positional);
  option.repeats = o.get_expected_max() > 1;
  return option;
}

// Options of option groups too, which each have a --help of their own. Hidden options have no group.
void collect(const CLI::App& app, TableCommand& command) {
  for (const CLI::Option* o : app.get_options()) {
    if (o->get_group().empty() || (o == app.get_help_ptr() && app.get_parent() != nullptr)) continue;
    (o->get_positional() ? command.positionals : command.options).push_back(option_of(*o));
  }
  for (const CLI::App* group : app.get_subcommands([](const CLI::App*) { return true; })) collect(*group, command);
}

}  // namespace

std::vector<TableCommand> command_table() {
  std::vector<TableCommand> table;
  for (const Command* command : all_commands()) {
    CLI::App app(std::string(command->summary), std::string(command->name));
    app.set_help_flag("-h,--help", "print this help");
    command->setup(app);
    TableCommand row;
    row.name = command->name, row.summary = command->summary, row.notes = command->notes;
    collect(app, row);
    table.push_back(std::move(row));
  }
  return table;
}

std::string joined(const std::vector<std::string>& words, std::string_view between) {
  std::string out;
  for (const std::string& word : words) {
    if (!out.empty()) out += between;
    out += word;
  }
  return out;
}

const std::vector<std::string>& model_names() {
  static const std::vector<std::string> names = {"gemma3:270m", "gemma3:1b",  "gemma3:4b",  "gemma3:12b", "gemma3:27b",
                                                 "gemma4:e2b",  "gemma4:e4b", "gemma4:12b", "gemma4:26b", "gemma4:31b"};
  return names;
}

}  // namespace carat::cli
