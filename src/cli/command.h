#pragma once
// A command of the program: its name, what --help says, and a function that declares its options and returns what to do with them.
#include <functional>
#include <span>
#include <string_view>

namespace CLI {
class App;
}

namespace carat::cli {

// Does the command's work after its options were parsed; gives the exit status (0 done, 130 interrupted) or throws carat::Error.
using Action = std::function<int()>;

struct Command {
  std::string_view name;
  std::string_view summary;  // one line for `carat --help`
  std::string_view notes;    // examples and explanations at the end of `carat NAME --help`
  Action (*setup)(CLI::App& app);
};

// One file a command. commands.cpp lists them.
std::span<const Command* const> all_commands();
extern const Command kRunCommand;
extern const Command kScoreCommand;
extern const Command kBenchCommand;
extern const Command kTokenizeCommand;
extern const Command kRenderCommand;
extern const Command kParseCommand;
extern const Command kInspectCommand;
extern const Command kPlanCommand;
extern const Command kQuantizeCommand;
extern const Command kPullCommand;
extern const Command kListCommand;
extern const Command kRmCommand;
extern const Command kDoctorCommand;
extern const Command kCompletionCommand;

}  // namespace carat::cli
