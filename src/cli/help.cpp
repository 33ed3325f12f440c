#include "cli/help.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

namespace carat::cli {
namespace {

constexpr size_t kColumn = 26;

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

  // Groups as plain sections, without CLI11's boxes around option groups.
  std::string make_expanded(const CLI::App* group) const override {
    return "\n" + group->get_description() + make_positionals(group) + make_groups(group, CLI::AppFormatMode::Sub);
  }

  std::string make_group(std::string group, bool is_positional, std::vector<const CLI::Option*> options) const override {
    std::string out = fmt::format("\n{}:\n", group);
    for (const CLI::Option* option : options) out += make_option(option, is_positional);
    return out;
  }

  std::string make_footer(const CLI::App* app) const override {
    return fmt::format("\nEvery option is also a variable: --max-tokens is CARAT_MAX_TOKENS.\n\n{}\n", app->get_footer());
  }
};

}  // namespace

std::shared_ptr<CLI::FormatterBase> help_formatter() { return std::make_shared<HelpFormatter>(); }

}  // namespace carat::cli
