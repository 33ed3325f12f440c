// A foreign template as a ChatFormat: run it on guarded text, take the control tokens out of what it printed, put the text back.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

#include "base/error.h"
#include "chat/gemma4_values.h"
#include "chat/jinja_template.h"
#include "chat/prompt_writer.h"
#include "chat/text_guard.h"

namespace carat {
namespace {

struct Placeholder {
  std::string_view text;
  ContentPart::Kind kind;
};
constexpr std::array<Placeholder, 4> kPlaceholders = {{{"<|image|>", ContentPart::Kind::image},
                                                       {"<start_of_image>", ContentPart::Kind::image},
                                                       {"<|audio|>", ContentPart::Kind::audio},
                                                       {"<|video|>", ContentPart::Kind::video}}};

// The media of a conversation in their order, each kind by itself: a template prints places, not what fills them.
class MediaQueue {
 public:
  explicit MediaQueue(std::span<const Message> messages) {
    for (const Message& message : messages) {
      for (const ContentPart& part : message.content.parts) {
        if (part.kind != ContentPart::Kind::text) waiting_[part.kind].push_back(&part);
      }
    }
  }
  const ContentPart* next(ContentPart::Kind kind) {
    size_t& at = taken_[kind];
    const auto& parts = waiting_[kind];
    return at < parts.size() ? parts[at++] : nullptr;
  }
  bool empty() const {
    return std::all_of(waiting_.begin(), waiting_.end(), [&](const auto& entry) {
      const auto it = taken_.find(entry.first);
      return entry.second.size() == (it == taken_.end() ? 0 : it->second);
    });
  }

 private:
  std::map<ContentPart::Kind, std::vector<const ContentPart*>> waiting_;
  std::map<ContentPart::Kind, size_t> taken_;
};

std::vector<Message> without_thoughts(std::span<const Message> messages) {
  std::vector<Message> out(messages.begin(), messages.end());
  for (Message& message : out) {
    if (message.role != "assistant" && message.role != "model") continue;
    if (message.content.kind == Content::Kind::text) message.content.text = gemma4::strip_thinking(message.content.text);
    for (ContentPart& part : message.content.parts) {
      if (part.kind == ContentPart::Kind::text) part.text = gemma4::strip_thinking(part.text);
    }
  }
  return out;
}

class JinjaFormat final : public ChatFormat {
 public:
  JinjaFormat(std::string chat_template, const Tokenizer& tokenizer)
      : template_(std::move(chat_template)), controls_(tokenizer), gemma4_(tokenizer.find("<|turn>").has_value()) {
    run_template(template_, {});
  }

  Prompt render(std::span<const Message> messages, const Json& tools, const RenderOptions& options) const override {
    if (messages.empty()) fail(ErrorCode::invalid_argument, "there are no messages, messages, give at least one");
    const Json plain = template_variables(messages, tools, options);
    const TextGuard guard(controls_, template_, plain);
    // What a model said before may hold its thoughts, which templates cut out by their control tokens: these they no longer find. So that is done for them, if
    // that is what they do. The plain render says what the text should be; it is not used for more.
    const std::vector<Message> thoughtless = without_thoughts(messages);
    const Json cut = template_variables(thoughtless, tools, options);
    const std::vector<TemplateOutput> out =
        run_template(template_, {plain, guard.guarded(plain, false), guard.guarded(plain, true), guard.guarded(cut, false), guard.guarded(cut, true)});
    const auto says_the_same = [&](const TemplateOutput& guarded) { return guarded.error.empty() && guard.restored(guarded.text) == out[0].text; };
    const size_t chosen = !says_the_same(out[1]) && says_the_same(out[3]) ? 3 : 1;
    const TemplateOutput& text = out[chosen];
    const TemplateOutput& strict = out[chosen + 1];
    if (!out[0].error.empty() || !text.error.empty()) {
      fail(ErrorCode::invalid_argument, "the chat template gives no prompt: {}, messages, change them or take --chat-template builtin",
           out[0].error.empty() ? text.error : out[0].error);
    }
    if (!strict.error.empty() || count_controls(strict.text) != count_controls(text.text)) {
      fail(ErrorCode::invalid_argument,
           "the chat template makes control tokens out of what a message or a tool says, messages, change them or take --chat-template builtin");
    }
    return split(text.text, guard, messages);
  }
  std::string name() const override { return "jinja"; }
  bool is_gemma4() const override { return gemma4_; }

 private:
  std::map<std::string_view, size_t> count_controls(std::string_view text) const {
    std::map<std::string_view, size_t> counts;
    for_each_control(text, [&](std::string_view, std::string_view control) { ++counts[control]; });
    return counts;
  }

  // Calls fn(text before it, control token) for each, at last with what is behind the last one and "".
  template <typename Fn>
  void for_each_control(std::string_view text, Fn&& fn) const {
    size_t plain = 0;
    for (size_t at = 0; at < text.size();) {
      const size_t length = controls_.begins(text[at]) ? controls_.match(text.substr(at)) : 0;
      if (length == 0) {
        ++at;
        continue;
      }
      fn(text.substr(plain, at - plain), text.substr(at, length));
      at += length;
      plain = at;
    }
    fn(text.substr(plain), std::string_view());
  }

  Prompt split(std::string_view text, const TextGuard& guard, std::span<const Message> messages) const {
    PromptWriter out;
    MediaQueue media(messages);
    const auto refuse_media = [](std::string_view what) {
      fail(ErrorCode::invalid_argument, "the chat template shows {} than the messages hold, messages, take --chat-template builtin", what);
    };
    size_t at = 0;
    for_each_control(text, [&](std::string_view before, std::string_view control) {
      out.text(guard.restored(before));
      at += before.size() + control.size();
      if (control.empty()) return;
      const auto* const place = std::find_if(kPlaceholders.begin(), kPlaceholders.end(), [&](const Placeholder& p) { return p.text == control; });
      if (place != kPlaceholders.end()) {
        const ContentPart* part = media.next(place->kind);
        if (part == nullptr) refuse_media("more media");
        out.media(*part, control);
        return;
      }
      const bool models_turn = (control == "<|turn>" || control == "<start_of_turn>") && text.substr(at).starts_with("model");
      if (models_turn) out.border();
      out.control(control);
    });
    if (!media.empty()) refuse_media("less media");
    return out.take();
  }

  const std::string template_;
  const ControlTexts controls_;
  const bool gemma4_;
};

}  // namespace

std::shared_ptr<const ChatFormat> jinja_format(std::string chat_template, const Tokenizer& tokenizer) {
  return std::make_shared<JinjaFormat>(std::move(chat_template), tokenizer);
}

}  // namespace carat
