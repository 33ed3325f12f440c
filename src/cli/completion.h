#pragma once
// What `carat completion` prints, from the table of commands.
#include <string>
#include <vector>

#include "cli/command_table.h"

namespace carat::cli {

std::string bash_completion(const std::vector<TableCommand>& table);  // bash 4 or newer, without the package bash-completion
std::string zsh_completion(const std::vector<TableCommand>& table);
std::string fish_completion(const std::vector<TableCommand>& table);
std::string man_page(const std::vector<TableCommand>& table);  // troff, macros "man"

}  // namespace carat::cli
