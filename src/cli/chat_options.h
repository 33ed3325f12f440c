#pragma once
// --chat-template, for every command that speaks a model's chat format.
#include <memory>
#include <string>

#include "chat/chat_format.h"

namespace CLI {
class App;
}

namespace carat::cli {

struct ChatOptions {
  std::string chat_template;  // "", "builtin", "model", or a file's path
};

// Declares --chat-template. `options` must outlive the parsing.
void add_chat_options(CLI::App& app, ChatOptions& options);

// The format for a model with this vocabulary; null: it has none. per_layer_embeddings: of the model, as FormatChoice says. Says on stderr when the model's own template
// is passed over. Fails as choose_format() does.
std::shared_ptr<const ChatFormat> chat_format(const Tokenizer& tokenizer, bool per_layer_embeddings, const ChatOptions& options);

}  // namespace carat::cli
