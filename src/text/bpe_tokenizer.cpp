// Encoding by merges, for both orders of merging: by rank of a pair (Gemma 4) and by score of the joined piece (Gemma 3).
//
// A text is first cut wherever no piece of the vocabulary has these two characters side by side: no merge can cross such a place, so the parts are independent.
// What is left is short on ordinary text; a long part (a megabyte of one letter) goes through a heap.
#include <algorithm>
#include <queue>

#include "base/error.h"
#include "base/utf8.h"
#include "text/tokenizer_data.h"
#include "text/vocab.h"

namespace carat {
namespace {

constexpr uint32_t kNoMerge = 0xFFFFFFFFu;

struct Merge {
  uint32_t rank = kNoMerge;  // lower is earlier
  TokenId id = -1;           // of the joined piece
};

// (left, right) -> merge. Open addressing, the pair as key.
class MergeTable {
 public:
  void reserve(size_t n) {
    size_t slots = 16;
    while (slots < n * 2) slots *= 2;
    slots_.assign(slots, {});
  }
  // Returns how many slots were looked at in vain.
  size_t add(TokenId left, TokenId right, Merge m) {
    const uint64_t key = key_of(left, right);
    size_t i = index(key), probes = 0;
    for (; slots_[i].merge.rank != kNoMerge && slots_[i].key != key; ++probes) i = (i + 1) & (slots_.size() - 1);
    if (slots_[i].merge.rank == kNoMerge) slots_[i] = {key, m};  // the first rank of a pair counts
    return probes;
  }
  Merge find(TokenId left, TokenId right) const {
    if (left < 0 || right < 0 || slots_.empty()) return {};
    const uint64_t key = key_of(left, right);
    for (size_t i = index(key); slots_[i].merge.rank != kNoMerge; i = (i + 1) & (slots_.size() - 1))
      if (slots_[i].key == key) return slots_[i].merge;
    return {};
  }

 private:
  struct Slot {
    uint64_t key = 0;
    Merge merge;
  };
  static uint64_t key_of(TokenId l, TokenId r) { return uint64_t{static_cast<uint32_t>(l)} << 32 | static_cast<uint32_t>(r); }
  size_t index(uint64_t key) const {
    key *= 0x9E3779B97F4A7C15u;
    return (key ^ key >> 29) & (slots_.size() - 1);
  }
  std::vector<Slot> slots_;
};

struct Symbol {
  uint32_t begin, end;  // bytes of the normalised text
  TokenId id;           // -1: not a piece (yet)
  int32_t previous, next;
};

// Markers of Gemma 4 that a reader of the output has to see. GGUF files call them user-defined, tokenizer.json calls them special like all others:
// whatever the file says, they are shown, and both files of a model give the same text.
std::vector<TokenKind> with_markers_shown(const TokenizerData& d) {
  static constexpr std::string_view kShown[] = {"<|tool_call>", "<tool_call|>", "<|tool_response>", "<tool_response|>", "<|\"|>", "<|channel>", "<channel|>"};
  std::vector<TokenKind> kinds = d.kinds;
  for (size_t i = 0; i < kinds.size(); ++i)
    if (kinds[i] == TokenKind::control && std::find(std::begin(kShown), std::end(kShown), d.texts[i]) != std::end(kShown)) kinds[i] = TokenKind::user_defined;
  return kinds;
}

class BpeTokenizer final : public Tokenizer {
 public:
  explicit BpeTokenizer(TokenizerData d) : vocab_(d.texts, with_markers_shown(d), d.source), by_merges_(d.by_merges) {
    const auto checked = [&](TokenId id, const char* what) {
      if (id < -1 || id >= vocab_.size()) fail(ErrorCode::corrupt, "{}: {} is {}, outside the vocabulary of {}", d.source, what, id, vocab_.size());
      return id;
    };
    bos_id_ = checked(d.bos, "the <bos> id");
    for (TokenId id : d.eos) eos_ids_.push_back(checked(id, "an end-of-text id"));
    for (TokenId id : d.suppress) suppress_ids_.push_back(checked(id, "a suppressed id"));
    chat_template_ = std::move(d.chat_template);
    if (by_merges_) {
      add_merges(d);
    } else {
      add_scores(d);
    }
    for (TokenId id = 0; id < vocab_.size(); ++id) {
      const TokenKind k = vocab_.kind(id);
      if (k == TokenKind::control || k == TokenKind::unknown || k == TokenKind::user_defined) special_.add(vocab_.text(id), id, d.source);
      if (d.user_defined_always && d.kinds[static_cast<size_t>(id)] == TokenKind::user_defined)
        always_.add(vocab_.text(id), id, d.source);  // as the file has it
      if (k != TokenKind::control) note_neighbours(vocab_.text(id));
    }
  }

  int32_t vocab_size() const override { return vocab_.size(); }
  TokenKind kind(TokenId id) const override { return vocab_.kind(id); }
  std::string_view piece(TokenId id) const override { return vocab_.piece(id); }
  std::optional<TokenId> find(std::string_view text) const override {
    const TokenId id = vocab_.find(text);
    return id < 0 ? std::nullopt : std::optional<TokenId>(id);
  }

  std::vector<TokenId> encode(std::string_view text, const EncodeOptions& options) const override {
    if (text.size() > (size_t{1} << 30)) fail(ErrorCode::invalid_argument, "text: {} bytes are more than can be encoded at once (1 GiB)", text.size());
    std::vector<TokenId> out;
    out.reserve(text.size() / 4 + 2);
    if (options.add_bos && bos_id_ >= 0) out.push_back(bos_id_);
    const SpecialTexts& specials = options.parse_special ? special_ : always_;
    Work work;
    size_t plain = 0;
    for (size_t at = 0; at < text.size();) {
      if (!specials.begins(static_cast<uint8_t>(text[at]))) {
        ++at;
        continue;
      }
      const auto [id, length] = specials.match(text.substr(at));
      if (length == 0) {
        ++at;
        continue;
      }
      encode_plain(text.substr(plain, at - plain), work, out);
      if (!(id == bos_id_ && at == 0 && options.add_bos)) out.push_back(id);  // exactly one <bos> in front
      at += length;
      plain = at;
    }
    encode_plain(text.substr(plain), work, out);
    return out;
  }

 private:
  struct Candidate {
    uint32_t rank;
    int32_t left, right;
    uint32_t begin, end;  // stale when the symbols have changed since
    TokenId id;
    bool operator>(const Candidate& o) const { return rank != o.rank ? rank > o.rank : left > o.left; }
  };
  struct Work {  // reused between parts
    std::string normal;
    std::vector<Symbol> symbols;
    std::vector<Merge> merges;
    std::vector<Candidate> heap;
  };

  void add_merges(TokenizerData& d) {
    if (d.merges.size() > kMaxVocab * 4) fail(ErrorCode::corrupt, "{}: {} merges are too many", d.source, d.merges.size());
    merges_.reserve(d.merges.size());
    std::string joined;
    size_t probes = 0;
    for (size_t rank = 0; rank < d.merges.size(); ++rank) {
      const auto& [left, right] = d.merges[rank];
      const TokenId l = vocab_.find(left), r = vocab_.find(right);
      joined.assign(left);
      joined += right;
      const TokenId id = vocab_.find(joined);
      if (l < 0 || r < 0 || id < 0) fail(ErrorCode::corrupt, "{}: merge {} joins pieces that are not in the vocabulary", d.source, rank);
      if (is_special(id)) fail(ErrorCode::corrupt, "{}: merge {} makes the special token {}; text could turn into it", d.source, rank, id);
      probes += merges_.add(l, r, {static_cast<uint32_t>(rank), id});
      if (probes > kMaxProbes * d.merges.size() + 4096) fail(ErrorCode::corrupt, "{}: the merges are made to collide", d.source);
    }
  }

  // Scores become ranks: the highest score merges first.
  void add_scores(const TokenizerData& d) {
    if (d.scores.size() != d.texts.size()) fail(ErrorCode::corrupt, "{}: {} scores for {} pieces", d.source, d.scores.size(), d.texts.size());
    std::vector<TokenId> order(d.scores.size());
    for (size_t i = 0; i < order.size(); ++i) {
      order[i] = static_cast<TokenId>(i);
      if (d.scores[i] != d.scores[i]) fail(ErrorCode::corrupt, "{}: the score of piece {} is not a number", d.source, i);
    }
    std::stable_sort(order.begin(), order.end(), [&](TokenId a, TokenId b) { return d.scores[static_cast<size_t>(a)] > d.scores[static_cast<size_t>(b)]; });
    rank_of_.resize(order.size());
    uint32_t rank = 0;
    for (size_t i = 0; i < order.size(); ++i) {  // equal scores, equal rank: the leftmost goes first
      if (i > 0 && d.scores[static_cast<size_t>(order[i])] != d.scores[static_cast<size_t>(order[i - 1])]) rank = static_cast<uint32_t>(i);
      rank_of_[static_cast<size_t>(order[i])] = rank;
    }
  }

  static size_t neighbour_bit(uint32_t a, uint32_t b) {
    const uint64_t h = (uint64_t{a} << 32 | b) * 0x9E3779B97F4A7C15u;
    return (h >> 40) & (kNeighbourBits - 1);
  }
  void note_neighbours(std::string_view text) {
    uint32_t before = 0;
    bool any = false;
    while (!text.empty()) {
      const Utf8Char c = utf8_decode(text);
      const size_t n = c.length == 0 ? 1 : static_cast<size_t>(c.length);
      if (any && c.length > 0) neighbours_[neighbour_bit(before, c.code) / 64] |= uint64_t{1} << neighbour_bit(before, c.code) % 64;
      before = c.code, any = c.length > 0;
      text.remove_prefix(n);
    }
  }
  bool may_join(uint32_t a, uint32_t b) const {  // false is certain
    const size_t bit = neighbour_bit(a, b);
    return neighbours_[bit / 64] >> bit % 64 & 1;
  }

  bool is_special(TokenId id) const {
    return vocab_.kind(id) == TokenKind::control || vocab_.kind(id) == TokenKind::unknown || vocab_.kind(id) == TokenKind::byte;
  }

  Merge merge_of(const Work& w, const Symbol& l, const Symbol& r) const {
    if (by_merges_) return merges_.find(l.id, r.id);
    const TokenId id = vocab_.find(std::string_view(w.normal).substr(l.begin, r.end - l.begin));
    if (id < 0 || is_special(id)) return {};
    return {rank_of_[static_cast<size_t>(id)], id};
  }

  void encode_plain(std::string_view text, Work& w, std::vector<TokenId>& out) const {
    if (text.empty()) return;
    w.normal.clear();
    for (char c : text) {
      if (c == ' ') {
        w.normal += kSpaceMark;
      } else {
        w.normal.push_back(c);
      }
    }
    const std::string_view all = w.normal;
    w.symbols.clear();
    uint32_t before = 0;
    for (size_t at = 0; at < all.size();) {
      const Utf8Char c = utf8_decode(all.substr(at));
      const size_t n = c.length == 0 ? 1 : static_cast<size_t>(c.length);
      TokenId id = c.length == 0 ? -1 : vocab_.character(c.code, all.substr(at, n));
      if (id >= 0 && is_special(id)) id = -1;  // a special token of one character is no ordinary text
      if (!w.symbols.empty() && (c.length == 0 || !may_join(before, c.code))) flush(w, out);
      w.symbols.push_back({static_cast<uint32_t>(at), static_cast<uint32_t>(at + n), id, 0, 0});
      before = c.length == 0 ? 0xFFFFFFFFu : c.code;
      at += n;
    }
    flush(w, out);
  }

  void flush(Work& w, std::vector<TokenId>& out) const {
    if (w.symbols.size() > 1) {
      if (w.symbols.size() <= 48) {
        merge_short(w);
      } else {
        merge_long(w);
      }
    }
    for (const Symbol& s : w.symbols) {
      if (s.begin == s.end) continue;  // joined into another
      if (s.id >= 0) {
        out.push_back(s.id);
        continue;
      }
      for (uint32_t i = s.begin; i < s.end; ++i) {
        const TokenId b = vocab_.byte_token(static_cast<uint8_t>(w.normal[i]));
        if (b >= 0) {
          out.push_back(b);
        } else if (const TokenId unknown = vocab_.find("<unk>"); unknown >= 0 && i == s.begin) {
          out.push_back(unknown);  // a vocabulary without byte pieces
        }
      }
    }
    w.symbols.clear();
  }

  void merge_short(Work& w) const {
    std::vector<Symbol>& s = w.symbols;
    w.merges.resize(s.size());
    for (size_t i = 0; i + 1 < s.size(); ++i) w.merges[i] = merge_of(w, s[i], s[i + 1]);
    size_t n = s.size();
    while (n > 1) {
      size_t best = 0;
      for (size_t i = 1; i + 1 < n; ++i)
        if (w.merges[i].rank < w.merges[best].rank) best = i;
      if (w.merges[best].rank == kNoMerge) break;
      s[best].end = s[best + 1].end;
      s[best].id = w.merges[best].id;
      for (size_t i = best + 1; i + 1 < n; ++i) s[i] = s[i + 1], w.merges[i] = w.merges[i + 1];
      --n;
      if (best > 0) w.merges[best - 1] = merge_of(w, s[best - 1], s[best]);
      w.merges[best] = best + 1 < n ? merge_of(w, s[best], s[best + 1]) : Merge{};
    }
    s.resize(n);
  }

  void merge_long(Work& w) const {
    std::vector<Symbol>& s = w.symbols;
    const int32_t n = static_cast<int32_t>(s.size());
    w.heap.clear();
    const auto push = [&](int32_t left, int32_t right) {
      if (left < 0 || right >= n) return;
      const Merge m = merge_of(w, s[static_cast<size_t>(left)], s[static_cast<size_t>(right)]);
      if (m.rank == kNoMerge) return;
      w.heap.push_back({m.rank, left, right, s[static_cast<size_t>(left)].begin, s[static_cast<size_t>(right)].end, m.id});
      std::push_heap(w.heap.begin(), w.heap.end(), std::greater<>());
    };
    for (int32_t i = 0; i < n; ++i) s[static_cast<size_t>(i)].previous = i - 1, s[static_cast<size_t>(i)].next = i + 1;
    for (int32_t i = 0; i + 1 < n; ++i) push(i, i + 1);
    while (!w.heap.empty()) {
      std::pop_heap(w.heap.begin(), w.heap.end(), std::greater<>());
      const Candidate c = w.heap.back();
      w.heap.pop_back();
      Symbol& l = s[static_cast<size_t>(c.left)];
      Symbol& r = s[static_cast<size_t>(c.right)];
      const bool fresh = l.begin != l.end && r.begin != r.end && l.next == c.right && l.begin == c.begin && r.end == c.end;
      if (!fresh) continue;
      l.end = r.end, l.id = c.id, l.next = r.next;
      if (r.next < n) s[static_cast<size_t>(r.next)].previous = c.left;
      r.begin = r.end;  // gone
      push(l.previous, c.left);
      push(c.left, l.next);
    }
  }

  static constexpr size_t kNeighbourBits = size_t{1} << 22;
  Vocab vocab_;
  bool by_merges_;
  MergeTable merges_;
  std::vector<uint32_t> rank_of_;
  SpecialTexts special_, always_;
  std::vector<uint64_t> neighbours_ = std::vector<uint64_t>(kNeighbourBits / 64);
};

}  // namespace

std::shared_ptr<const Tokenizer> make_tokenizer(TokenizerData data) { return std::make_shared<BpeTokenizer>(std::move(data)); }

}  // namespace carat
