#pragma once
// What `run` needs to talk in a model's chat format: the options, and a conversation made from them.
#include <memory>
#include <string>

#include "base/json.h"
#include "chat/conversation.h"
#include "cli/model_options.h"
#include "cli/sampling_options.h"
#include "cli/tool_box.h"

namespace CLI {
class App;
}

namespace carat::cli {

struct TalkOptions {
  std::string system;
  std::string think;  // "": not said; "true", or a budget in tokens
  bool no_think = false;
  std::string tools;  // a file; "": none
  bool show_thinking = false;
};

// Declares --system, --think[=BUDGET], --no-think, --show-thinking, --tools. `options` must outlive the parsing.
void add_talk_options(CLI::App& app, TalkOptions& options);

// What --tools names, or nothing; read before a model is loaded. Fails as ToolBox::load() does.
ToolBox read_tools(const TalkOptions& options);

// Tokens that say the same again before an answer is taken for a runaway (RepetitionGuard); 0, never, when --max-tokens or --ignore-eos says how long it is to be.
int32_t repetition_limit(const SamplingOptions& options);
// What is told when that has ended one.
inline constexpr const char* kRepetitionNote = "the answer came to repeat itself and was ended; --max-tokens N lets it go on";

// `session` and `format` outlive it.
std::unique_ptr<Conversation> make_conversation(Session& session, std::shared_ptr<const ChatFormat> format, const TalkOptions& options, Json tools,
                                                const SamplingOptions& sampling);

}  // namespace carat::cli
