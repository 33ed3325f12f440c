// All commands of the program, in the order of `carat --help`. A new one is declared in command.h and named here.
#include <array>

#include "cli/command.h"

namespace carat::cli {

std::span<const Command* const> all_commands() {
  static constexpr std::array kCommands = {&kRunCommand,     &kScoreCommand, &kTokenizeCommand, &kRenderCommand,    &kParseCommand,
                                           &kInspectCommand, &kPlanCommand,  &kQuantizeCommand, &kBenchCommand,     &kPullCommand,
                                           &kListCommand,    &kRmCommand,    &kDoctorCommand,   &kCompletionCommand};
  return kCommands;
}

}  // namespace carat::cli
