// The four revisions of Gemma 4's format, as their templates print them (docs/chat.md).
#include <fmt/format.h>

#include "base/error.h"
#include "chat/chat_format.h"
#include "chat/gemma4_tools.h"
#include "chat/gemma4_values.h"
#include "chat/python_text.h"

namespace carat {
namespace gemma4 {
namespace {

std::string_view placeholder(ContentPart::Kind kind) {
  switch (kind) {
    case ContentPart::Kind::image: return "<|image|>";
    case ContentPart::Kind::audio: return "<|audio|>";
    default: return "<|video|>";
  }
}

class Renderer {
 public:
  Renderer(Gemma4Revision revision, bool empty_thought_when_off, std::span<const Message> messages, const Json& tools, const RenderOptions& options)
      : revision_(revision), empty_thought_when_off_(empty_thought_when_off), all_(messages), messages_(messages), tools_(tools), options_(options) {}

  Prompt render() {
    out_.control("<bos>");
    write_system();
    for (size_t i = 0; i < messages_.size(); ++i) {
      if (messages_[i].role == "user") last_user_ = static_cast<std::ptrdiff_t>(i);
    }
    for (size_t i = 0; i < messages_.size(); ++i) {
      if (understands_tools()) {
        if (messages_[i].role != "tool") write_turn(i);
      } else {
        write_old_turn(i);
      }
    }
    if (options_.add_generation_prompt) write_generation_prompt();
    return out_.take();
  }

 private:
  enum class Last : uint8_t { other, call, result };  // what the turn ended with

  bool canonical() const { return revision_ == Gemma4Revision::canonical; }
  bool understands_tools() const { return revision_ >= Gemma4Revision::spring; }  // messages of the role tool
  bool thinks() const { return options_.enable_thinking.value_or(false); }
  Null null() const { return canonical() ? Null::as_null : Null::as_none; }
  std::string place(size_t i) const { return fmt::format("messages[{}]", i + (all_.size() - messages_.size())); }

  void write_system() {
    const bool has_text = all_[0].role == "system" || all_[0].role == "developer";
    if (!has_text && !thinks() && tools_.empty()) return;
    out_.control("<|turn>");
    out_.text("system\n");
    if (thinks()) {
      out_.control("<|think|>");
      if (revision_ != Gemma4Revision::launch) out_.text("\n");
    }
    if (has_text) {
      const Content& content = all_[0].content;
      if (content.kind == Content::Kind::text) out_.text(py_strip(content.text));
      for (const ContentPart& part : content.parts) {
        if (part.kind != ContentPart::Kind::text) {
          fail(ErrorCode::invalid_argument, "a system message cannot show media, messages[0].content, put them into a user's message");
        }
        out_.text(py_strip(part.text));
        out_.text(" ");
      }
      messages_ = all_.subspan(1);
    }
    for (size_t i = 0; i < tools_.size(); ++i) {
      out_.control("<|tool>");
      write_declaration(out_, tools_[i]["function"], revision_, fmt::format("tools[{}].function", i));
      out_.control("<tool|>");
    }
    close_turn();
    out_.border();
  }

  void open_turn(std::string_view role) {
    if (role == "model") out_.border();
    out_.control("<|turn>");
    out_.text(role);
    out_.text("\n");
  }
  void close_turn() {
    out_.control("<turn|>");
    out_.text("\n");
  }

  // Launch and interleaved: a turn a message, results only from the assistant's own message.
  void write_old_turn(size_t i) {
    const Message& message = messages_[i];
    const bool goes_on = revision_ == Gemma4Revision::interleaved && last_ == Last::result && !message.tool_calls.empty();
    if (!goes_on) open_turn(role_of(message));
    last_ = Last::other;
    if (!message.tool_calls.empty()) {
      if (revision_ == Gemma4Revision::interleaved && message.reasoning_as_content && !message.reasoning.empty() && after_last_user(i)) {
        out_.control("<|channel>");
        out_.text("thought\n");
        out_.text(message.reasoning);
        out_.control("<channel|>");
      }
      write_calls(message, i);
    }
    for (const ToolResponse& response : message.tool_responses) write_result(response.name, response.response);
    write_content(message, true);
    if (message.tool_responses.empty() || !message.content.empty()) close_turn();
  }

  // Spring and canonical: consecutive assistant messages are one turn, with the results of tools within it.
  void write_turn(size_t i) {
    const Message& message = messages_[i];
    const std::string_view role = role_of(message);
    if (!(role == "model" && previous_role_ == "assistant")) open_turn(role);
    previous_role_ = message.role;
    last_ = Last::other;
    const bool has_calls = !message.tool_calls.empty();
    const bool keeps_thought = canonical() ? after_last_user(i) || (options_.preserve_thinking && has_calls) : after_last_user(i) && has_calls;
    if (!message.reasoning.empty() && keeps_thought) {
      out_.control("<|channel>");
      out_.text("thought\n");
      out_.text(message.reasoning);
      out_.text("\n");
      out_.control("<channel|>");
    }
    if (has_calls) write_calls(message, i);
    const bool has_results = write_results(message, i);
    const bool has_content = write_content(message, !canonical());
    const bool unanswered = last_ == Last::call && !has_results;
    if (unanswered) {
      out_.control("<|tool_response>");  // the model stopped there; its results come behind
    } else if (canonical()) {
      const std::string_view next = next_role(i);
      const bool continues = role == "model" && next == "assistant" && (!has_calls || has_results);
      if (!continues && (!has_results || has_content || !next.empty())) close_turn();
    } else if (!has_results || !message.content.empty()) {
      close_turn();
    }
  }

  static std::string_view role_of(const Message& message) { return message.role == "assistant" ? std::string_view("model") : message.role; }
  bool after_last_user(size_t i) const { return static_cast<std::ptrdiff_t>(i) > last_user_; }

  // Of the next message that is no tool's; "": there is none.
  std::string_view next_role(size_t i) const {
    while (++i < messages_.size()) {
      if (messages_[i].role != "tool") return messages_[i].role;
    }
    return "";
  }

  void write_calls(const Message& message, size_t i) {
    for (size_t j = 0; j < message.tool_calls.size(); ++j) {
      const ToolCall& call = message.tool_calls[j];
      out_.control("<|tool_call>");
      out_.text("call:");
      out_.text(call.name);
      out_.text("{");
      if (call.arguments.is_object()) {
        write_members(out_, call.arguments, null(), Keys::plain);
      } else if (!canonical()) {
        out_.text(py_str(call.arguments));
      } else {
        fail(ErrorCode::invalid_argument, "the arguments are no JSON object, {}.tool_calls[{}].function.arguments, give one", place(i), j);
      }
      out_.text("}");
      out_.control("<tool_call|>");
    }
    last_ = Last::call;
  }

  // Results on the message itself, else those of the messages of tools that follow it. True when there were any.
  bool write_results(const Message& message, size_t i) {
    for (const ToolResponse& response : message.tool_responses) write_result(response.name, response.response);
    if (!message.tool_responses.empty()) return true;
    bool any = false;
    if (message.tool_calls.empty()) return false;
    for (size_t k = i + 1; k < messages_.size() && messages_[k].role == "tool"; ++k) {
      const Message& tool = messages_[k];
      std::string_view name = tool.name;
      for (const ToolCall& call : message.tool_calls) {
        if (call.id == tool.tool_call_id) name = call.name;
      }
      write_result_of(name, tool.content, k);
      any = true;
    }
    return any;
  }

  void write_result_of(std::string_view name, const Content& content, size_t k) {
    if (content.kind == Content::Kind::value) return write_result(name, content.value);
    if (content.kind == Content::Kind::none) return write_result(name, nullptr);
    std::string text = content.text;
    for (const ContentPart& part : content.parts) text += part.text;
    write_result(name, text);
    for (const ContentPart& part : content.parts) {
      if (part.kind == ContentPart::Kind::text) continue;
      if (!canonical())
        fail(ErrorCode::invalid_argument, "this revision of the format cannot show a tool's media, {}.content, put them into a user's message", place(k));
      out_.media(part, placeholder(part.kind));
    }
  }

  void write_result(std::string_view name, const Json& response) {
    out_.control("<|tool_response>");
    out_.text("response:");
    out_.text(name.empty() ? "unknown" : name);
    out_.text("{");
    if (response.is_object()) {
      write_members(out_, response, null(), Keys::plain);
    } else {
      out_.text("value:");
      write_value(out_, response, null(), Keys::plain);
    }
    out_.text("}");
    out_.control("<tool_response|>");
    last_ = Last::result;
  }

  // media_end_the_turn: of what comes after a picture it is no longer known that a call or a result came before it. True: there was more than white space.
  bool write_content(const Message& message, bool media_end_the_turn) {
    const auto written = [&](const std::string& text) { return role_of(message) == "model" ? strip_thinking(text) : std::string(py_strip(text)); };
    bool any = false;
    const auto write = [&](const std::string& text) {
      any = any || !text.empty();
      out_.text(text);
    };
    if (message.content.kind == Content::Kind::text) write(written(message.content.text));
    for (const ContentPart& part : message.content.parts) {
      if (part.kind == ContentPart::Kind::text) {
        write(written(part.text));
        continue;
      }
      const bool apart = revision_ == Gemma4Revision::launch && part.kind != ContentPart::Kind::audio;
      if (apart) out_.text("\n\n");
      out_.media(part, placeholder(part.kind));
      if (apart) out_.text("\n\n");
      any = true;
      if (media_end_the_turn) last_ = Last::other;
    }
    return any;
  }

  void write_generation_prompt() {
    const bool new_turn = understands_tools() ? last_ == Last::other : last_ != Last::result;
    if (new_turn) open_turn("model");
    const bool empty_thought = empty_thought_when_off_ && !thinks() && (new_turn || !understands_tools());
    const bool open_thought = canonical() && last_ == Last::result && thinks();
    if (empty_thought || open_thought) {
      if (!new_turn) out_.border();
      out_.control("<|channel>");
      out_.text("thought\n");
      if (empty_thought) out_.control("<channel|>");
    }
  }

  const Gemma4Revision revision_;
  const bool empty_thought_when_off_;
  const std::span<const Message> all_;
  std::span<const Message> messages_;  // without the system message
  const Json& tools_;
  const RenderOptions& options_;
  PromptWriter out_;
  Last last_ = Last::other;
  std::string_view previous_role_;
  std::ptrdiff_t last_user_ = -1;
};

class Gemma4Format final : public ChatFormat {
 public:
  Gemma4Format(Gemma4Revision revision, bool empty_thought_when_off) : revision_(revision), empty_thought_when_off_(empty_thought_when_off) {}

  Prompt render(std::span<const Message> messages, const Json& tools, const RenderOptions& options) const override {
    if (messages.empty()) fail(ErrorCode::invalid_argument, "there are no messages, messages, give at least one");
    return Renderer(revision_, empty_thought_when_off_, messages, tools, options).render();
  }
  std::string name() const override {
    constexpr std::string_view names[] = {"launch", "interleaved", "spring", "canonical"};
    return fmt::format("gemma4 ({}, {})", names[static_cast<size_t>(revision_)], empty_thought_when_off_ ? "large" : "small");
  }
  bool is_gemma4() const override { return true; }
  bool joins_assistant_messages() const override { return revision_ == Gemma4Revision::canonical; }

 private:
  Gemma4Revision revision_;
  bool empty_thought_when_off_;
};

}  // namespace
}  // namespace gemma4

std::shared_ptr<const ChatFormat> gemma4_format(Gemma4Revision revision, bool empty_thought_when_off) {
  return std::make_shared<gemma4::Gemma4Format>(revision, empty_thought_when_off);
}

}  // namespace carat
