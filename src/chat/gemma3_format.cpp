// Gemma 3's format: turns of user and model, one after the other; no system turn, no tools, no thoughts.
#include <fmt/format.h>

#include "base/error.h"
#include "chat/chat_format.h"
#include "chat/prompt_writer.h"
#include "chat/python_text.h"

namespace carat {
namespace {

class Gemma3Format final : public ChatFormat {
 public:
  Prompt render(std::span<const Message> messages, const Json& tools, const RenderOptions& options) const override {
    if (messages.empty()) fail(ErrorCode::invalid_argument, "there are no messages, messages, give at least one");
    if (!tools.empty()) fail(ErrorCode::unsupported, "Gemma 3 has no format for tools, tools, leave them out or take a Gemma 4 model");
    if (options.enable_thinking.value_or(false)) fail(ErrorCode::unsupported, "Gemma 3 does not think, enable_thinking, leave it out or take a Gemma 4 model");
    PromptWriter out;
    out.control("<bos>");
    const bool has_system = messages[0].role == "system";
    for (size_t i = has_system ? 1 : 0; i < messages.size(); ++i) {
      const Message& message = messages[i];
      const bool users_turn = (i - (has_system ? 1 : 0)) % 2 == 0;
      if ((message.role == "user") != users_turn) {
        fail(ErrorCode::invalid_argument, "the role is {}, messages[{}].role, user and assistant take turns, a user begins; a system message may be the first",
             message.role, i);
      }
      if (message.role != "user") out.border();
      out.control("<start_of_turn>");
      out.text(message.role == "assistant" ? "model" : message.role);
      out.text("\n");
      if (has_system && i == 1) write_system(out, messages[0]);
      write_content(out, message, i);
      out.control("<end_of_turn>");
      out.text("\n");
    }
    if (options.add_generation_prompt) {
      out.border();
      out.control("<start_of_turn>");
      out.text("model\n");
    }
    return out.take();
  }
  std::string name() const override { return "gemma3"; }
  bool is_gemma4() const override { return false; }

 private:
  // In front of the first user's text, as it was given.
  static void write_system(PromptWriter& out, const Message& message) {
    out.text(message.content.text);
    for (const ContentPart& part : message.content.parts) {
      if (part.kind != ContentPart::Kind::text) {
        fail(ErrorCode::invalid_argument, "a system message cannot show media, messages[0].content, put them into a user's message");
      }
      out.text(part.text);
    }
    out.text("\n\n");
  }

  static void write_content(PromptWriter& out, const Message& message, size_t i) {
    if (!message.tool_calls.empty() || !message.tool_responses.empty()) {
      fail(ErrorCode::unsupported, "Gemma 3 has no format for calls of tools, messages[{}], leave them out or take a Gemma 4 model", i);
    }
    if (message.content.kind == Content::Kind::value)
      fail(ErrorCode::invalid_argument, "the content is neither text nor parts, messages[{}].content, give text", i);
    out.text(py_strip(message.content.text));
    for (const ContentPart& part : message.content.parts) {
      if (part.kind == ContentPart::Kind::text) {
        out.text(py_strip(part.text));
      } else if (part.kind == ContentPart::Kind::image) {
        out.media(part, "<start_of_image>");
      } else {
        fail(ErrorCode::unsupported, "Gemma 3 takes no sound and no video, messages[{}].content, give pictures or take a Gemma 4 model", i);
      }
    }
  }
};

}  // namespace

std::shared_ptr<const ChatFormat> gemma3_format() { return std::make_shared<Gemma3Format>(); }

}  // namespace carat
