#include <fmt/format.h>

#include "cli/completion.h"

namespace carat::cli {
namespace {

// What to offer for a value: a line of the script.
std::string offer(const TableOption& o) {
  switch (o.kind) {
    case ValueKind::choice: return fmt::format("_carat_words '{}'", joined(o.choices, " "));
    case ValueKind::file: return "_carat_files";
    case ValueKind::folder: return "_carat_folders";
    case ValueKind::model: return "_carat_models";
    case ValueKind::none:
    case ValueKind::text: break;
  }
  return ":";
}

constexpr std::string_view kHead = R"(# Completion of carat for bash 4 and newer. Made by: carat completion bash

_carat_words() { mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur"); }
_carat_files() { compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); }
_carat_folders() { compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- "$cur"); }
_carat_models() {
  local names
  mapfile -t names < <(compgen -W ')";

constexpr std::string_view kMiddle = R"(' -- "$cur")
  _carat_files
  COMPREPLY+=("${names[@]}")
  # Readline takes a name with a colon for two words and replaces the last only.
  if [[ $cur == *:* && $COMP_WORDBREAKS == *:* ]]; then
    local head=${cur%"${cur##*:}"} i
    for i in "${!COMPREPLY[@]}"; do COMPREPLY[i]=${COMPREPLY[i]#"$head"}; done
  fi
}

_carat() {
  local words=() cur prev i join=
  # What was cut at ':' and '=' is one word again.
  for ((i = 0; i <= COMP_CWORD; i++)); do
    if [[ ${#words[@]} -gt 1 && ( $join || ${COMP_WORDS[i]} == [:=] ) ]]; then
      words[-1]+=${COMP_WORDS[i]}
    else
      words+=("${COMP_WORDS[i]}")
    fi
    [[ ${COMP_WORDS[i]} == [:=] ]] && join=1 || join=
  done
  COMPREPLY=()
  cur=${words[-1]} prev=
  [[ ${#words[@]} -gt 2 ]] && prev=${words[-2]}
  if [[ ${#words[@]} -eq 2 ]]; then
    _carat_words ')";

constexpr std::string_view kOptions = R"('
    return
  fi
  if [[ $cur == --*=* ]]; then
    prev=${cur%%=*} cur=${cur#*=}
  fi
  # The value of an option.
  case "${words[1]} $prev" in
)";

constexpr std::string_view kNames = R"(  esac
  # An option's name, or what stands by itself.
  case "${words[1]}" in
)";

constexpr std::string_view kTail = R"(  esac
}
complete -F _carat carat
)";

}  // namespace

std::string bash_completion(const std::vector<TableCommand>& table) {
  std::string script(kHead);
  script += joined(model_names(), " ");
  script += kMiddle;
  for (const TableCommand& c : table) script += c.name + " ";
  script += "--help --version";
  script += kOptions;
  for (const TableCommand& c : table) {
    for (const TableOption& o : c.options) {
      if (o.kind == ValueKind::none) continue;
      std::string patterns;
      for (const std::string& name : o.names) patterns += fmt::format("{}'{} {}'", patterns.empty() ? "" : "|", c.name, name);
      script += fmt::format("    {}) {}; return ;;\n", patterns, offer(o));
    }
  }
  script += kNames;
  for (const TableCommand& c : table) {
    std::string names;
    for (const TableOption& o : c.options) names += joined(o.names, " ") + " ";
    const std::string otherwise = c.positionals.empty() ? ":" : offer(c.positionals.front());
    script += fmt::format("    {}) if [[ $cur == -* ]]; then _carat_words '{}'; else {}; fi ;;\n", c.name, names, otherwise);
  }
  script += kTail;
  return script;
}

}  // namespace carat::cli
