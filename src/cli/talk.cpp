#include "cli/talk.h"

#include <CLI/CLI.hpp>
#include <charconv>
#include <optional>
#include <utility>

#include "base/error.h"
#include "cli/console.h"

namespace carat::cli {
namespace {

std::optional<int32_t> budget_of(const std::string& think) {
  int32_t budget = 0;
  const auto [end, error] = std::from_chars(think.data(), think.data() + think.size(), budget);
  if (error != std::errc() || end != think.data() + think.size() || budget < 0) return std::nullopt;
  return budget;
}

}  // namespace

void add_talk_options(CLI::App& app, TalkOptions& options) {
  constexpr const char* kGroup = "Chat";
  app.add_option("--system", options.system, "what the model is told before the conversation")->type_name("TEXT")->group(kGroup);
  CLI::Option* think = app.add_flag("--think", options.think, "let the model think first; --think=BUDGET: at most so many tokens")->group(kGroup);
  think->check(CLI::Validator(
      [](std::string& text) -> std::string {
        if (text == "true" || text == "false" || budget_of(text)) return {};
        return fmt::format("{} is no number of tokens, write --think or --think=512", terminal_safe(text));
      },
      std::string()));
  app.add_flag("--no-think", options.no_think, "no thinking (the default)")->excludes(think)->group(kGroup);
  app.add_flag("--show-thinking", options.show_thinking, "on a terminal: thoughts in full, not folded into a line")->group(kGroup);
  app.add_option("--tools", options.tools, "tools the model may call: a file with an OpenAI tool list; one with an \"x-command\" can be run, after a yes")
      ->type_name("FILE")
      ->group(kGroup);
}

int32_t repetition_limit(const SamplingOptions& options) { return options.max_tokens >= 0 || options.ignore_eos ? 0 : 400; }

ToolBox read_tools(const TalkOptions& options) { return options.tools.empty() ? ToolBox() : ToolBox::load(options.tools); }

std::unique_ptr<Conversation> make_conversation(Session& session, std::shared_ptr<const ChatFormat> format, const TalkOptions& options, Json tools,
                                                const SamplingOptions& sampling) {
  ConversationOptions talk;
  talk.system = options.system;
  talk.tools = std::move(tools);
  if (options.no_think) talk.think = false;
  if (!options.think.empty() && options.think != "false") {
    talk.think = true;
    if (options.think != "true") talk.thought_budget = budget_of(options.think).value_or(-1);
  }
  talk.sampling = sampling_params(sampling, session.loaded->model->config());
  talk.repetition_limit = repetition_limit(sampling);
  session.tokenizer();  // there has to be one
  return std::make_unique<Conversation>(*session.engine, session.loaded->tokenizer, std::move(format), std::move(talk));
}

}  // namespace carat::cli
