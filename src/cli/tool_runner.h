#pragma once
// Runs a tool's program: without a shell, the arguments as JSON on its stdin, bounded in time and output.
#include <functional>
#include <string>

#include "base/json.h"
#include "cli/tool_box.h"

namespace carat::cli {

struct ToolOutcome {
  enum class End : uint8_t {
    exited,     // status: its exit status
    signalled,  // status: the signal
    timeout,    // it was ended
    cancelled,  // likewise
    not_started,
  };
  End end = End::not_started;
  int status = 0;
  std::string output;        // what it wrote to stdout, valid UTF-8, at most kMaxToolOutput bytes
  std::string error_output;  // to stderr, likewise
  bool cut = false;          // there was more
  std::string reason;        // not_started: why
};

inline constexpr size_t kMaxToolOutput = size_t{64} << 10;

// Waits until it has ended; `cancelled` is asked ten times a second. The program has its own process group, which is gone afterwards, also when a signal ends this one, and inherits nothing but
// its three standard files and the environment. Never throws for what the program does. SIGPIPE has to be ignored (install_signal_handlers()).
ToolOutcome run_tool(const ToolCommand& command, const Json& arguments, const std::function<bool()>& cancelled);

// What the model is told: {"output":…,"exit_status":0} and, where it went wrong, "error" and "error_output".
std::string tool_result(const ToolOutcome& outcome, const ToolCommand& command);

}  // namespace carat::cli
