#include "text/detokenizer.h"

#include <algorithm>
#include <utility>

namespace carat {

std::string Detokenizer::push(TokenId id) {
  std::string out;
  if (id < 0 || id >= tokenizer_.vocab_size()) return out;  // a row that pads the table beyond the vocabulary stands for nothing
  const TokenKind kind = tokenizer_.kind(id);
  if (kind != TokenKind::byte) stream_.flush(out);  // a character is never finished by another kind of token
  if ((kind != TokenKind::control && kind != TokenKind::unknown) || special_) stream_.push(tokenizer_.piece(id), out);
  return out;
}

std::string Detokenizer::flush() {
  std::string out;
  stream_.flush(out);
  return out;
}

StopMatcher::StopMatcher(std::vector<std::string> stops) : stops_(std::move(stops)) {
  std::erase_if(stops_, [](const std::string& s) { return s.empty(); });
}

StopMatcher::Result StopMatcher::push(std::string_view text) {
  if (stopped_) return {"", true};
  if (stops_.empty()) return {std::string(text), false};
  for (char c : text) {  // by the byte, so that the stop string that is complete first counts, however the text was cut
    held_.push_back(c);
    size_t longest = 0;
    for (const std::string& s : stops_)
      if (s.size() > longest && held_.ends_with(s)) longest = s.size();
    if (longest == 0) continue;
    stopped_ = true;
    Result r{held_.substr(0, held_.size() - longest), true};
    held_.clear();
    return r;
  }
  // What could be the beginning of a stop string stays.
  size_t keep = 0;
  for (const std::string& s : stops_)
    for (size_t n = std::min(s.size() - 1, held_.size()); n > keep; --n)
      if (std::string_view(held_).substr(held_.size() - n) == std::string_view(s).substr(0, n)) {
        keep = n;
        break;
      }
  Result r{held_.substr(0, held_.size() - keep), false};
  held_.erase(0, held_.size() - keep);
  return r;
}

std::string StopMatcher::flush() { return std::exchange(held_, {}); }

}  // namespace carat
