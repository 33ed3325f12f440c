#include "formats/packed_tensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <unordered_map>

#include "base/error.h"
#include "formats/packed_rows.h"
#include "formats/printable.h"
#include "formats/tensor_source.h"

namespace carat {
namespace {

constexpr std::string_view kOtherTowers[] = {"vision_tower.", "audio_tower.", "embed_vision.", "embed_audio.", "vision_embedder.", "multi_modal_projector."};
constexpr std::string_view kRunTimeScales[] = {".input_scale", "_input_scale", ".input_global_scale", ".k_scale", ".v_scale", ".q_scale"};

// How the parts of a matrix are called: the stem, and what comes behind it.
struct Spelling {
  std::string_view codes, scale, factor, whole, whole_factor;
  bool reciprocal;  // the factor's tensor holds 1 / factor
};
constexpr Spelling kCompressed = {".weight_packed", ".weight_scale", ".weight_global_scale", ".weight", ".scale", true};
constexpr Spelling kModelOpt = {".weight", ".weight_scale", ".weight_scale_2", ".weight", ".scale", false};
constexpr Spelling kModelOptExperts = {"", "_weight_scale", "_weight_scale_2", "", ".scale", false};

class Factors final : public TensorSource {
 public:
  explicit Factors(std::vector<float> values) : values_(std::move(values)) {}
  void read_rows(int64_t /*row0*/, int64_t n, std::byte* out) const override {
    const auto count = static_cast<size_t>(n) * values_.size();  // one row has them all
    std::memcpy(out, values_.data(), count * sizeof(float));
  }

 private:
  std::vector<float> values_;
};

std::string shape_text(const std::vector<int64_t>& shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

[[noreturn]] void bad(const TensorInfo& t, const std::string& why) {
  fail(ErrorCode::corrupt, "{}: tensor {}: {}; the file is damaged", t.file->name(), printable(t.name), why);
}

// The shape with another last dimension.
std::vector<int64_t> with_last(std::vector<int64_t> shape, int64_t last) {
  shape.back() = last;
  return shape;
}

void need_shape(const TensorInfo& t, const std::vector<int64_t>& shape, std::string_view because) {
  if (t.shape != shape) bad(t, fmt::format("its shape is {}, {} needs {}", shape_text(t.shape), because, shape_text(shape)));
}

class Uniter {
 public:
  explicit Uniter(std::vector<TensorInfo>& tensors) : tensors_(tensors), gone_(tensors.size()) {
    index_.reserve(tensors.size());
    for (size_t i = 0; i < tensors.size(); ++i) index_.emplace(tensors[i].name, i);
  }

  std::vector<UnreadTensor> run() {
    for (size_t i = 0; i < tensors_.size(); ++i) {
      const std::string_view name = tensors_[i].name;
      if (std::any_of(std::begin(kOtherTowers), std::end(kOtherTowers), [&](std::string_view t) { return name.find(t) != std::string_view::npos; })) continue;
      look_at(name);
    }
    std::vector<TensorInfo> out;
    out.reserve(tensors_.size());
    for (size_t i = 0; i < tensors_.size(); ++i) {
      if (const auto whole = wholes_.find(i); whole != wholes_.end())
        for (TensorInfo& t : whole->second) out.push_back(std::move(t));
      else if (!gone_[i] && !(found_ && is_run_time_scale(tensors_[i].name)))
        out.push_back(std::move(tensors_[i]));
    }
    tensors_ = std::move(out);
    return std::move(unread_);
  }

 private:
  // Every matrix is met once: at its packed codes, or at its scale if the codes have the name of the matrix.
  void look_at(std::string_view name) {
    if (name.ends_with(kCompressed.codes)) return unite(std::string(name.substr(0, name.size() - kCompressed.codes.size())), kCompressed);
    if (name.ends_with(".qweight")) {  // GPTQ, AWQ
      unread_.push_back({std::string(name.substr(0, name.size() - 8)) + ".weight", "qweight and qzeros, as GPTQ and AWQ write them"});
      return;
    }
    for (const Spelling* spelling : {&kModelOpt, &kModelOptExperts}) {
      if (!name.ends_with(spelling->scale)) continue;
      const std::string stem(name.substr(0, name.size() - spelling->scale.size()));
      if (find(stem, kCompressed.codes) != nullptr) return;
      // Without codes it belongs to nothing; beside floating-point weights it is what they will be quantised with one day.
      const TensorInfo* codes = find(stem, spelling->codes);
      if (codes != nullptr && !is_float(codes->dtype)) unite(stem, *spelling);
      return;
    }
  }

  static bool is_run_time_scale(std::string_view name) {
    return std::any_of(std::begin(kRunTimeScales), std::end(kRunTimeScales), [&](std::string_view s) { return name.ends_with(s); });
  }

  const TensorInfo* find(const std::string& stem, std::string_view rest) const {
    const auto it = index_.find(stem + std::string(rest));
    return it == index_.end() ? nullptr : &tensors_[it->second];
  }
  const TensorInfo& need(const std::string& stem, std::string_view rest, const TensorInfo& beside) const {
    if (const TensorInfo* t = find(stem, rest)) return *t;
    bad(beside, fmt::format("{} is missing beside it", printable(stem + std::string(rest))));
  }
  size_t place(const TensorInfo& t) const { return static_cast<size_t>(&t - tensors_.data()); }

  void unite(const std::string& stem, const Spelling& spelling) {
    const TensorInfo& codes = *find(stem, spelling.codes);
    const TensorInfo& scale = need(stem, spelling.scale, codes);
    if (&spelling == &kCompressed && find(stem, kModelOpt.codes) != nullptr) bad(codes, "the matrix is also there in another form");
    PackedMatrix m;
    // Experts of a layer in one tensor are a parameter, not a module: no ".weight".
    const bool experts = stem.ends_with(".experts.gate_up_proj") || stem.ends_with(".experts.down_proj");
    m.name = stem + std::string(experts ? "" : spelling.whole);
    m.codes = codes;
    m.scales = scale;
    if (codes.shape.size() < 2 || codes.shape.size() > 3)
      bad(codes, fmt::format("its shape is {}, a packed matrix has 2 or 3 dimensions", shape_text(codes.shape)));
    m.rows = codes.rows();
    const std::string why = codes.dtype == DType::i32  ? int4(m, stem)
                            : codes.dtype == DType::u8 ? float4(m, stem, spelling)
                                                       : fmt::format("{} values with a scale", info(codes.dtype).name);
    if (!why.empty()) {
      unread_.push_back({m.name, why});
      return;
    }
    found_ = true;
    put(m, stem, spelling);
    for (const std::string_view part :
         {spelling.codes, spelling.scale, spelling.factor, std::string_view(".weight_shape"), std::string_view(".weight_zero_point")})
      if (const TensorInfo* t = find(stem, part)) gone_[place(*t)] = true;
  }

  // Integers. Returns why the form is not read, or nothing.
  std::string int4(PackedMatrix& m, const std::string& stem) {
    m.form = PackedForm::int4;
    if (!is_float(m.scales.dtype)) return fmt::format("I32 codes with {} scales", info(m.scales.dtype).name);
    if (find(stem, ".weight_g_idx") != nullptr) return "columns quantised in another order (weight_g_idx)";
    const std::vector<int64_t> shape = read_shape(need(stem, ".weight_shape", m.codes));
    if (shape.size() != m.codes.shape.size() || with_last(shape, 1) != with_last(m.codes.shape, 1) || shape.back() > m.codes.cols() * 32)
      bad(m.codes, fmt::format("its shape is {}, weight_shape says {}", shape_text(m.codes.shape), shape_text(shape)));
    m.cols = shape.back();
    const auto words = [&](int64_t bits) { return m.cols / 32 * bits + (m.cols % 32 * bits + 31) / 32; };
    if (m.codes.cols() != words(4)) {
      for (const int64_t bits : {1, 2, 3, 5, 6, 7, 8})
        if (m.codes.cols() == words(bits)) return fmt::format("{}-bit integers", bits);
      bad(m.codes, fmt::format("its shape is {}, weight_shape says {}", shape_text(m.codes.shape), shape_text(shape)));
    }
    if (m.scales.elements() == 1 && m.rows > 1) {
      m.group = m.cols;
    } else {
      const bool channels = m.scales.shape.size() + 1 == m.codes.shape.size();  // one a row, without a dimension for it
      const int64_t groups = channels ? 1 : m.scales.cols();
      if (channels) m.scales.shape.push_back(1);
      need_shape(m.scales, with_last(m.codes.shape, groups), "weight_packed");
      if (m.cols % groups != 0) return fmt::format("groups of unequal size ({} in {} columns)", groups, m.cols);
      m.group = m.cols / groups;
    }
    if (const TensorInfo* zeros = find(stem, ".weight_zero_point")) {
      m.zeros = *zeros;
      if (zeros->dtype == DType::i8) {
        m.zeros->shape.resize(zeros->elements() == m.scales.elements() ? 0 : zeros->shape.size());
        if (m.zeros->shape.empty()) m.zeros->shape = m.scales.shape;
        need_shape(*m.zeros, m.scales.shape, "weight_scale");
      } else {
        if (zeros->dtype != DType::i32 || m.codes.shape.size() != 2) return fmt::format("zero points of type {}", info(zeros->dtype).name);
        need_shape(*zeros, {m.rows / 8 + (m.rows % 8 != 0), m.cols / m.group}, "weight_scale");
      }
    }
    return {};
  }

  // E2M1 codes. Returns why the form is not read, or nothing.
  std::string float4(PackedMatrix& m, const std::string& stem, const Spelling& spelling) {
    m.cols = m.codes.cols() * 2;
    if (m.scales.dtype == DType::u8) {
      m.form = PackedForm::mxfp4, m.group = 32;
      if (find(stem, spelling.factor) != nullptr) return "U8 codes with U8 scales and another factor";
    } else if (m.scales.dtype == DType::f8_e4m3) {
      m.form = PackedForm::nvfp4, m.group = 16;
    } else {
      return fmt::format("U8 codes with {} scales", info(m.scales.dtype).name);
    }
    if (m.cols % m.group != 0) bad(m.codes, fmt::format("its rows have {} elements, no multiple of {}", m.cols, m.group));
    need_shape(m.scales, with_last(m.codes.shape, m.cols / m.group), spelling.codes.empty() ? "the matrix" : spelling.codes.substr(1));
    if (m.form == PackedForm::nvfp4) m.factors = read_factors(need(stem, spelling.factor, m.codes), m, spelling.reciprocal);
    return {};
  }

  static std::vector<int64_t> read_shape(const TensorInfo& t) {
    if (t.shape.size() != 1 || t.shape[0] > 8 || (t.dtype != DType::i64 && t.dtype != DType::i32)) bad(t, "it is no list of dimensions");
    std::vector<int64_t> shape(static_cast<size_t>(t.elements()));
    std::vector<std::byte> bytes(t.nbytes);
    t.read_rows(0, 1, bytes.data());
    for (size_t i = 0; i < shape.size(); ++i) {
      int32_t narrow = 0;
      if (t.dtype == DType::i32) std::memcpy(&narrow, bytes.data() + 4 * i, 4), shape[i] = narrow;
      if (t.dtype == DType::i64) std::memcpy(&shape[i], bytes.data() + 8 * i, 8);
      if (shape[i] < 1) bad(t, fmt::format("dimension {} is {}", i, shape[i]));
    }
    return shape;
  }

  // One factor a matrix; one for all of a stack counts for each.
  static std::vector<float> read_factors(const TensorInfo& t, const PackedMatrix& m, bool reciprocal) {
    const int64_t matrices = m.codes.shape.size() == 3 ? m.codes.shape[0] : 1;
    if (!is_float(t.dtype) || (t.elements() != 1 && t.elements() != matrices))
      bad(t, fmt::format("{} {} are no factors of {} matrices", t.elements(), info(t.dtype).name, matrices));
    std::vector<float> factors = t.to_f32();
    factors.resize(static_cast<size_t>(matrices), factors[0]);
    for (float& f : factors) {
      const float value = reciprocal ? 1.0f / f : f;
      if (!std::isfinite(f) || !std::isfinite(value) || f == 0 || value == 0) bad(t, fmt::format("{} is no factor of a matrix", f));
      f = value;
    }
    return factors;
  }

  void put(PackedMatrix& m, const std::string& stem, const Spelling& spelling) {
    TensorInfo whole;
    whole.name = m.name;
    whole.dtype = exact_type(m);
    whole.shape = with_last(m.codes.shape, m.cols);
    whole.file = m.codes.file;
    whole.offset = m.codes.offset;
    // elements() of the whole are less than 32 x those of the codes, which are bytes of a file.
    whole.nbytes = static_cast<uint64_t>(whole.rows() * whole.bytes_per_row());
    std::vector<TensorInfo>& parts = wholes_[place(*find(stem, spelling.codes))];
    if (whole.dtype == DType::nvfp4) {
      parts.push_back(factors_tensor(stem + std::string(spelling.whole_factor), m.factors, *find(stem, spelling.factor)));
    }
    const DType type = whole.dtype;
    whole.source = packed_rows(std::move(m), type);
    parts.insert(parts.begin(), std::move(whole));
  }

  std::vector<TensorInfo>& tensors_;
  std::unordered_map<std::string_view, size_t> index_;
  std::vector<bool> gone_;
  std::unordered_map<size_t, std::vector<TensorInfo>> wholes_;  // by the place of their codes
  std::vector<UnreadTensor> unread_;
  bool found_ = false;
};

}  // namespace

TensorInfo factors_tensor(std::string name, std::vector<float> values, const TensorInfo& origin) {
  TensorInfo t;
  t.name = std::move(name);
  t.shape = {static_cast<int64_t>(values.size())};
  t.file = origin.file;
  t.offset = origin.offset;
  t.nbytes = values.size() * sizeof(float);
  t.source = std::make_shared<Factors>(std::move(values));
  return t;
}

std::vector<UnreadTensor> unite_packed_tensors(std::vector<TensorInfo>& tensors) {
  // Most folders have none: they pay for one look at each name.
  const bool any = std::any_of(tensors.begin(), tensors.end(), [](const TensorInfo& t) {
    const std::string_view name = t.name;
    return name.ends_with("weight_packed") || name.ends_with("weight_scale") || name.ends_with(".qweight");
  });
  if (!any) return {};
  return Uniter(tensors).run();
}

}  // namespace carat
