#include "text/detokenizer.h"

#include <algorithm>
#include <utility>

namespace carat {

std::string Detokenizer::push(TokenId id) {
  std::string out;
  const TokenKind kind = tokenizer_.kind(id);
  if (kind != TokenKind::byte) stream_.flush(out);   // a character is never finished by another kind of token
  if (kind != TokenKind::control || special_) stream_.push(tokenizer_.piece(id), out);
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
  if (stops_.empty()) return {std::string(text), false};
  held_ += text;
  size_t at = std::string::npos;
  for (const std::string& s : stops_) at = std::min(at, held_.find(s));
  if (at != std::string::npos) {
    Result r{held_.substr(0, at), true};
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
