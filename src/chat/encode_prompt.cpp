#include <utility>

#include "base/error.h"
#include "chat/chat_format.h"

namespace carat {
namespace {

class Encoder {
 public:
  explicit Encoder(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {
    if (tokenizer.bos_id() >= 0) out_.token_ids.push_back(tokenizer.bos_id());
  }

  void add(const PromptPiece& piece) {
    switch (piece.kind) {
      case PromptPiece::Kind::text:
        if (border_behind_text_) note_resume_point();  // merges may reach across the border: the place in front of the whole text
        text_ += piece.text;
        break;
      case PromptPiece::Kind::border:
        border_behind_text_ = true;
        if (text_.empty()) note_resume_point();
        break;
      case PromptPiece::Kind::control: add_control(piece.text); break;
      case PromptPiece::Kind::media:
        add_control(piece.text);
        out_.media.push_back({.position = size() - 1, .kind = piece.media, .source = piece.source});
        break;
    }
  }

  EncodedPrompt take() {
    flush();
    return std::move(out_);
  }

 private:
  int32_t size() const { return static_cast<int32_t>(out_.token_ids.size()); }

  void note_resume_point() {
    border_behind_text_ = false;
    if (size() > 0 && (out_.resume_points.empty() || out_.resume_points.back() < size())) out_.resume_points.push_back(size());
  }

  void flush() {
    if (!text_.empty()) {
      const std::vector<TokenId> ids = tokenizer_.encode(text_, {.add_bos = false, .parse_special = false});
      out_.token_ids.insert(out_.token_ids.end(), ids.begin(), ids.end());
      text_.clear();
    }
    if (border_behind_text_) note_resume_point();
  }

  void add_control(const std::string& token) {
    flush();
    const auto id = tokenizer_.find(token);
    if (!id)
      fail(ErrorCode::unsupported, "the chat format needs {}, the vocabulary has no such token, take another --chat-template or a model that has it", token);
    const bool bos_again = *id == tokenizer_.bos_id() && size() == 1 && out_.token_ids[0] == *id;
    if (!bos_again) out_.token_ids.push_back(*id);
  }

  const Tokenizer& tokenizer_;
  EncodedPrompt out_;
  std::string text_;                 // not encoded yet
  bool border_behind_text_ = false;  // a border came behind text_, and nothing since
};

}  // namespace

std::string Prompt::text() const {
  std::string out;
  for (const PromptPiece& piece : pieces) out += piece.text;
  return out;
}

EncodedPrompt encode_prompt(const Tokenizer& tokenizer, const Prompt& prompt) {
  Encoder encoder(tokenizer);
  for (const PromptPiece& piece : prompt.pieces) encoder.add(piece);
  return encoder.take();
}

}  // namespace carat
