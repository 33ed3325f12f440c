#include "cli/tool_dialogue.h"

#include <fmt/format.h>

#include "cli/console.h"
#include "cli/interrupt.h"
#include "cli/terminal/display_width.h"
#include "cli/terminal/multiline.h"
#include "cli/terminal/style.h"
#include "cli/tool_runner.h"

namespace carat::cli {
namespace {

constexpr size_t kShownColumns = 400;  // of a result: the model gets the whole

std::string error_result(std::string_view what) { return Json{{"error", what}}.dump(); }

}  // namespace

ToolDialogue::Outcome ToolDialogue::see_to(const ToolCall& call) {
  const ToolCommand* command = tools_.command(call.name);
  if (command == nullptr) {
    note("this tool names no program: type its result, or nothing");
    editor_.forget_typed();
    const TypedLine typed = editor_.read("result: ", false);
    const bool stopped = typed.kind != TypedLine::Kind::text;
    const std::string text = stopped ? "" : typed_message(typed.text);
    return {text.empty() ? error_result("there is no result") : text, stopped};
  }
  bool stopped = false;
  if (!allowed(call, *command, stopped)) return {error_result("the user did not allow this call"), stopped};
  const InterruptScope interrupt;
  const ToolOutcome outcome = run_tool(*command, call.arguments, [&] { return interrupt.requested(); });
  std::string result = tool_result(outcome, *command);
  if (!outcome.error_output.empty()) note(outcome.error_output);
  const std::string_view shown = fit_front(result, kShownColumns);
  note(fmt::format("result: {}{}", shown, shown.size() < result.size() ? "..." : ""));
  return {std::move(result), outcome.end == ToolOutcome::End::cancelled};
}

bool ToolDialogue::allowed(const ToolCall& call, const ToolCommand& command, bool& stopped) {
  if (always_.contains(call.name)) return true;
  if (!stdin_is_terminal()) {
    note("not run: there is nobody to ask");
    return false;
  }
  std::string words;
  for (const std::string& word : command.argv) words += " " + word;
  note(fmt::format("runs:{}", words));
  editor_.forget_typed();  // a "y" meant for something else starts no program
  const TypedLine typed = editor_.read("run? [y/N/always] ", false);
  stopped = typed.kind != TypedLine::Kind::text;
  if (!stopped && (typed.text == "always" || typed.text == "a")) always_.insert(call.name);
  return !stopped && (typed.text == "y" || typed.text == "yes" || always_.contains(call.name));
}

}  // namespace carat::cli
