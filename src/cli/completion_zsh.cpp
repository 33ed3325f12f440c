#include <fmt/format.h>

#include "cli/completion.h"

namespace carat::cli {
namespace {

// Inside '...' of the shell, and inside [...] or between colons of _arguments.
std::string quoted(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      if (c == '[' || c == ']' || c == ':' || c == '\\') out += '\\';
      out += c;
    }
  }
  return out;
}

std::string action(const TableOption& o) {
  switch (o.kind) {
    case ValueKind::choice: return fmt::format("({})", joined(o.choices, " "));
    case ValueKind::file: return "_files";
    case ValueKind::folder: return "_files -/";
    case ValueKind::model: return "_carat_models";
    case ValueKind::none:
    case ValueKind::text: break;
  }
  return " ";
}

// '(-n --max-tokens)'{-n+,--max-tokens=}'[help]:N: '
std::string option_spec(const TableOption& o) {
  const bool valued = o.kind != ValueKind::none;
  std::vector<std::string> each;
  for (const std::string& name : o.names) each.push_back(name + (!valued ? "" : name.starts_with("--") ? "=" : "+"));
  const std::string all = joined(o.names, " "), forms = joined(each, ",");
  const std::string tail = fmt::format("'[{}]{}'", quoted(o.help), valued ? fmt::format(":{}:{}", quoted(o.type), action(o)) : "");
  if (o.names.size() == 1) return fmt::format("'{}{}'{}", o.repeats ? "*" : "", forms, tail);
  return o.repeats ? fmt::format("'*'{{{}}}{}", forms, tail) : fmt::format("'({})'{{{}}}{}", all, forms, tail);
}

constexpr std::string_view kTail = R"(  esac
}
if [[ ${funcstack[1]} == _carat ]]; then _carat "$@"; else compdef _carat carat; fi
)";

}  // namespace

std::string zsh_completion(const std::vector<TableCommand>& table) {
  std::string script = "#compdef carat\n# Completion of carat for zsh. Made by: carat completion zsh\n\n_carat_models() {\n  local -a names=(";
  for (const std::string& name : model_names()) script += " " + name;
  script += " )\n  compadd -a names\n  _files\n}\n\n_carat() {\n  local -a commands=(\n";
  for (const TableCommand& c : table) script += fmt::format("    '{}:{}'\n", c.name, quoted(c.summary));
  script +=
      "  )\n  if (( CURRENT == 2 )); then\n    _describe command commands\n    return\n  fi\n  local command=$words[2]\n  shift words\n  (( CURRENT-- ))\n";
  script += "  case $command in\n";
  for (const TableCommand& c : table) {
    script += fmt::format("    {}) _arguments", c.name);
    for (const TableOption& o : c.options) script += " \\\n      " + option_spec(o);
    for (size_t i = 0; i < c.positionals.size(); ++i) {
      const TableOption& p = c.positionals[i];
      script += fmt::format(" \\\n      '{}:{}:{}'", p.repeats ? "*" : std::to_string(i + 1), quoted(p.names.front()), action(p));
    }
    script += " ;;\n";
  }
  script += kTail;
  return script;
}

}  // namespace carat::cli
