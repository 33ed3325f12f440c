// Which format a model gets.
#include "chat/chat_format.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/file.h"
#include "chat/jinja_template.h"

namespace carat {
namespace {

std::shared_ptr<const ChatFormat> builtin(const Tokenizer& tokenizer, const FormatChoice& choice) {
  if (tokenizer.find("<|turn>")) return gemma4_format(Gemma4Revision::canonical, !choice.per_layer_embeddings);
  if (tokenizer.find("<start_of_turn>")) return gemma3_format();
  fail(ErrorCode::unsupported, "the vocabulary is neither Gemma 4's nor Gemma 3's, so that no builtin format fits, --chat-template, give a template file");
}

// One of ours where the template is that, else by Jinja.
std::shared_ptr<const ChatFormat> of_template(std::string text, const Tokenizer& tokenizer) {
  if (auto known = check_template(text).format) return known;
  return jinja_format(std::move(text), tokenizer);
}

}  // namespace

std::shared_ptr<const ChatFormat> choose_format(const Tokenizer& tokenizer, const FormatChoice& choice, std::string* note) {
  if (note != nullptr) note->clear();
  const std::string& own = tokenizer.chat_template();
  if (choice.chat_template == "builtin") return builtin(tokenizer, choice);
  if (choice.chat_template == "model") {
    if (own.empty()) fail(ErrorCode::not_found, "the model has no chat template, --chat-template model, take builtin or a file");
    return of_template(own, tokenizer);
  }
  if (!choice.chat_template.empty()) return of_template(read_text_file(choice.chat_template, kMaxTemplateBytes), tokenizer);
  if (own.empty()) {
    if (!tokenizer.find("<|turn>")) return nullptr;
    return builtin(tokenizer, choice);
  }
  const TemplateCheck check = check_template(own);
  if (check.format != nullptr) return check.format;
  auto format = builtin(tokenizer, choice);
  if (note != nullptr) {
    *note = fmt::format("the model's chat template was not recognised ({}): {} is used; --chat-template model takes the model's own",
                        check.differences.empty() ? "no reason" : check.differences.front(), format->name());
  }
  return format;
}

}  // namespace carat
