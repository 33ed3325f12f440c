#include "text/tokenizer.h"

#include "base/error.h"
#include "base/file.h"
#include "formats/checkpoint.h"
#include "text/detokenizer.h"
#include "text/tokenizer_data.h"

namespace carat {
namespace {
constexpr uint64_t kMaxTokenizerJson = uint64_t{256} << 20;
constexpr uint64_t kMaxTemplate = uint64_t{16} << 20;
}  // namespace

std::string Tokenizer::decode(const std::vector<TokenId>& ids, bool special) const {
  Detokenizer d(*this, special);
  std::string out;
  for (TokenId id : ids) out += d.push(id);
  return out + d.flush();
}

std::shared_ptr<const Tokenizer> Tokenizer::load(const Checkpoint& checkpoint) {
  if (checkpoint.kind() == CheckpointKind::gguf) return make_tokenizer(read_gguf_tokenizer(checkpoint));
  const auto text = checkpoint.side_file("tokenizer.json");
  if (!text) fail(ErrorCode::not_found, "{}: tokenizer.json is missing beside the weights", checkpoint.path().string());
  TokenizerData data = read_json_tokenizer(*text, (checkpoint.path() / "tokenizer.json").string());
  data.chat_template = checkpoint.side_file("chat_template.jinja").value_or("");
  return make_tokenizer(std::move(data));
}

std::shared_ptr<const Tokenizer> Tokenizer::load(const std::filesystem::path& path) {
  std::error_code ec;
  if (path.extension() == ".json") return make_tokenizer(read_json_tokenizer(read_text_file(path, kMaxTokenizerJson), path.string()));
  if (std::filesystem::is_directory(path, ec)) {  // a vocabulary may come without weights
    const auto file = path / "tokenizer.json";
    if (!std::filesystem::exists(file, ec)) fail(ErrorCode::not_found, "{}: no tokenizer.json in this folder", path.string());
    TokenizerData data = read_json_tokenizer(read_text_file(file, kMaxTokenizerJson), file.string());
    if (const auto chat_template = path / "chat_template.jinja"; std::filesystem::exists(chat_template, ec)) {
      data.chat_template = read_text_file(chat_template, kMaxTemplate);
    }
    return make_tokenizer(std::move(data));
  }
  return load(*Checkpoint::open(path));
}

}  // namespace carat
