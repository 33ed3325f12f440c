#include "cli/chat_loop.h"

#include <fmt/format.h>
#include <unistd.h>

#include <charconv>
#include <system_error>

#include "base/error.h"
#include "cli/console.h"
#include "cli/conversation_file.h"
#include "cli/generate.h"
#include "cli/interrupt.h"
#include "cli/settling.h"
#include "cli/slash_commands.h"
#include "cli/terminal/display_width.h"
#include "cli/terminal/line_editor.h"
#include "cli/terminal/multiline.h"
#include "cli/tool_dialogue.h"

namespace carat::cli {
namespace {

constexpr std::string_view kPrompt = ">>> ";
constexpr int kMostToolRounds = 20;  // of calls to one question, then the user is asked to go on
constexpr double kNearlyFull = 0.9;  // of the context: from there on it is said how full it is
constexpr int32_t kMostThoughtTokens = 1 << 24;

Generation figures_of(const Answer& answer) {
  Generation figures;
  figures.token_ids = answer.token_ids;
  figures.prompt_tokens = answer.prompt_tokens;
  figures.cached_tokens = answer.cached_tokens;
  figures.first_token_seconds = answer.first_token_seconds;
  figures.total_seconds = answer.total_seconds;
  return figures;
}

class ChatLoop {
 public:
  ChatLoop(Session& session, std::unique_ptr<Conversation> conversation, ChatLoopOptions options)
      : session_(session),
        conversation_(std::move(conversation)),
        options_(std::move(options)),
        styled_(styles_wanted(STDERR_FILENO)),
        editor_({.history = options_.home.empty() ? std::filesystem::path() : options_.home / "history", .complete = complete_slash}),
        tools_(options_.tools, editor_) {}

  int run() {
    banner();
    bool interrupted = false;
    for (;;) {
      interrupt_.reset();
      const TypedLine typed = [&] {
        const Settling settling(*session_.engine);
        return editor_.read(kPrompt);
      }();
      if (typed.kind == TypedLine::Kind::end) return 0;
      if (typed.kind == TypedLine::Kind::interrupted) {
        if (interrupted && typed.text.empty()) return 0;
        interrupted = typed.text.empty();
        if (interrupted) note("Ctrl-C again, Ctrl-D or /bye ends");
        continue;
      }
      interrupted = false;
      if (!take(typed_message(typed.text))) return 0;
    }
  }

 private:
  void banner() const {
    const std::string format = conversation_ ? conversation_->format().name() : "no chat format: each message is continued";
    note(fmt::format("{} | {} | context {} tokens | /help", std::filesystem::path(options_.model).filename().string(), format, session_.engine->ctx()));
  }

  // False: the chat is over.
  bool take(const std::string& text) {
    if (text.find_first_not_of(" \t\n") == std::string::npos) return true;
    try {
      const std::optional<SlashLine> slash = parse_slash(text);
      if (slash) return obey(*slash);
      ask(text);
    } catch (const Error& error) {
      // Without a reader of its answers the chat has no purpose; a file that cannot be read or written is told by the commands themselves.
      if (error.code() == ErrorCode::io) throw;
      complain(error);
    }
    return true;
  }

  void complain(const Error& error) const { fmt::print(stderr, "carat: error: {}\n", terminal_safe(error.what())); }

  bool obey(const SlashLine& line) {
    if (line.command == nullptr) {
      warn(fmt::format("there is no command {}: /help lists them (a message may begin with a blank)", line.name));
      return true;
    }
    using Id = SlashCommand::Id;
    const Id id = line.command->id;
    const bool for_any_model = id == Id::help || id == Id::stats || id == Id::bye || id == Id::image || id == Id::audio || id == Id::video || id == Id::clear;
    if (!conversation_ && !for_any_model) {
      warn(fmt::format("{} needs a model with a chat format: this one continues each message by itself", line.command->name));
      return true;
    }
    switch (id) {
      case Id::bye: return false;
      case Id::help: fmt::print(stderr, "{}", slash_help(terminal_columns(STDERR_FILENO))); break;
      case Id::system: system(line.argument); break;
      case Id::think: think(line.argument); break;
      case Id::save: on_file([&] { save(line.argument); }); break;
      case Id::load: on_file([&] { load(line.argument); }); break;
      case Id::stats: stats(); break;
      case Id::clear:
        if (conversation_) conversation_->clear();
        note("the conversation is forgotten");
        break;
      case Id::retry: retry(); break;
      case Id::image:
      case Id::audio:
      case Id::video: warn(fmt::format("{} is not there yet: this version takes text only", line.command->name)); break;
    }
    return true;
  }

  template <typename Work>
  void on_file(Work work) const {
    try {
      work();
    } catch (const Error& error) {
      complain(error);
    }
  }

  void system(const std::string& text) {
    std::string& system = conversation_->options().system;
    if (!text.empty()) system = text == "-" ? "" : text;
    note(system.empty() ? "no system text" : fmt::format("system text: {}", system));
  }

  void think(const std::string& argument) {
    ConversationOptions& options = conversation_->options();
    int32_t budget = 0;
    const char* end = argument.data() + argument.size();
    const auto [stop, error] = std::from_chars(argument.data(), end, budget);
    if (argument == "on" || argument == "off") {
      options.think = argument == "on";
      options.thought_budget = -1;
    } else if (argument == "show" || argument == "hide") {
      options_.look.thoughts = argument == "show" ? ThinkingView::Mode::shown : ThinkingView::Mode::folded;
      if (argument == "show") show_last_thought();
      return;
    } else if (!argument.empty() && error == std::errc() && stop == end && budget >= 0 && budget <= kMostThoughtTokens) {
      options.think = true;
      options.thought_budget = budget;
    } else if (!argument.empty()) {
      warn(fmt::format("/think {} means nothing: /think on, off, a number of tokens, show or hide", argument));
      return;
    }
    const bool on = options.think.value_or(false);
    note(!on ? "thinking: off" : options.thought_budget >= 0 ? fmt::format("thinking: on, at most {} tokens", options.thought_budget) : "thinking: on");
    if (on && !conversation_->format().is_gemma4()) warn("this model's format knows no thoughts");
  }

  void show_last_thought() const {
    const std::vector<Message>& messages = conversation_->messages();
    for (size_t i = messages.size(); i-- > 0;) {
      if (messages[i].role != "assistant" || messages[i].reasoning.empty()) continue;
      fmt::print(stderr, "{}", thought_text(messages[i].reasoning, styled_));
      return;
    }
    note("no thought so far; the next ones are shown");
  }

  void save(const std::string& argument) {
    if (argument.empty()) fail(ErrorCode::invalid_argument, "the conversation needs a name, /save, write /save FILE");
    save_conversation(*conversation_, typed_path(argument));
    note(fmt::format("saved {} messages in {}", conversation_->messages().size(), argument));
  }

  void load(const std::string& argument) {
    const std::filesystem::path path = argument.empty() ? last_path() : typed_path(argument);
    if (path.empty()) fail(ErrorCode::invalid_argument, "no conversation is kept, /load, write /load FILE");
    load_conversation(*conversation_, path);
    note(fmt::format("loaded {} messages from {}", conversation_->messages().size(), path.string()));
    for (size_t i = conversation_->messages().size(); i-- > 0;) {
      const Message& message = conversation_->messages()[i];
      if (message.role != "user") continue;
      note(fmt::format("the last question was: {}", fit_front(message.content.text.substr(0, message.content.text.find('\n')), 60)));
      break;
    }
  }

  std::filesystem::path last_path() const { return options_.home.empty() ? std::filesystem::path() : options_.home / "conversations" / "last.json"; }

  // After each answer: a program that is killed loses no conversation.
  void keep_last() {
    const std::filesystem::path path = last_path();
    if (path.empty() || keep_failed_) return;
    try {
      std::error_code error;
      std::filesystem::create_directories(path.parent_path(), error);
      save_conversation(*conversation_, path, true);
    } catch (const Error& error) {
      keep_failed_ = true;  // told once
      warn(fmt::format("the conversation is not kept: {}", error.what()));
    }
  }

  void stats() {
    options_.stats = !options_.stats;
    if (options_.stats && figures_) print_stats(session_, *figures_);
    note(options_.stats ? "figures after each answer: on" : "figures after each answer: off");
  }

  void retry() {
    const std::string question = conversation_->take_back();
    if (question.empty()) {
      warn("there is no question to ask again");
      return;
    }
    ask(question);
  }

  void ask(const std::string& text) {
    if (!conversation_) {
      proceed(text);
      return;
    }
    const size_t before = conversation_->messages().size();
    conversation_->add_user(text);
    try {
      for (int round = 0; answer(); ++round) {
        if (round + 1 < kMostToolRounds) continue;
        warn(fmt::format("{} rounds of calls for one question: say what to do next", kMostToolRounds));
        break;
      }
    } catch (const Error& error) {
      // The question goes: with it in the history every following one would fail alike.
      if (conversation_->messages().size() > before) conversation_->take_back();
      if (error.code() == ErrorCode::io) throw;
      complain(error);
      if (!conversation_->messages().empty()) note("the question was taken back; /clear starts anew, /save keeps what is there");
      return;
    }
    keep_last();
  }

  // A model without a chat format.
  void proceed(const std::string& text) {
    AnswerLook look = options_.look;
    look.markdown = false;
    AnswerView view(look);
    std::vector<int32_t> ids = session_.tokenizer().encode(text, {.add_bos = true, .parse_special = options_.special});
    figures_ = generate(session_, std::move(ids), options_.sampling, [&](std::string_view piece) { view.content(piece); }, options_.repetition_limit);
    view.end();
    if (figures_->finish == FinishReason::cancelled) note("(stopped)");
    if (figures_->finish_reason == to_string(AnswerEnd::repetition)) warn("(stopped: the text repeated itself)");
    if (options_.stats) print_stats(session_, *figures_);
  }

  // One answer of the model. True: it called tools, which have been seen to, and wants to go on.
  bool answer() {
    AnswerView view(options_.look);
    AnswerObserver observer;
    observer.on_event = [&](const ChatEvent& event) {
      switch (event.kind) {
        case ChatEvent::Kind::content: view.content(event.text); break;
        case ChatEvent::Kind::reasoning: view.reasoning(event.text); break;
        case ChatEvent::Kind::tool_call: view.tool_call(event.call); break;
      }
    };
    observer.on_thought_token = [&](int32_t count) { view.thought_tokens(count); };
    observer.cancelled = [&] { return interrupt_.requested(); };
    const Answer answer = conversation_->answer(observer);
    view.end();
    figures_ = figures_of(answer);
    tell_end(answer);
    if (options_.stats) print_stats(session_, *figures_);
    if (answer.message.tool_calls.empty()) return false;
    bool stopped = answer.end == AnswerEnd::cancelled;
    for (const ToolCall& call : answer.message.tool_calls) {
      // Each call gets a result, also those that are not reached: a conversation with a call left open could not be gone on with.
      ToolDialogue::Outcome outcome{R"({"error":"the user stopped before this call"})", true};
      if (!stopped) outcome = tools_.see_to(call);
      stopped = outcome.stopped;
      conversation_->add_tool_result(call, std::move(outcome.result));
    }
    return !stopped;
  }

  void tell_end(const Answer& answer) const {
    const auto used = static_cast<int64_t>(answer.prompt_tokens) + static_cast<int64_t>(answer.token_ids.size());
    const int64_t ctx = session_.engine->ctx();
    if (answer.end == AnswerEnd::cancelled) note("(stopped)");
    if (answer.end == AnswerEnd::repetition) warn("(stopped: the answer repeated itself; /retry asks again)");
    if (answer.end == AnswerEnd::length && used >= ctx) {
      warn(fmt::format(
          "the context is full ({} of {} tokens): the answer is cut. Nothing is dropped: /clear starts anew, /save FILE keeps this, --ctx N gives more", used,
          ctx));
    } else if (answer.end == AnswerEnd::length) {
      note("(cut at --max-tokens)");
    } else if (static_cast<double>(used) >= kNearlyFull * static_cast<double>(ctx)) {
      warn(fmt::format("the context is nearly full: {} of {} tokens", used, ctx));
    }
  }

  Session& session_;
  // All along: a Ctrl-C between Enter and the first token stops the answer too, not the program.
  InterruptScope interrupt_;
  std::unique_ptr<Conversation> conversation_;
  ChatLoopOptions options_;
  bool styled_;
  LineEditor editor_;
  ToolDialogue tools_;
  std::optional<Generation> figures_;
  bool keep_failed_ = false;
};

}  // namespace

int run_chat_loop(Session& session, std::unique_ptr<Conversation> conversation, ChatLoopOptions options) {
  return ChatLoop(session, std::move(conversation), std::move(options)).run();
}

}  // namespace carat::cli
