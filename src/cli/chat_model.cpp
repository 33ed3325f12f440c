#include "cli/chat_model.h"

#include "base/error.h"
#include "formats/checkpoint.h"
#include "model/config.h"

namespace carat::cli {
namespace {

// A folder may hold a vocabulary and no weights.
std::shared_ptr<const Checkpoint> checkpoint_of(const std::filesystem::path& path) {
  if (path.extension() == ".json") return nullptr;
  if (!std::filesystem::is_directory(path)) return Checkpoint::open(path);
  try {
    return Checkpoint::open(path);
  } catch (const Error&) {
    return nullptr;
  }
}

}  // namespace

bool has_per_layer_embeddings(const Checkpoint& checkpoint) {
  try {
    if (const auto architecture = checkpoint.meta_string("general.architecture")) {
      return checkpoint.meta_int(*architecture + ".embedding_length_per_layer_input").value_or(0) > 0;
    }
    return read_config(checkpoint)->hidden_size_per_layer_input > 0;
  } catch (const Error&) {  // a broken config is told where the model is run
    return false;
  }
}

ChatModel load_chat_model(const std::filesystem::path& path, const ChatOptions& options) {
  const auto checkpoint = checkpoint_of(path);
  ChatModel model;
  model.tokenizer = checkpoint == nullptr ? Tokenizer::load(path) : Tokenizer::load(*checkpoint);
  model.format = chat_format(*model.tokenizer, checkpoint != nullptr && has_per_layer_embeddings(*checkpoint), options);
  if (model.format == nullptr) {
    fail(ErrorCode::invalid_argument, "the model has no chat format: it was trained to continue text, {}, take an -it model or --chat-template builtin",
         path.string());
  }
  return model;
}

}  // namespace carat::cli
