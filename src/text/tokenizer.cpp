#include "text/tokenizer.h"

#include "base/error.h"
#include "base/file.h"
#include "formats/checkpoint.h"
#include "text/detokenizer.h"
#include "text/folder_template.h"
#include "text/tokenizer_data.h"

namespace carat {
namespace {
constexpr uint64_t kMaxTokenizerJson = uint64_t{256} << 20;
constexpr uint64_t kMaxSideFile = uint64_t{16} << 20;
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
  data.chat_template = folder_template([&](std::string_view name) { return checkpoint.side_file(name); }, checkpoint.path().string());
  return make_tokenizer(std::move(data));
}

std::shared_ptr<const Tokenizer> Tokenizer::load(const std::filesystem::path& path) {
  std::error_code ec;
  if (path.extension() == ".json") return make_tokenizer(read_json_tokenizer(read_text_file(path, kMaxTokenizerJson), path.string()));
  if (std::filesystem::is_directory(path, ec)) {  // a vocabulary may come without weights
    const auto file = path / "tokenizer.json";
    if (!std::filesystem::exists(file, ec)) fail(ErrorCode::not_found, "{}: no tokenizer.json in this folder", path.string());
    TokenizerData data = read_json_tokenizer(read_text_file(file, kMaxTokenizerJson), file.string());
    const auto read = [&](std::string_view name) -> std::optional<std::string> {
      if (!std::filesystem::exists(path / name, ec)) return std::nullopt;
      return read_text_file(path / name, kMaxSideFile);
    };
    data.chat_template = folder_template(read, path.string());
    return make_tokenizer(std::move(data));
  }
  return load(*Checkpoint::open(path));
}

}  // namespace carat
