#pragma once
// Text to token ids and back, for the two vocabularies of Gemma: merges by rank (Gemma 4) and scores (Gemma 3).
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace carat {

class Checkpoint;
using TokenId = int32_t;

enum class TokenKind : uint8_t { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };

struct EncodeOptions {
  bool add_bos = true;         // exactly one <bos> in front (none is added when the text already begins with one, parsed as special)
  bool parse_special = false;  // texts such as <|turn> become their ids; off for anything a user typed
};

// Immutable after loading; safe to share between threads.
class Tokenizer {
 public:
  // From a GGUF file's metadata or from tokenizer.json in a folder. Fails with corrupt or unsupported.
  static std::shared_ptr<const Tokenizer> load(const Checkpoint& checkpoint);
  // `path`: a GGUF (also vocabulary only), a folder with tokenizer.json, or a tokenizer.json itself.
  static std::shared_ptr<const Tokenizer> load(const std::filesystem::path& path);
  virtual ~Tokenizer() = default;

  // text: UTF-8. Bytes that are not valid UTF-8 are encoded as byte tokens, so that nothing is lost. Time is O(n log n) at worst.
  virtual std::vector<TokenId> encode(std::string_view text, const EncodeOptions& options = {}) const = 0;

  virtual int32_t vocab_size() const = 0;
  virtual TokenKind kind(TokenId id) const = 0;  // id must be in [0, vocab_size)
  // Bytes a token stands for: byte token -> that byte, normal -> text with U+2581 as space, control -> its literal text.
  virtual std::string_view piece(TokenId id) const = 0;
  virtual std::optional<TokenId> find(std::string_view text) const = 0;  // exact token text, as stored

  // Whole-sequence decode; incomplete UTF-8 becomes one U+FFFD a byte. Control tokens (and <unk>) give nothing unless `special`.
  std::string decode(const std::vector<TokenId>& ids, bool special = false) const;

  TokenId bos_id() const { return bos_id_; }
  const std::vector<TokenId>& eos_ids() const { return eos_ids_; }  // ids the file names as end of text; generation_config may add more
  const std::string& chat_template() const { return chat_template_; }
  const std::vector<TokenId>& suppress_ids() const { return suppress_ids_; }  // tokenizer.ggml.suppress_tokens

 protected:
  TokenId bos_id_ = 2;
  std::vector<TokenId> eos_ids_;
  std::vector<TokenId> suppress_ids_;
  std::string chat_template_;
};

}  // namespace carat
