#include "fuzz/targets.h"
#include "text/tokenizer.h"

namespace carat::fuzz {

void load_tokenizer(const std::filesystem::path& path) {
  const auto tokenizer = Tokenizer::load(path);
  // A vocabulary that was accepted must hold what its interface says.
  std::vector<TokenId> ids = tokenizer->encode("Hello <bos> w\xc3\xb6rld \xf0\x9f\x98\x80 \xff 123\n", {true, true});
  for (TokenId id = 0; id < tokenizer->vocab_size(); id += 37) ids.push_back(id);
  for (const TokenId id : ids) {
    static_cast<void>(tokenizer->kind(id));
    static_cast<void>(tokenizer->piece(id));
  }
  static_cast<void>(tokenizer->decode(ids, true));
}

}  // namespace carat::fuzz
