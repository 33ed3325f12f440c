#include <fmt/format.h>

#include "cli/completion.h"

namespace carat::cli {
namespace {

// Text of troff: a hyphen is a minus, a backslash is written out, no line begins with a request.
std::string escaped(std::string_view text) {
  std::string out;
  bool line_start = true;
  for (const char c : text) {
    if (line_start && (c == '.' || c == '\'')) out += "\\&";
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      out += c;
    }
    line_start = c == '\n';
  }
  return out;
}

std::string upper(std::string text) {
  for (char& c : text) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return text;
}

std::string option_entry(const TableOption& o) {
  std::string out = ".TP\n";
  std::string names;
  for (const std::string& name : o.names) names += fmt::format("{}\\fB{}\\fR", names.empty() ? "" : ", ", escaped(name));
  if (o.kind != ValueKind::none && o.type != o.names.front()) names += fmt::format(" \\fI{}\\fR", escaped(o.type));
  out += names + "\n" + escaped(o.help);
  if (o.kind == ValueKind::choice) {
    if (o.help.find(o.choices.front()) == std::string::npos) out += fmt::format(" ({})", escaped(joined(o.choices, ", ")));
  }
  if (!o.otherwise.empty()) out += fmt::format("; default: {}", escaped(o.otherwise));
  return out + "\n";
}

std::string command_section(const TableCommand& c) {
  std::string out = fmt::format(".SH {}\n\\fBcarat {}\\fR", escaped(upper(c.name)), escaped(c.name));
  for (const TableOption& p : c.positionals) out += fmt::format(" \\fI{}\\fR{}", escaped(p.names.front()), p.repeats ? "..." : "");
  out += fmt::format(" [options]\n.PP\n{}.\n", escaped(c.summary));
  for (const TableOption& p : c.positionals) out += option_entry(p);
  for (const TableOption& o : c.options) {
    if (o.names.front() != "--help") out += option_entry(o);
  }
  if (!c.notes.empty()) out += ".PP\n.nf\n" + escaped(c.notes) + "\n.fi\n";
  return out;
}

}  // namespace

std::string man_page(const std::vector<TableCommand>& table) {
  std::string page = fmt::format(".TH CARAT 1 \"\" \"carat {}\" \"User Commands\"\n", CARAT_VERSION);
  page += ".SH NAME\ncarat \\- run Gemma models on this machine\n.SH SYNOPSIS\n.B carat\n.I COMMAND\n.RI [ MODEL ]\n.RI [ options ]\n";
  page +=
      ".SH DESCRIPTION\nThe answer goes to standard output, everything else to standard error. Every option is also a variable: \\fB\\-\\-max\\-tokens\\fR is\n"
      "\\fBCARAT_MAX_TOKENS\\fR. \\fB\\-\\-json\\fR makes any command print one JSON document.\n.SH COMMANDS\n";
  for (const TableCommand& c : table) page += fmt::format(".TP\n.B {}\n{}\n", escaped(c.name), escaped(c.summary));
  for (const TableCommand& c : table) page += command_section(c);
  page += ".SH EXIT STATUS\n.TP\n0\ndone\n.TP\n1\nit could not be done: one line on standard error says why\n.TP\n2\nwrong usage\n.TP\n130\ninterrupted\n";
  return page;
}

}  // namespace carat::cli
