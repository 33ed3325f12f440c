#include "chat/prompt_writer.h"

namespace carat {

void PromptWriter::add(PromptPiece::Kind kind, std::string text) {
  size_ += text.size();
  prompt_.pieces.push_back({.kind = kind, .text = std::move(text), .media = ContentPart::Kind::text, .source = nullptr});
}

void PromptWriter::text(std::string_view text) {
  if (text.empty()) return;
  if (!prompt_.pieces.empty() && prompt_.pieces.back().kind == PromptPiece::Kind::text) {
    prompt_.pieces.back().text += text;
    size_ += text.size();
  } else {
    add(PromptPiece::Kind::text, std::string(text));
  }
}

void PromptWriter::media(const ContentPart& part, std::string_view placeholder) {
  add(PromptPiece::Kind::media, std::string(placeholder));
  prompt_.pieces.back().media = part.kind;
  prompt_.pieces.back().source = part.media;
}

void PromptWriter::border() {
  if (!prompt_.pieces.empty() && prompt_.pieces.back().kind != PromptPiece::Kind::border) add(PromptPiece::Kind::border, "");
}

}  // namespace carat
