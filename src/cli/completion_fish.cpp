#include <fmt/format.h>

#include "cli/completion.h"

namespace carat::cli {
namespace {

// Inside '...' of fish.
std::string quoted(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

// What may follow: -x wants a value and no file, -r -F a file.
std::string value(const TableOption& o) {
  switch (o.kind) {
    case ValueKind::choice: return fmt::format(" -x -a '{}'", quoted(joined(o.choices, " ")));
    case ValueKind::file: return " -r -F";
    case ValueKind::folder: return " -x -a '(__fish_complete_directories)'";
    case ValueKind::model: return fmt::format(" -r -F -a '{}'", quoted(joined(model_names(), " ")));
    case ValueKind::text: return " -x";
    case ValueKind::none: break;
  }
  return "";
}

}  // namespace

std::string fish_completion(const std::vector<TableCommand>& table) {
  std::string script = "# Completion of carat for fish. Made by: carat completion fish\n\ncomplete -c carat -f\n";
  script +=
      "complete -c carat -n __fish_use_subcommand -l help -s h -d 'print the commands'\ncomplete -c carat -n __fish_use_subcommand -l version -d 'print the "
      "version'\n";
  for (const TableCommand& c : table) script += fmt::format("complete -c carat -n __fish_use_subcommand -a {} -d '{}'\n", c.name, quoted(c.summary));
  for (const TableCommand& c : table) {
    const std::string when = fmt::format("complete -c carat -n '__fish_seen_subcommand_from {}'", c.name);
    script += "\n";
    for (const TableOption& p : c.positionals) {
      if (p.kind == ValueKind::choice) script += fmt::format("{} -a '{}'\n", when, quoted(joined(p.choices, " ")));
      if (p.kind == ValueKind::model) script += fmt::format("{} -F -a '{}'\n", when, quoted(joined(model_names(), " ")));
      if (p.kind == ValueKind::file) script += when + " -F\n";
    }
    for (const TableOption& o : c.options) {
      script += when;
      for (const std::string& name : o.names) script += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
      script += fmt::format("{} -d '{}'\n", value(o), quoted(o.help));
    }
  }
  return script;
}

}  // namespace carat::cli
