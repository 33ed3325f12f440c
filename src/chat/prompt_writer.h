#pragma once
// Puts a prompt together piece by piece. Neighbouring texts become one piece; what is written as text stays text, whatever it spells.
#include <string>
#include <string_view>
#include <utility>

#include "chat/chat_format.h"

namespace carat {

class PromptWriter {
 public:
  void text(std::string_view text);
  void control(std::string_view token) { add(PromptPiece::Kind::control, std::string(token)); }
  void media(const ContentPart& part, std::string_view placeholder);
  // Two in a row, or one at the very beginning, are no use.
  void border();
  // Bytes of text and control tokens so far.
  size_t size() const { return size_; }
  Prompt take() { return std::move(prompt_); }

 private:
  void add(PromptPiece::Kind kind, std::string text);
  Prompt prompt_;
  size_t size_ = 0;
};

}  // namespace carat
