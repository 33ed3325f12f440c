// A protocol buffer message: ModelProto { repeated SentencePiece pieces = 1; ... }, SentencePiece { string piece = 1; float score = 2; Type type = 3; }.
#include "quant/sentencepiece_file.h"

#include <cstring>

#include "base/error.h"

namespace carat::quant {
namespace {

constexpr size_t kMostPieces = size_t{1} << 21;

enum Wire : uint64_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

struct Field {
  uint64_t number = 0;
  Wire wire = kVarint;
  uint64_t value = 0;      // of a varint
  std::string_view bytes;  // of the others
};

class Message {
 public:
  Message(std::string_view bytes, const std::string& source) : rest_(bytes), source_(source) {}

  bool next(Field& f) {
    if (rest_.empty()) return false;
    const uint64_t tag = varint();
    f.number = tag >> 3, f.wire = static_cast<Wire>(tag & 7), f.value = 0, f.bytes = {};
    switch (f.wire) {
      case kVarint: f.value = varint(); break;
      case kFixed64: f.bytes = take(8); break;
      case kFixed32: f.bytes = take(4); break;
      case kBytes: f.bytes = take(varint()); break;
      default: bad();
    }
    return true;
  }

 private:
  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<unsigned char>(take(1)[0]);
      value |= uint64_t{byte & 127u} << shift;
      if (byte < 128) return value;
    }
    bad();
  }
  std::string_view take(uint64_t n) {
    if (n > rest_.size()) bad();
    const std::string_view out = rest_.substr(0, static_cast<size_t>(n));
    rest_.remove_prefix(static_cast<size_t>(n));
    return out;
  }
  [[noreturn]] void bad() const { fail(ErrorCode::corrupt, "{}: not a SentencePiece model, or damaged; fetch it again", source_); }

  std::string_view rest_;
  const std::string& source_;
};

// llama.cpp's converter takes user-defined symbols for normal pieces; tokenizer_config.json says which are more.
TokenKind kind_of(uint64_t type) {
  switch (type) {
    case 2: return TokenKind::unknown;
    case 3: return TokenKind::control;
    case 5: return TokenKind::unused;
    case 6: return TokenKind::byte;
    default: return TokenKind::normal;
  }
}

}  // namespace

std::vector<SentencePiece> read_sentencepiece(std::string_view bytes, const std::string& source) {
  std::vector<SentencePiece> pieces;
  Message model(bytes, source);
  for (Field f; model.next(f);) {
    if (f.number != 1 || f.wire != kBytes) continue;
    if (pieces.size() == kMostPieces) fail(ErrorCode::corrupt, "{}: more than {} pieces", source, kMostPieces);
    SentencePiece piece;
    Message message(f.bytes, source);
    for (Field g; message.next(g);) {
      if (g.number == 1 && g.wire == kBytes) piece.text = g.bytes;
      if (g.number == 2 && g.wire == kFixed32) std::memcpy(&piece.score, g.bytes.data(), sizeof piece.score);
      if (g.number == 3 && g.wire == kVarint) piece.kind = kind_of(g.value);
    }
    pieces.push_back(std::move(piece));
  }
  if (pieces.empty()) fail(ErrorCode::corrupt, "{}: there are no pieces in it", source);
  return pieces;
}

}  // namespace carat::quant
