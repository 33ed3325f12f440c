#pragma once
// What happens to a call of the model on a terminal: its program runs when the user says yes; where it has none, the user may type its result.
#include <set>
#include <string>

#include "chat/message.h"
#include "cli/terminal/line_editor.h"
#include "cli/tool_box.h"

namespace carat::cli {

class ToolDialogue {
 public:
  // The editor outlives it.
  ToolDialogue(ToolBox tools, LineEditor& editor) : tools_(std::move(tools)), editor_(editor) {}

  struct Outcome {
    std::string result;    // for the model, never empty
    bool stopped = false;  // the user wants no answer to it now: Ctrl-C or Ctrl-D
  };
  // Tells on stderr what it does. No program runs without a yes, and none at all when stdin is no terminal.
  Outcome see_to(const ToolCall& call);

 private:
  bool allowed(const ToolCall& call, const ToolCommand& command, bool& stopped);

  ToolBox tools_;
  LineEditor& editor_;
  std::set<std::string> always_;  // tools that may run without a question
};

}  // namespace carat::cli
