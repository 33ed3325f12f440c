#pragma once
// Conversations to prompts. The formats of Gemma 3 and Gemma 4 are code; a template of somebody else's goes through minijinja (jinja_template.h).
//
// A prompt is pieces, not a string: what the format itself says may hold control tokens, what people and tools say never does, however it is spelled.
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "chat/message.h"
#include "text/tokenizer.h"

namespace carat {

struct PromptPiece {
  enum class Kind : uint8_t {
    text,     // plain text: never becomes a control token
    control,  // the literal text of one control token, "<|turn>"
    media,    // a place that an image, audio or video fills; text is the placeholder, "<|image|>"
    border,   // no text: a place where conversations that begin alike usually part (KvPool's resume points)
  };
  Kind kind = Kind::text;
  std::string text;
  ContentPart::Kind media = ContentPart::Kind::text;  // kind media: which
  Json source;                                        // kind media: ContentPart::media
};

struct Prompt {
  std::vector<PromptPiece> pieces;
  std::string text() const;  // what a template would have printed
};

struct RenderOptions {
  bool add_generation_prompt = true;
  std::optional<bool> enable_thinking;  // unset: not said, which templates take as off
  bool preserve_thinking = false;
};

// Immutable; safe to share between threads.
class ChatFormat {
 public:
  virtual ~ChatFormat() = default;
  // tools: as tools_from_json() returns them. Fails with invalid_argument for what the format cannot say (a value, and where it is); unsupported.
  virtual Prompt render(std::span<const Message> messages, const Json& tools, const RenderOptions& options) const = 0;
  // "gemma4 (canonical, large)", "gemma3", "jinja": for people.
  virtual std::string name() const = 0;
  virtual bool is_gemma4() const = 0;  // answers hold thoughts and tool calls
  // Whether assistant messages that follow each other are one turn, each with its thought: then text that came before a call is a message before that of the call.
  virtual bool joins_assistant_messages() const { return false; }
};

// The revisions of Gemma 4's template (docs/chat.md): what differs is listed there.
enum class Gemma4Revision : uint8_t { launch, interleaved, spring, canonical };
std::shared_ptr<const ChatFormat> gemma4_format(Gemma4Revision revision, bool empty_thought_when_off);
std::shared_ptr<const ChatFormat> gemma3_format();

// What a file's own template is: one of ours, found by how it behaves, or none of them.
struct TemplateCheck {
  std::shared_ptr<const ChatFormat> format;  // null: no template, or a foreign one
  bool has_template = false;
  std::vector<std::string> differences;  // a line each, for `inspect`: in what it differs from the known one nearest to it
};
// Runs the template on some conversations, a few milliseconds in all. Never fails: what is wrong with it is a difference.
TemplateCheck check_template(std::string_view chat_template);

struct FormatChoice {
  std::string chat_template;          // --chat-template: "" (the model's own when it is one of ours, else builtin), "builtin", "model", or a file's path
  bool per_layer_embeddings = false;  // of the model: its small variant has no empty thought
};
// The format for a model. null: a model without a chat format (pre-trained). *note, when given: a line for the user where the choice is not the plain one
// (the model's own template was passed over), else "". Fails with not_found, io, invalid_argument (a template that does not compile), unsupported.
std::shared_ptr<const ChatFormat> choose_format(const Tokenizer& tokenizer, const FormatChoice& choice, std::string* note = nullptr);

struct EncodedPrompt {
  std::vector<TokenId> token_ids;
  std::vector<int32_t> resume_points;  // lengths, ascending
  struct Media {
    int32_t position = 0;  // of the placeholder's one token
    ContentPart::Kind kind = ContentPart::Kind::image;
    Json source;
  };
  std::vector<Media> media;
};
// Plain text between two control tokens is encoded as one, as the reference does; <bos> exactly once. Fails with unsupported when the vocabulary lacks a control token.
EncodedPrompt encode_prompt(const Tokenizer& tokenizer, const Prompt& prompt);

}  // namespace carat
