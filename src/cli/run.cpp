// carat run: one answer to a prompt, or a chat on a terminal; in the model's chat format, or, where it has none, text that the model continues.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "chat/response_parser.h"
#include "cli/chat_loop.h"
#include "cli/chat_options.h"
#include "cli/command.h"
#include "cli/console.h"
#include "cli/generate.h"
#include "cli/interrupt.h"
#include "cli/model_options.h"
#include "cli/sampling_options.h"
#include "cli/talk.h"
#include "cli/terminal/answer_view.h"
#include "cli/token_list.h"
#include "hub/settings.h"

namespace carat::cli {
namespace {

constexpr int kInterrupted = 130;

struct Options {
  ModelOptions model;
  SamplingOptions sampling;
  TalkOptions talk;
  ChatOptions chat;
  std::vector<std::string> prompt;
  std::string token_ids;
  bool raw = false, special = false, json = false, stats = false;
};

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

// What is on stdin comes first, then the words of the command line. The newline that ends stdin is not part of the text.
std::string prompt_text(const Options& options) {
  const std::string words = joined(options.prompt);
  if (stdin_is_terminal()) return words;
  std::string text = read_input("-");
  if (text.ends_with('\n')) text.pop_back();
  if (text.empty() || words.empty()) return text + words;
  return text + "\n" + words;
}

// The chat format to talk in; null: the model continues text, because it has no format or --raw says so.
std::shared_ptr<const ChatFormat> format_of(const Session& session, const Options& options) {
  if (options.raw || !session.loaded->tokenizer) return nullptr;
  return chat_format(*session.loaded->tokenizer, session.loaded->model->config().hidden_size_per_layer_input > 0, options.chat);
}

// What would have no effect is refused: an answer without the system text that was given looks like any other.
void refuse_what_has_no_effect(const Options& options, bool converses) {
  const bool thinks = !options.talk.think.empty() && options.talk.think != "false";
  const char* needs_format = !options.talk.system.empty() ? "--system" : !options.talk.tools.empty() ? "--tools" : thinks ? "--think" : nullptr;
  if (!converses && needs_format != nullptr) {
    const bool asked = options.raw || !options.token_ids.empty();
    fail(ErrorCode::invalid_argument, "{} has no effect without a chat format, {}, leave it out or {}", needs_format,
         asked ? "--raw or --token-ids" : "the model has none", asked ? "give a prompt without them" : "give --chat-template builtin");
  }
  if (converses && options.special) {
    fail(ErrorCode::invalid_argument, "--special has no effect in a chat, where no text becomes a control token, leave it out or add --raw");
  }
}

std::vector<int32_t> raw_ids(const Session& session, const Options& options, std::string_view text) {
  return session.tokenizer().encode(text, {.add_bos = true, .parse_special = options.special});
}

void show(std::string_view text) {
  print(stdout_is_terminal() ? terminal_safe(text) : text);
  flush_output();
}

int end_answer(const Session& session, const Options& options, const Generation& result, bool newline) {
  if (options.json) {
    print_json(generation_json(result));
  } else if (newline) {
    print("\n");
  }
  flush_output();
  if (result.finish_reason == to_string(AnswerEnd::repetition)) fmt::print(stderr, "carat: {}\n", kRepetitionNote);
  if (options.stats) print_stats(session, result);
  return result.finish == FinishReason::cancelled ? kInterrupted : 0;
}

// Continues ids. With a chat format the answer is taken apart for --json; what is shown is the text as it comes.
int continue_ids(Session& session, const Options& options, std::vector<int32_t> ids, const ChatFormat* format) {
  std::optional<ResponseParser> parser;
  if (format != nullptr) parser.emplace(*session.loaded->tokenizer, format->is_gemma4(), ids);
  const SamplingParams sampling = sampling_params(options.sampling, session.loaded->model->config());
  const auto on_text = [&](std::string_view text) {
    if (!options.json) show(text);
  };
  Generation result = generate(session, std::move(ids), sampling, on_text, repetition_limit(options.sampling));
  if (parser) {
    std::vector<ChatEvent> events;
    for (const int32_t id : result.token_ids) parser->push(id, events);
    parser->finish(result.finish == FinishReason::stop, events);
    result.message = message_json(parser->message().content, parser->message().reasoning, parser->message().tool_calls);
  }
  return end_answer(session, options, result, !result.text.ends_with('\n'));
}

AnswerLook look_of(const Options& options) {
  AnswerLook look;
  if (options.talk.show_thinking) look.thoughts = ThinkingView::Mode::shown;
  return look;
}

// One answer in the model's format: its content on stdout, then the calls it makes, one JSON object a line. Thoughts are in --json, and on a terminal's stderr.
int answer_once(Session& session, const Options& options, std::shared_ptr<const ChatFormat> format, const ToolBox& tools, std::string text) {
  const std::unique_ptr<Conversation> conversation = make_conversation(session, std::move(format), options.talk, tools.declarations(), options.sampling);
  conversation->add_user(std::move(text));
  const bool thoughts_seen = isatty(STDERR_FILENO) == 1;
  AnswerView view(look_of(options));
  const InterruptScope interrupt;
  AnswerObserver observer;
  observer.cancelled = [&interrupt] { return interrupt.requested(); };
  if (!options.json) {
    observer.on_event = [&](const ChatEvent& event) {
      if (event.kind == ChatEvent::Kind::content) view.content(event.text);
      if (event.kind == ChatEvent::Kind::reasoning && thoughts_seen) view.reasoning(event.text);
    };
    if (thoughts_seen) observer.on_thought_token = [&](int32_t count) { view.thought_tokens(count); };
  }
  const Answer answer = conversation->answer(observer);
  if (!options.json) {
    view.end();
    for (const ToolCall& call : answer.message.tool_calls) print_json({{"name", call.name}, {"arguments", call.arguments}});
  }
  return end_answer(session, options, generation_of(answer, options.sampling.logprobs >= 0), false);
}

int chat(const Options& options, ToolBox tools) {
  Session session = open_session(options.model);
  std::shared_ptr<const ChatFormat> format = format_of(session, options);
  refuse_what_has_no_effect(options, format != nullptr);
  ChatLoopOptions loop;
  loop.model = options.model.model;
  loop.stats = options.stats;
  loop.look = look_of(options);
  loop.sampling = sampling_params(options.sampling, session.loaded->model->config());
  loop.special = options.special;
  loop.repetition_limit = repetition_limit(options.sampling);
  loop.home = hub::settings_from_environment().carat_home;
  std::unique_ptr<Conversation> conversation;
  if (format) conversation = make_conversation(session, std::move(format), options.talk, tools.declarations(), options.sampling);
  loop.tools = std::move(tools);
  return run_chat_loop(session, std::move(conversation), std::move(loop));
}

int run(const Options& options) {
  const bool has_ids = !options.token_ids.empty();
  ToolBox tools = read_tools(options.talk);
  if (!has_ids && options.prompt.empty() && stdin_is_terminal()) {
    return chat(options, std::move(tools));
  }
  // Inputs are read before the model is loaded: what is wrong with them shows at once.
  std::string input = has_ids ? read_input(options.token_ids) : prompt_text(options);
  if (!has_ids && input.empty()) fail(ErrorCode::invalid_argument, "the prompt is empty, PROMPT and standard input, give a text");
  Session session = open_session(options.model);
  std::shared_ptr<const ChatFormat> format = format_of(session, options);
  refuse_what_has_no_effect(options, format != nullptr && !has_ids);
  if (has_ids) {
    const auto vocab_size = static_cast<int32_t>(session.loaded->model->config().vocab_size);
    return continue_ids(session, options, parse_token_ids(input, input_name(options.token_ids), vocab_size), format.get());
  }
  if (!format) return continue_ids(session, options, raw_ids(session, options, input), nullptr);
  return answer_once(session, options, std::move(format), tools, std::move(input));
}

Action setup(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  add_model_options(app, options->model);
  CLI::Option* prompt = app.add_option("PROMPT", options->prompt, "what to answer, or to continue (words are joined by blanks)");
  app.add_option("--token-ids", options->token_ids, "a file with the prompt as a JSON id list, used as it is; -: stdin")->type_name("FILE")->excludes(prompt);
  app.add_flag("--raw", options->raw, "no chat format: continue the prompt as it is (the default for a model that has none)");
  app.add_flag("--special", options->special, "parse special tokens such as <start_of_turn> in the prompt");
  app.add_flag("--json", options->json, "one JSON document");
  app.add_flag("--stats", options->stats, "figures on stderr: tokens, tokens/s, time to first token, memory");
  add_chat_options(app, options->chat);
  add_talk_options(app, options->talk);
  add_sampling_options(app, options->sampling);
  return [options] { return run(*options); };
}

}  // namespace

const Command kRunCommand = {
    "run", "chat on a terminal, or one answer to a prompt",
    "Examples:\n"
    "  carat run gemma4:e2b\n"
    "  cat notes.txt | carat run gemma4:e2b 'Summarise in three lines'\n"
    "  carat run gemma4:e2b --think=500 --json 'How many primes are below 60?'\n"
    "  carat run gemma3:270m --temperature 0 -n 32 'The capital of France is'\n"
    "  echo '[2, 818, 5279]' | carat run gemma3:270m --token-ids - --json --logprobs 5\n\n"
    "With a PROMPT, or when stdin is not a terminal, there is one answer: stdin comes first (its last newline left off), then\n"
    "PROMPT. Else it is a chat: /help there tells its commands; Ctrl-C stops an answer, Ctrl-D ends. A model without a chat format\n"
    "(gemma3:270m) continues the text. Sampling that is not given comes from the model's generation_config, else it is\n"
    "temperature 1.0, top-k 64, top-p 0.95. An answer that comes to repeat itself is ended, unless --max-tokens or --ignore-eos is given.",
    setup};

}  // namespace carat::cli
