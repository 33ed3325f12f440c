#include "cli/chat_options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "cli/console.h"

namespace carat::cli {

void add_chat_options(CLI::App& app, ChatOptions& options) {
  app.add_option("--chat-template", options.chat_template,
                 "builtin: the format as Carat knows it; model: the template in the model's file; or a file with a Jinja template. Default: the model's own "
                 "when it is one "
                 "that Carat knows, else builtin")
      ->type_name("FILE|builtin|model")
      ->group("Chat");
}

std::shared_ptr<const ChatFormat> chat_format(const Tokenizer& tokenizer, bool per_layer_embeddings, const ChatOptions& options) {
  std::string note;
  auto format = choose_format(tokenizer, {.chat_template = options.chat_template, .per_layer_embeddings = per_layer_embeddings}, &note);
  if (!note.empty()) fmt::print(stderr, "carat: {}\n", terminal_safe(note));
  return format;
}

}  // namespace carat::cli
