// The rules are those of llama.cpp (src/llama-quant.cpp), for the tensors that Gemma has: a file made here has the types that people know under the mixture's name.
#include "quant/recipe.h"

#include <regex.h>

#include <algorithm>
#include <charconv>
#include <deque>
#include <numeric>

#include "base/error.h"
#include "quant/encode.h"

namespace carat::quant {
namespace {

constexpr Recipe kRecipes[] = {
    {"f32", DType::f32, Mixture::none, 0},
    {"f16", DType::f16, Mixture::none, 1},
    {"bf16", DType::bf16, Mixture::none, 32},
    {"q8_0", DType::q8_0, Mixture::none, 7},
    {"q6_k", DType::q6_k, Mixture::none, 18},
    {"q5_k_m", DType::q5_k, Mixture::q5_k_m, 17, "q5_k"},
    {"q5_k_s", DType::q5_k, Mixture::none, 16},
    {"q4_k_m", DType::q4_k, Mixture::q4_k_m, 15, "q4_k"},
    {"q4_k_s", DType::q4_k, Mixture::q4_k_s, 14},
    {"q3_k_l", DType::q3_k, Mixture::q3_k_l, 13},
    {"q3_k_m", DType::q3_k, Mixture::q3_k_m, 12, "q3_k"},
    {"q3_k_s", DType::q3_k, Mixture::none, 11},
    {"q2_k", DType::q2_k, Mixture::q2_k, 10},
    {"q2_k_s", DType::q2_k, Mixture::q2_k_s, 21},
    {"q5_1", DType::q5_1, Mixture::none, 9},
    {"q5_0", DType::q5_0, Mixture::q5_0, 8},
    {"q4_1", DType::q4_1, Mixture::none, 3},
    {"q4_0", DType::q4_0, Mixture::q4_0, 2},
    {"iq4_nl", DType::iq4_nl, Mixture::iq4, 25},
    {"iq4_xs", DType::iq4_xs, Mixture::iq4, 30},
    {"mxfp4_moe", DType::mxfp4, Mixture::mxfp4_moe, 38},
    {"mxfp4", DType::mxfp4, Mixture::none, 38},
    {"nvfp4", DType::nvfp4, Mixture::none, 39},
    {"keep", DType::f32, Mixture::keep, -1},
};

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) { return static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c); });
  return out;
}

enum class Kind { embedding, output, qkv, v, k, q, attention_output, up, gate, down, other };

Kind kind_of(std::string_view name) {
  const auto has = [&](std::string_view part) { return name.find(part) != std::string_view::npos; };
  if (name == "output.weight") return Kind::output;
  if (name == "token_embd.weight" || name == "per_layer_token_embd.weight") return Kind::embedding;
  if (has("attn_qkv.weight")) return Kind::qkv;
  if (has("attn_v.weight")) return Kind::v;
  if (has("attn_k.weight")) return Kind::k;
  if (has("attn_q.weight")) return Kind::q;
  if (has("attn_output.weight")) return Kind::attention_output;
  if (has("ffn_up")) return Kind::up;
  if (has("ffn_gate")) return Kind::gate;
  if (has("ffn_down")) return Kind::down;
  return Kind::other;
}

// -1: it is of no layer.
int64_t layer_of(std::string_view name) {
  if (!name.starts_with("blk.")) return -1;
  int64_t layer = -1;
  const auto [end, error] = std::from_chars(name.data() + 4, name.data() + name.size(), layer);
  return error == std::errc() && end != name.data() + name.size() && *end == '.' ? layer : -1;
}

bool may_change(const TensorShape& t) {
  // A matrix with one row counts as a vector.
  const bool matrix = t.shape.size() >= 2 && std::any_of(t.shape.begin(), t.shape.end() - 1, [](int64_t n) { return n > 1; });
  const auto has = [&](std::string_view part) { return t.name.find(part) != std::string::npos; };
  if (!matrix || !t.name.ends_with("weight") || !encodable(t.dtype)) return false;
  for (const char* part : {"_norm.weight", "ffn_gate_inp.weight", "per_layer_model_proj", ".position_embd", "sam.", ".rel_pos", ".patch_embd", ".patch_merger"})
    if (has(part)) return false;
  return true;
}

// The type for rows that are no whole blocks of the wanted one.
DType that_fits(DType wanted, int64_t cols) {
  const auto fits = [&](DType t) { return cols % info(t).block_elems == 0; };
  if (fits(wanted)) return wanted;
  DType other = wanted;
  switch (wanted) {
    case DType::iq4_xs: other = DType::iq4_nl; break;
    case DType::nvfp4:
    case DType::q2_k:
    case DType::q3_k: other = DType::q4_0; break;
    case DType::q4_k: other = DType::q5_0; break;
    case DType::q5_k: other = DType::q5_1; break;
    case DType::q6_k: other = DType::q8_0; break;
    default: break;
  }
  return fits(other) ? other : DType::f16;
}

// The layers at the beginning, at the end, and every third between.
bool more_bits(int64_t i, int64_t n) { return i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2; }

class Chooser {
 public:
  Chooser(const Recipe& recipe, std::span<const TensorShape> tensors, const ModelShape& model, bool has_importance)
      : r_(recipe), model_(model), has_importance_(has_importance), eight_experts_(model.num_experts == 8) {
    for (const TensorShape& t : tensors) {
      const Kind kind = kind_of(t.name);
      num_v_ += kind == Kind::v || kind == Kind::qkv;
      tied_ = tied_ && kind != Kind::output;
    }
  }

  // Tensors must come layer by layer: some rules count.
  DType choose(const TensorShape& t) {
    const Kind kind = kind_of(t.name);
    if (kind == Kind::output || (tied_ && kind == Kind::embedding)) return for_head(t);
    if (r_.mixture == Mixture::mxfp4_moe) return t.shape.size() > 2 && t.shape[0] > 1 ? DType::mxfp4 : DType::q8_0;
    switch (kind) {
      case Kind::v:
      case Kind::qkv: return for_values();
      case Kind::k: return eight_experts_ ? DType::q8_0 : r_.base;
      case Kind::down: return for_down(t);
      case Kind::attention_output: return for_attention_output();
      default: return r_.base;
    }
  }

 private:
  bool is(Mixture m) const { return r_.mixture == m; }

  DType for_head(const TensorShape& t) const {
    if (is(Mixture::mxfp4_moe) || t.shape.back() % info(r_.base).block_elems != 0) return DType::q8_0;
    return r_.base == DType::q8_0 ? DType::q8_0 : DType::q6_k;
  }

  DType for_values() {
    const int64_t i = seen_v_++;
    if (eight_experts_) return DType::q8_0;
    const bool grouped = model_.heads_per_kv_head >= 4;
    switch (r_.mixture) {
      case Mixture::q2_k: return grouped ? DType::q4_k : DType::q3_k;
      case Mixture::q2_k_s: return grouped ? DType::q4_k : r_.base;
      case Mixture::q3_k_m: return i < 2 ? DType::q5_k : DType::q4_k;
      case Mixture::q3_k_l: return DType::q5_k;
      case Mixture::iq4: return grouped ? DType::q5_k : r_.base;
      case Mixture::q4_k_m:
      case Mixture::q5_k_m: return more_bits(i, num_v_) ? DType::q6_k : r_.base;
      case Mixture::q4_k_s: return i < 4 ? DType::q5_k : r_.base;
      default: return r_.base;
    }
  }

  DType for_down(const TensorShape& t) {
    const int64_t n = model_.num_layers, counted = seen_down_++;
    const int64_t i = model_.num_experts > 1 ? std::max<int64_t>(0, layer_of(t.name)) : counted;  // with experts a layer has two of them
    switch (r_.mixture) {
      case Mixture::q2_k: return DType::q3_k;
      case Mixture::q2_k_s: return i < n / 8 ? DType::q4_k : r_.base;
      case Mixture::q3_k_m: return i < n / 16 ? DType::q5_k : DType::q4_k;
      case Mixture::q3_k_l: return DType::q5_k;
      case Mixture::q4_k_m:
      case Mixture::q5_k_m: return more_bits(i, n) ? DType::q6_k : r_.base;
      case Mixture::iq4: return i < n / 8 && !has_importance_ ? DType::q5_k : r_.base;
      case Mixture::q4_k_s: return i < n / 8 ? DType::q5_k : r_.base;
      case Mixture::q4_0: return has_importance_ && i < n / 8 ? DType::q4_1 : r_.base;
      case Mixture::q5_0: return has_importance_ && i < n / 8 ? DType::q5_1 : r_.base;
      default: return r_.base;
    }
  }

  DType for_attention_output() const {
    if (eight_experts_) {
      const bool low = is(Mixture::q2_k) || is(Mixture::q3_k_m) || is(Mixture::q4_k_s) || is(Mixture::q4_k_m) || is(Mixture::iq4) || r_.name == "q3_k_s";
      return low ? DType::q5_k : r_.base;
    }
    if (is(Mixture::q2_k)) return DType::q3_k;
    if (is(Mixture::q3_k_m)) return DType::q4_k;
    return is(Mixture::q3_k_l) ? DType::q5_k : r_.base;
  }

  const Recipe& r_;
  const ModelShape& model_;
  const bool has_importance_, eight_experts_;
  bool tied_ = true;
  int64_t num_v_ = 0, seen_v_ = 0, seen_down_ = 0;
};

// A compiled regular expression, freed with it.
class Pattern {
 public:
  explicit Pattern(const TypeOverride& o) : type(o.type) {
    if (o.pattern.find('\0') != std::string::npos || ::regcomp(&regex_, o.pattern.c_str(), REG_EXTENDED | REG_NOSUB) != 0)
      fail(ErrorCode::invalid_argument, "'{}' is no regular expression, --tensor-type, write it as ffn_down=q6_k", o.pattern);
  }
  ~Pattern() { ::regfree(&regex_); }
  Pattern(const Pattern&) = delete;
  Pattern& operator=(const Pattern&) = delete;
  bool matches(const std::string& name) const { return ::regexec(&regex_, name.c_str(), 0, nullptr, 0) == 0; }

  DType type;
  bool used = false;

 private:
  regex_t regex_;
};

}  // namespace

std::span<const Recipe> all_recipes() { return kRecipes; }

const Recipe& find_recipe(std::string_view name) {
  const std::string wanted = lower(name);
  std::string names;
  for (const Recipe& r : kRecipes) {
    if (wanted == r.name || (!r.also.empty() && wanted == r.also)) return r;
    names += (names.empty() ? "" : ", ") + std::string(r.name);
  }
  fail(ErrorCode::invalid_argument, "'{}' is no type of a file, --type, take one of {}", name, names);
}

DType find_type(std::string_view name) {
  const std::string wanted = lower(name);
  std::string names;
  for (int i = 0; i < kNumDTypes; ++i) {
    const auto t = static_cast<DType>(i);
    if (!encodable(t)) continue;
    const std::string known = lower(info(t).name);
    if (known == wanted) return t;
    names += (names.empty() ? "" : ", ") + known;
  }
  fail(ErrorCode::invalid_argument, "'{}' is no type of a tensor, --tensor-type, take one of {}", name, names);
}

std::vector<ChosenType> choose_types(const Recipe& recipe, std::span<const TensorShape> tensors, const ModelShape& model,
                                     std::span<const TypeOverride> overrides, bool has_importance) {
  std::deque<Pattern> patterns;
  for (const TypeOverride& o : overrides) patterns.emplace_back(o);
  std::vector<size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return layer_of(tensors[a].name) < layer_of(tensors[b].name); });
  Chooser chooser(recipe, tensors, model, has_importance);
  std::vector<ChosenType> chosen(tensors.size());
  for (const size_t at : order) {
    const TensorShape& t = tensors[at];
    if (!may_change(t)) {
      chosen[at] = {t.dtype, t.dtype, false};
      continue;
    }
    const auto named = std::find_if(patterns.begin(), patterns.end(), [&](const Pattern& p) { return p.matches(t.name); });
    DType wanted = recipe.base;
    if (named != patterns.end()) {
      named->used = true;
      wanted = named->type;
    } else if (recipe.mixture == Mixture::keep) {
      wanted = t.dtype;
    } else if (is_quantised(recipe.base)) {
      wanted = chooser.choose(t);
    }
    chosen[at] = {that_fits(wanted, t.shape.back()), wanted, true};
  }
  for (size_t i = 0; i < patterns.size(); ++i)
    if (!patterns[i].used)
      fail(ErrorCode::invalid_argument, "'{}' matches no tensor whose type may change, --tensor-type, see the names with: carat quantize IN OUT --dry-run",
           overrides[i].pattern);
  return chosen;
}

}  // namespace carat::quant
