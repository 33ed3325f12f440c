#include "cli/help.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <string_view>

namespace carat::cli {
namespace {

constexpr size_t kColumn = 26, kWidth = 100;

// Words in lines of at most `width` characters, where no word is longer.
std::string wrapped(std::string_view text, size_t width) {
  std::string out;
  size_t used = 0;
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(word.size() + 1, text.size()));
    if (word.empty()) continue;
    if (used > 0) out += used + 1 + word.size() > width ? '\n' : ' ';
    used = out.ends_with('\n') || used == 0 ? word.size() : used + 1 + word.size();
    out += word;
  }
  return out;
}

// Paragraphs filled anew; lines that begin with a blank stand as they are written.
std::string filled(std::string_view text, size_t width) {
  std::string out, paragraph;
  const auto end_paragraph = [&] {
    if (!paragraph.empty()) out += wrapped(paragraph, width) + "\n";
    paragraph.clear();
  };
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (line.empty() || line.front() == ' ') {
      end_paragraph();
      out += std::string(line) + "\n";
    } else {
      paragraph += (paragraph.empty() ? "" : " ") + std::string(line);
    }
  }
  end_paragraph();
  return out;
}

class HelpFormatter : public CLI::Formatter {
 public:
  HelpFormatter() { column_width(kColumn); }

  std::string make_option_opts(const CLI::Option* option) const override {
    std::string text;
    if (option->get_type_size() != 0) {
      // A flag has no value; a type's text may carry the range that a check added: "N:INT in [0 - 9]".
      const std::string type = option->get_type_name();
      if (!option->get_positional()) text += " " + type.substr(0, type.find(':'));
      if (!option->get_default_str().empty()) text += fmt::format(" ({})", option->get_default_str());
      if (option->get_expected_max() == CLI::detail::expected_max_vector_size) text += "...";
    }
    return text;
  }

  std::string make_option_desc(const CLI::Option* option) const override { return wrapped(option->get_description(), kWidth - kColumn); }

  // Groups as plain sections, without CLI11's boxes around option groups.
  std::string make_expanded(const CLI::App* group) const override {
    std::string out = "\n" + group->get_description() + "\n";
    for (const CLI::Option* option : group->get_options()) {
      if (option != group->get_help_ptr()) out += make_option(option, option->get_positional());
    }
    return out;
  }

  std::string make_group(std::string group, bool is_positional, std::vector<const CLI::Option*> options) const override {
    std::string out = fmt::format("\n{}:\n", group);
    for (const CLI::Option* option : options) out += make_option(option, is_positional);
    return out;
  }

  std::string make_footer(const CLI::App* app) const override {
    return "\nEvery option is also a variable: --max-tokens is CARAT_MAX_TOKENS.\n\n" + filled(app->get_footer(), kWidth);
  }
};

}  // namespace

std::shared_ptr<CLI::FormatterBase> help_formatter() { return std::make_shared<HelpFormatter>(); }

}  // namespace carat::cli
