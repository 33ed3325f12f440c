#pragma once
// The pieces of a vocabulary: text, kind and id both ways. Texts are stored as in the file ("\u2581" for a space).
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace carat {

inline constexpr std::string_view kSpaceMark = "\xE2\x96\x81";  // U+2581, a space inside a piece
inline constexpr size_t kMaxVocab = size_t{1} << 21;
inline constexpr size_t kMaxPieceBytes = 65536;
inline constexpr size_t kMaxProbes = 64;                     // an entry on average, in tables half full: more is a file made to be slow
inline constexpr size_t kMaxSpecialBytes = 1024;             // of a special token's text, as it is looked for at every place of a text
inline constexpr size_t kMaxSpecialNodes = size_t{1} << 20;  // bytes of all such texts, common beginnings counted once

uint64_t hash_bytes(std::string_view bytes);

class Vocab {
 public:
  // Fails with corrupt: too many pieces, a piece too long. Byte tokens are recognised by kind and by the exact form <0xHH>.
  Vocab(const std::vector<std::string_view>& texts, std::vector<TokenKind> kinds, const std::string& source);

  int32_t size() const { return static_cast<int32_t>(kinds_.size()); }
  std::string_view text(TokenId id) const { return slice(texts_, text_ends_, id); }
  std::string_view piece(TokenId id) const { return slice(pieces_, piece_ends_, id); }  // what the token stands for
  TokenKind kind(TokenId id) const { return kinds_[static_cast<size_t>(id)]; }
  TokenId find(std::string_view text) const;                    // -1: not there; the lowest id when a text is there twice
  TokenId byte_token(uint8_t b) const { return byte_ids_[b]; }  // -1: none
  TokenId character(uint32_t code, std::string_view bytes) const { return code < kDirect ? direct_[code] : find(bytes); }

 private:
  static constexpr uint32_t kDirect = 0x10000;
  static std::string_view slice(const std::string& all, const std::vector<uint32_t>& ends, TokenId id) {
    const size_t i = static_cast<size_t>(id), begin = i == 0 ? 0 : ends[i - 1];
    return std::string_view(all).substr(begin, ends[i] - begin);
  }
  std::string texts_, pieces_;
  std::vector<uint32_t> text_ends_, piece_ends_;
  std::vector<TokenKind> kinds_;
  std::vector<int32_t> slots_;   // open addressing over the texts
  std::vector<TokenId> direct_;  // one-character pieces below kDirect
  TokenId byte_ids_[256];
};

// Which special texts may begin at a place: the longest match of a set of strings.
class SpecialTexts {
 public:
  void add(std::string_view text, TokenId id, const std::string& source);  // fails with corrupt: too long, or too many
  // Longest text of the set at the front of `text`; length 0: none.
  std::pair<TokenId, size_t> match(std::string_view text) const;
  bool begins(uint8_t b) const { return first_[b]; }
  bool empty() const { return nodes_.size() == 1; }

 private:
  struct Node {
    std::vector<std::pair<uint8_t, int32_t>> next;  // sorted by byte
    TokenId id = -1;
  };
  std::vector<Node> nodes_ = std::vector<Node>(1);
  bool first_[256] = {};
};

}  // namespace carat
