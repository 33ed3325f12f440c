#pragma once
// What `carat COMMAND --help` looks like.
#include <memory>

namespace CLI {
class FormatterBase;
}

namespace carat::cli {

// Options with the name of their value and their default; ranges and variables are told once, in words, not at each option.
std::shared_ptr<CLI::FormatterBase> help_formatter();

}  // namespace carat::cli
