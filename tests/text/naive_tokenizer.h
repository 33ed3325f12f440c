#pragma once
// Encoding as the definition says it, without any speed: look at every pair, join the best one, begin again. Reads the files by itself.
#include <algorithm>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/json.h"
#include "formats/checkpoint.h"
#include "text/tokenizer.h"

namespace carat::test {

class NaiveTokenizer {
 public:
  static NaiveTokenizer from_gguf(const std::filesystem::path& path) {
    NaiveTokenizer t;
    const auto file = Checkpoint::open(path);
    t.by_scores_ = *file->meta_string("tokenizer.ggml.model") == "llama";
    const MetaStrings& texts = *file->meta_strings("tokenizer.ggml.tokens");
    const auto kinds = *file->meta_ints("tokenizer.ggml.token_type");
    for (size_t i = 0; i < texts.size(); ++i)
      t.add(std::string(texts[i]), static_cast<TokenId>(i), kinds[i] == 3 || kinds[i] == 2, kinds[i] == 4, kinds[i] == 6);
    if (t.by_scores_) {
      const auto scores = *file->meta_floats("tokenizer.ggml.scores");
      for (size_t i = 0; i < texts.size(); ++i) t.score_[static_cast<TokenId>(i)] = scores[i];
    } else {
      for (const std::string_view merge : *file->meta_strings("tokenizer.ggml.merges"))
        t.add_merge(merge.substr(0, merge.find(' ', 1)), merge.substr(merge.find(' ', 1) + 1));
    }
    return t;
  }

  static NaiveTokenizer from_json(const Json& json) {
    NaiveTokenizer t;
    std::map<TokenId, bool> added;
    for (const Json& a : json.at("added_tokens")) added[a.at("id").get<TokenId>()] = a.at("special").get<bool>();
    for (const auto& [text, id] : json.at("model").at("vocab").items()) {
      const auto it = added.find(id.get<TokenId>());
      const bool special = it != added.end() && it->second;
      t.add(text, id.get<TokenId>(), special, it != added.end() && !special, text.size() == 6 && text.starts_with("<0x"));
    }
    for (const Json& m : json.at("model").at("merges")) t.add_merge(m[0].get<std::string>(), m[1].get<std::string>());
    return t;
  }

  std::vector<TokenId> encode(std::string_view text, bool parse_special) const {
    std::vector<TokenId> ids;
    if (by_scores_) {
      // Longest pieces first, each over all the text that is left.
      std::vector<Part> parts = {{std::string(text), -1}};
      std::vector<std::pair<std::string, TokenId>> specials = always_;
      if (parse_special) specials.insert(specials.end(), control_.begin(), control_.end());
      std::stable_sort(specials.begin(), specials.end(), [](const auto& a, const auto& b) { return a.first.size() > b.first.size(); });
      for (const auto& [special, id] : specials) {
        if (text.find(special) != std::string_view::npos) parts = take_out(parts, special, id);
      }
      for (const Part& p : parts) p.id >= 0 ? ids.push_back(p.id) : plain(p.text, ids);
      return ids;
    }
    // Leftmost, of those the longest.
    std::string before;
    for (size_t at = 0; at < text.size();) {
      size_t best = 0;
      TokenId best_id = -1;
      for (const auto* list : {&control_, &always_}) {
        for (const auto& [special, id] : *list) {
          if (parse_special && special.size() > best && text.substr(at).starts_with(special)) best = special.size(), best_id = id;
        }
      }
      if (best == 0) {
        before.push_back(text[at++]);
        continue;
      }
      plain(before, ids);
      before.clear();
      ids.push_back(best_id);
      at += best;
    }
    plain(before, ids);
    return ids;
  }

 private:
  struct Part {
    std::string text;
    TokenId id;
  };

  void add(std::string text, TokenId id, bool control, bool user_defined, bool byte) {
    if (control) control_.emplace_back(text, id);
    if (user_defined) always_.emplace_back(text, id);
    if (byte) first_byte_ = std::min(first_byte_, id);
    if (!control && !byte) id_.emplace(std::move(text), id);
  }
  void add_merge(std::string_view left, std::string_view right) {
    rank_.emplace(std::string(left) + '\0' + std::string(right), static_cast<double>(rank_.size()));
  }

  static std::vector<Part> take_out(const std::vector<Part>& parts, const std::string& special, TokenId id) {
    std::vector<Part> out;
    for (const Part& p : parts) {
      if (p.id >= 0) {
        out.push_back(p);
        continue;
      }
      size_t from = 0;
      for (size_t at = p.text.find(special); at != std::string::npos; at = p.text.find(special, from)) {
        out.push_back({p.text.substr(from, at - from), -1});
        out.push_back({"", id});
        from = at + special.size();
      }
      out.push_back({p.text.substr(from), -1});
    }
    return out;
  }

  // Smaller joins earlier; infinite: these two do not join.
  double order(const std::string& left, const std::string& right) const {
    if (by_scores_) {
      const auto it = id_.find(left + right);
      return it == id_.end() ? std::numeric_limits<double>::infinity() : -score_.at(it->second);
    }
    const auto it = rank_.find(left + '\0' + right);
    return it == rank_.end() ? std::numeric_limits<double>::infinity() : it->second;
  }

  void plain(std::string_view text, std::vector<TokenId>& ids) const {
    std::vector<std::string> symbols;
    for (const char c : text) {  // valid UTF-8: a new character wherever the byte is no continuation
      if (c == ' ') {
        symbols.emplace_back("\xE2\x96\x81");
      } else if ((static_cast<uint8_t>(c) & 0xC0) == 0x80) {
        symbols.back().push_back(c);
      } else {
        symbols.emplace_back(1, c);
      }
    }
    while (true) {
      size_t best = 0;
      double least = std::numeric_limits<double>::infinity();
      for (size_t i = 0; i + 1 < symbols.size(); ++i) {
        if (const double o = order(symbols[i], symbols[i + 1]); o < least) least = o, best = i;
      }
      if (least == std::numeric_limits<double>::infinity()) break;
      symbols[best] += symbols[best + 1];
      symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
    }
    for (const std::string& s : symbols) {
      if (const auto it = id_.find(s); it != id_.end()) {
        ids.push_back(it->second);
      } else {
        for (const char c : s) ids.push_back(first_byte_ + static_cast<uint8_t>(c));
      }
    }
  }

  bool by_scores_ = false;
  std::unordered_map<std::string, TokenId> id_;
  std::unordered_map<std::string, double> rank_;
  std::unordered_map<TokenId, double> score_;
  std::vector<std::pair<std::string, TokenId>> control_, always_;
  TokenId first_byte_ = std::numeric_limits<TokenId>::max();
};

}  // namespace carat::test
