#pragma once
// A model of hashes: what a row answers depends on every K/V value it may see, and each of those on all tokens before it. A wrong page, a block taken too early or a
// row left out changes everything after it. naive_logits() says the same without cache, pages or batches.
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <vector>

#include "engine/engine_core.h"

namespace carat::fake {

inline constexpr int32_t kVocab = 97;
inline constexpr int32_t kPoison = 96;  // a batch with this token in it throws

inline uint64_t mix(uint64_t a, uint64_t b) {
  uint64_t x = (a ^ (b + 0x9e3779b97f4a7c15u)) * 0xbf58476d1ce4e5b9u;
  x ^= x >> 29;
  x *= 0x94d049bb133111ebu;
  return x ^ (x >> 32);
}

struct Layer {
  int32_t group, index;
};

struct FakeModel {
  int32_t sliding_layers = 2, full_layers = 1, window = 40;
  int32_t sliding_dim = 2, full_dim = 4;
  int64_t forwards = 0, rows = 0;
  std::vector<float> logits;
  std::vector<uint64_t> x, seen;

  KvLayout layout() const { return make_kv_layout({sliding_layers, 1, sliding_dim, false, window}, {full_layers, 1, full_dim, false, 0}, DType::f32); }
  std::vector<Layer> layers() const {
    std::vector<Layer> all;
    for (int32_t i = 0; i < std::max(sliding_layers, full_layers); ++i) {
      if (i < sliding_layers) all.push_back({kSlidingGroup, i});
      if (i < full_layers) all.push_back({kFullGroup, i});
    }
    return all;
  }
  int32_t first_visible(const Layer& layer, int32_t row) const { return layer.group == kSlidingGroup ? std::max(0, row - window + 1) : 0; }
  static float logit(uint64_t state, int32_t v) { return static_cast<float>(mix(state, static_cast<uint64_t>(v)) >> 40) * 0x1p-24f * 12.0f - 6.0f; }

  Tensor forward(const Batch& batch, KvStore& store) {
    ++forwards;
    rows += batch.rows();
    for (const int32_t id : batch.token_ids) {
      if (id == kPoison) throw std::runtime_error("poison in the batch");
    }
    x.resize(static_cast<size_t>(batch.rows()));
    seen.resize(x.size());
    for (size_t r = 0; r < x.size(); ++r) x[r] = mix(static_cast<uint64_t>(batch.token_ids[r]), static_cast<uint64_t>(batch.positions[r]));
    int32_t number = 0;
    for (const Layer& layer : cached_layers_) {
      ++number;
      for (const BatchSpan& span : batch.spans) {
        for (int32_t i = 0; i < span.rows; ++i) {
          std::byte* k = store.tiles(layer.group, layer.index, span.tables[layer.group], span.position0 + i, 0).k;
          put(k, (span.position0 + i) % 32, mix(x[static_cast<size_t>(span.row0 + i)], static_cast<uint64_t>(number)));
        }
      }
      for (const BatchSpan& span : batch.spans) {
        for (int32_t i = 0; i < span.rows; ++i) {
          const int32_t position = span.position0 + i;
          uint64_t sum = 0;
          for (int32_t q = first_visible(layer, position); q <= position; ++q) {
            sum += mix(get(store.tiles(layer.group, layer.index, span.tables[layer.group], q, 0).k, q % 32), static_cast<uint64_t>(q));
          }
          seen[static_cast<size_t>(span.row0 + i)] = sum;
        }
      }
      for (size_t r = 0; r < x.size(); ++r) x[r] = mix(x[r], seen[r]);
    }
    logits.resize(batch.logit_rows.size() * kVocab);
    for (size_t i = 0; i < batch.logit_rows.size(); ++i) {
      for (int32_t v = 0; v < kVocab; ++v) logits[i * kVocab + static_cast<size_t>(v)] = logit(x[static_cast<size_t>(batch.logit_rows[i])], v);
    }
    return {logits.data(), static_cast<int64_t>(batch.logit_rows.size()), kVocab};
  }

  // Logits of every row of a sequence; layer by layer over the whole of it.
  std::vector<std::vector<float>> naive_logits(const std::vector<int32_t>& tokens) const {
    std::vector<uint64_t> state;
    for (size_t p = 0; p < tokens.size(); ++p) state.push_back(mix(static_cast<uint64_t>(tokens[p]), p));
    int32_t number = 0;
    for (const Layer& layer : layers()) {
      ++number;
      std::vector<uint64_t> k, next;
      for (const uint64_t s : state) k.push_back(mix(s, static_cast<uint64_t>(number)));
      for (size_t p = 0; p < state.size(); ++p) {
        uint64_t sum = 0;
        for (auto q = static_cast<size_t>(first_visible(layer, static_cast<int32_t>(p))); q <= p; ++q) sum += mix(k[q], q);
        next.push_back(mix(state[p], sum));
      }
      state = next;
    }
    std::vector<std::vector<float>> rows_of;
    for (const uint64_t s : state) {
      rows_of.emplace_back();
      for (int32_t v = 0; v < kVocab; ++v) rows_of.back().push_back(logit(s, v));
    }
    return rows_of;
  }

  EngineModel engine_model(int32_t slots, std::shared_ptr<const Tokenizer> tokenizer = nullptr) {
    cached_layers_ = layers();
    EngineModel m;
    m.vocab_size = kVocab;
    m.suppress_tokens = {kPoison};
    m.tokenizer = std::move(tokenizer);
    m.store = std::make_unique<KvStore>(layout(), slots);
    m.forward = [this](const Batch& batch, KvStore& store) { return forward(batch, store); };
    return m;
  }

 private:
  static void put(std::byte* k, int32_t lane, uint64_t value) {
    const uint32_t half[2] = {static_cast<uint32_t>(value), static_cast<uint32_t>(value >> 32)};
    for (int i = 0; i < 2; ++i) std::memcpy(k + (i * 32 + lane) * 4, &half[i], 4);
  }
  static uint64_t get(const std::byte* k, int32_t lane) {
    uint32_t half[2];
    for (int i = 0; i < 2; ++i) std::memcpy(&half[i], k + (i * 32 + lane) * 4, 4);
    return half[0] | (static_cast<uint64_t>(half[1]) << 32);
  }
  std::vector<Layer> cached_layers_;
};

// Token i is the letter 'a' + i % 26. The last two rows of the model's head have no token.
class LetterTokenizer : public Tokenizer {
 public:
  std::vector<TokenId> encode(std::string_view, const EncodeOptions&) const override { return {}; }
  int32_t vocab_size() const override { return kVocab - 2; }
  TokenKind kind(TokenId) const override { return TokenKind::normal; }
  std::string_view piece(TokenId id) const override {
    static const std::string letters = "abcdefghijklmnopqrstuvwxyz";
    return std::string_view(letters).substr(static_cast<size_t>(id % 26), 1);
  }
  std::optional<TokenId> find(std::string_view) const override { return std::nullopt; }
};

}  // namespace carat::fake
