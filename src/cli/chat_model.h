#pragma once
// The part of a model that turns conversations into ids: its vocabulary and its chat format, without weights.
#include <filesystem>
#include <memory>

#include "chat/chat_format.h"
#include "cli/chat_options.h"
#include "text/tokenizer.h"

namespace carat {
class Checkpoint;
}

namespace carat::cli {

struct ChatModel {
  std::shared_ptr<const Tokenizer> tokenizer;
  std::shared_ptr<const ChatFormat> format;  // not null
};

// path: a model, or a file with a vocabulary only. Fails with invalid_argument when the model has no chat format, and as Tokenizer::load() and chat_format() do.
ChatModel load_chat_model(const std::filesystem::path& path, const ChatOptions& options);

// Whether the model adds rows of per-layer embeddings, as the small ones do (E2B, E4B). Also of a file with a vocabulary only, where its metadata say so.
bool has_per_layer_embeddings(const Checkpoint& checkpoint);

}  // namespace carat::cli
