#include "text/vocab.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/utf8.h"

namespace carat {
namespace {

// "<0x1F>" -> 31; anything else -> -1.
int byte_of(std::string_view text) {
  const auto digit = [](char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; };
  if (text.size() != 6 || text.substr(0, 3) != "<0x" || text[5] != '>') return -1;
  const int high = digit(text[3]), low = digit(text[4]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

}  // namespace

uint64_t hash_bytes(std::string_view bytes) {
  uint64_t h = 0x9E3779B97F4A7C15u ^ bytes.size();
  const char* p = bytes.data();
  size_t n = bytes.size();
  for (; n >= 8; p += 8, n -= 8) {
    uint64_t w;
    std::memcpy(&w, p, 8);
    h = (h ^ w) * 0xD6E8FEB86659FD93u;
    h ^= h >> 32;
  }
  uint64_t w = 0;
  std::memcpy(&w, p, n);
  h = (h ^ w) * 0xD6E8FEB86659FD93u;
  return h ^ h >> 32;
}

Vocab::Vocab(const std::vector<std::string_view>& texts, std::vector<TokenKind> kinds, const std::string& source) : kinds_(std::move(kinds)) {
  if (texts.empty() || texts.size() > kMaxVocab) fail(ErrorCode::corrupt, "{}: a vocabulary of {} pieces, outside 1..{}", source, texts.size(), kMaxVocab);
  check(kinds_.size() == texts.size(), "every piece has a kind");
  std::fill(std::begin(byte_ids_), std::end(byte_ids_), -1);
  direct_.assign(kDirect, -1);
  size_t slots = 16, bytes = 0, probes = 0;
  while (slots < texts.size() * 2) slots *= 2;
  slots_.assign(slots, -1);
  for (std::string_view t : texts) bytes += t.size();
  if (bytes > (size_t{1} << 30)) fail(ErrorCode::corrupt, "{}: the vocabulary's texts take {} bytes", source, bytes);
  texts_.reserve(bytes), pieces_.reserve(bytes), text_ends_.reserve(texts.size()), piece_ends_.reserve(texts.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    const std::string_view t = texts[i];
    if (t.size() > kMaxPieceBytes)
      fail(ErrorCode::corrupt, "{}: piece {} of the vocabulary is {} bytes long, at most {} are allowed", source, i, t.size(), kMaxPieceBytes);
    const TokenId id = static_cast<TokenId>(i);
    texts_ += t;
    text_ends_.push_back(static_cast<uint32_t>(texts_.size()));
    if (kinds_[i] == TokenKind::byte) {
      const int b = byte_of(t);
      if (b < 0) fail(ErrorCode::corrupt, "{}: piece {} is marked as a byte but its text is not of the form <0xHH>", source, i);
      pieces_.push_back(static_cast<char>(b));
      if (byte_ids_[b] < 0) byte_ids_[b] = id;
    } else if (kinds_[i] == TokenKind::control) {
      pieces_ += t;
    } else {
      for (size_t at = 0; at < t.size();) {  // the mark is a space
        const size_t mark = std::min(t.find(kSpaceMark, at), t.size());
        pieces_ += t.substr(at, mark - at);
        if (mark < t.size()) pieces_.push_back(' ');
        at = mark + (mark < t.size() ? kSpaceMark.size() : 0);
      }
    }
    piece_ends_.push_back(static_cast<uint32_t>(pieces_.size()));
    if (t.empty()) continue;
    size_t slot = hash_bytes(t) & (slots - 1);
    for (; slots_[slot] >= 0 && text(slots_[slot]) != t; ++probes) slot = (slot + 1) & (slots - 1);
    if (probes > kMaxProbes * texts.size() + 4096) fail(ErrorCode::corrupt, "{}: the texts of the vocabulary are made to collide", source);
    if (slots_[slot] < 0) slots_[slot] = id;
    const Utf8Char c = utf8_decode(t);
    if (c.length == static_cast<int>(t.size()) && c.code < kDirect && direct_[c.code] < 0) direct_[c.code] = id;
  }
}

TokenId Vocab::find(std::string_view t) const {
  if (t.empty()) return -1;
  const size_t mask = slots_.size() - 1;
  for (size_t slot = hash_bytes(t) & mask; slots_[slot] >= 0; slot = (slot + 1) & mask)
    if (text(slots_[slot]) == t) return slots_[slot];
  return -1;
}

void SpecialTexts::add(std::string_view text, TokenId id, const std::string& source) {
  if (text.empty()) return;
  if (text.size() > kMaxSpecialBytes)
    fail(ErrorCode::corrupt, "{}: the text of special token {} is {} bytes long, at most {} are allowed", source, id, text.size(), kMaxSpecialBytes);
  if (nodes_.size() + text.size() > kMaxSpecialNodes)
    fail(ErrorCode::corrupt, "{}: the texts of the special tokens up to {} are too long together", source, id);
  first_[static_cast<uint8_t>(text[0])] = true;
  int32_t node = 0;
  for (char ch : text) {
    const uint8_t b = static_cast<uint8_t>(ch);
    auto& next = nodes_[static_cast<size_t>(node)].next;
    auto it = std::lower_bound(next.begin(), next.end(), b, [](const auto& e, uint8_t key) { return e.first < key; });
    if (it != next.end() && it->first == b) {
      node = it->second;
    } else {
      const int32_t made = static_cast<int32_t>(nodes_.size());
      next.insert(it, {b, made});
      nodes_.emplace_back();
      node = made;
    }
  }
  if (nodes_[static_cast<size_t>(node)].id < 0) nodes_[static_cast<size_t>(node)].id = id;
}

std::pair<TokenId, size_t> SpecialTexts::match(std::string_view text) const {
  std::pair<TokenId, size_t> best{-1, 0};
  int32_t node = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const uint8_t b = static_cast<uint8_t>(text[i]);
    const auto& next = nodes_[static_cast<size_t>(node)].next;
    const auto it = std::lower_bound(next.begin(), next.end(), b, [](const auto& e, uint8_t key) { return e.first < key; });
    if (it == next.end() || it->first != b) break;
    node = it->second;
    if (nodes_[static_cast<size_t>(node)].id >= 0) best = {nodes_[static_cast<size_t>(node)].id, i + 1};
  }
  return best;
}

}  // namespace carat
