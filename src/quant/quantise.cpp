#include "quant/quantise.h"

#include <algorithm>
#include <cmath>
#include <exception>
#include <mutex>
#include <set>

#include "base/error.h"
#include "base/output_file.h"
#include "base/thread_pool.h"
#include "formats/gguf.h"
#include "formats/gguf_write.h"
#include "formats/panel_rows.h"
#include "formats/printable.h"
#include "quant/encode.h"
#include "tensor/dequantise.h"
#include "tensor/pack.h"

namespace carat::quant {
namespace {

constexpr int64_t kChunkFloats = 1 << 15;         // of one piece of work
constexpr int64_t kSlabBytes = int64_t{8} << 20;  // of the new file, in memory until it is written
constexpr float kLargestScale = 448;              // of a run of NVFP4, unsigned E4M3
constexpr float kLargestE2m1 = 6;

std::string factor_name(const std::string& matrix) { return matrix.substr(0, matrix.size() - std::string_view("weight").size()) + "scale"; }

// llama.cpp multiplies by a factor of these; of Gemma 3's feed-forward it reads the factors and leaves them out.
bool takes_factor(const Source& source, std::string_view name) {
  if (!name.starts_with("blk.") || !name.ends_with(".weight")) return false;
  const auto any_of = [&](std::initializer_list<std::string_view> parts) {
    return std::any_of(parts.begin(), parts.end(), [&](std::string_view part) { return name.find(part) != std::string_view::npos; });
  };
  return any_of({"attn_q.", "attn_k.", "attn_v.", "attn_output."}) || (source.architecture == "gemma4" && any_of({"ffn_gate.", "ffn_up.", "ffn_down."}));
}

// Its rows are taken one by one, from the file, so they stay together there.
bool is_read_by_rows(std::string_view name) { return name == "per_layer_token_embd.weight"; }

uint64_t matrix_bytes(const PlannedTensor& t) {
  if (t.panels) return panel_tensor_bytes(t.type.type, t.source->shape).value();
  return static_cast<uint64_t>(row_bytes(t.type.type, t.source->cols()) * t.source->rows());
}

// Everything before the data of the tensors.
GgufWriter make_head(const Source& source, const Plan& plan, const Recipe& recipe) {
  GgufWriter head(plan.packed ? kGgufPanelAlignment : kGgufDefaultAlignment);
  source.write_keys(recipe.file_type, head);
  if (plan.packed) head.name_layout();
  for (const PlannedTensor& t : plan.tensors) {
    head.declare_tensor(t.source->name, t.type.type, t.source->shape, t.panels);
    if (t.own_factor) head.declare_tensor(factor_name(t.source->name), DType::f32, {1});
    if (t.copied() && !t.source->factor.empty()) head.declare_tensor(factor_name(t.source->name), DType::f32, {static_cast<int64_t>(t.source->factor.size())});
  }
  return head;
}

class Writer {
 public:
  Writer(const Source& source, const Plan& plan, const QuantiseOptions& options, OutputFile& file, uint64_t total, uint32_t alignment)
      : source_(source),
        options_(options),
        file_(file),
        total_(total),
        alignment_(alignment),
        pool_(options.num_threads > 0 ? options.num_threads : default_num_threads()) {
    results_.reserve(plan.tensors.size());
  }

  void tensor(const PlannedTensor& t) {
    TensorResult result;
    result.tensor = &t;
    weights_ = weights_of(t);
    result.weighted = weights_ != nullptr && !t.copied();
    const float factor = t.own_factor ? own_factor(*t.source) : 1.0f;
    const int64_t cols = t.source->cols(), rows = t.source->rows();
    const int64_t out_row = row_bytes(t.type.type, cols), out_panel = t.panels ? panel_bytes(t.type.type, cols) : 0;
    const int64_t together = t.panels ? kLanes : 1;                        // rows that lie among each other
    const int64_t matrix = t.panels ? t.source->rows_per_matrix() : rows;  // each has panels of its own
    const int64_t chunk = std::max<int64_t>(1, kChunkFloats / cols / together) * together;
    const int64_t slab = std::max<int64_t>(1, kSlabBytes / out_row / chunk) * chunk;
    for (int64_t row = 0, n = 0; row < rows; row += n) {
      n = std::min(slab, matrix - row % matrix);
      bytes_.resize(static_cast<size_t>(t.panels ? panels_of(n) * out_panel : n * out_row));
      std::vector<TensorError> errors(static_cast<size_t>((n + chunk - 1) / chunk));
      in_parallel(n, chunk, [&](int64_t begin, int64_t end) {
        thread_local std::vector<std::byte> in_order;
        if (t.panels) in_order.resize(static_cast<size_t>((end - begin) * out_row));
        std::byte* out = t.panels ? in_order.data() : bytes_.data() + begin * out_row;
        if (t.copied()) {
          t.source->from->read_rows(row + begin, end - begin, out);
        } else {
          encode_rows(t, row + begin, end - begin, factor, out, errors[static_cast<size_t>(begin / chunk)]);
        }
        if (t.panels) pack_rows(t.type.type, out, end - begin, cols, bytes_.data() + begin / kLanes * out_panel);
      });
      for (const TensorError& e : errors) result.error.add(e);
      put(bytes_);
    }
    pad();
    if (t.own_factor) put_floats({&factor, 1});
    if (t.copied() && !t.source->factor.empty()) put_floats(t.source->factor);
    results_.push_back(result);
  }

  std::vector<TensorResult> results() { return std::move(results_); }

 private:
  // Runs fn over pieces of [0, n), each of `chunk` but the last; what one throws comes out of here.
  template <typename Fn>
  void in_parallel(int64_t n, int64_t chunk, Fn&& fn) {
    std::mutex mutex;
    std::exception_ptr error;
    pool_.parallel_for((n + chunk - 1) / chunk, 1, [&](int64_t first, int64_t last, int) {
      for (int64_t i = first; i < last; ++i) {
        try {
          fn(i * chunk, std::min((i + 1) * chunk, n));
        } catch (...) {
          std::lock_guard lock(mutex);
          if (!error) error = std::current_exception();
        }
      }
    });
    if (error) std::rethrow_exception(error);
    if (options_.going_on && !options_.going_on()) fail(ErrorCode::cancelled, "interrupted; nothing was written");
  }

  void encode_rows(const PlannedTensor& t, int64_t row, int64_t n, float factor, std::byte* out, TensorError& error) const {
    thread_local std::vector<float> x, y;
    const int64_t cols = t.source->cols(), out_row = row_bytes(t.type.type, cols), per_matrix = t.source->rows_per_matrix();
    x.resize(static_cast<size_t>(n * cols)), y.resize(static_cast<size_t>(cols));
    t.source->read(row, n, x.data());
    for (int64_t r = 0; r < n; ++r) {
      float* from = x.data() + r * cols;
      if (factor != 1.0f)
        for (int64_t i = 0; i < cols; ++i) from[i] /= factor;
      const float* w = nullptr;
      if (weights_) w = weights_->data() + (weights_->size() == static_cast<size_t>(cols) ? 0 : (row + r) / per_matrix * cols);
      check_finite(t, from, cols);
      encode_row(t.type.type, from, cols, w, out + r * out_row);
      dequantise(t.type.type, out + r * out_row, y.data(), cols);
      measure(from, y.data(), cols, static_cast<double>(factor), error);
    }
    if (!std::isfinite(error.yy))
      fail(ErrorCode::unsupported, "{}: tensor {} has values beyond what {} can hold; take bf16", source_.checkpoint->path().string(),
           printable(t.source->name), info(t.type.type).name);
  }

  static void measure(const float* x, const float* y, int64_t n, double factor, TensorError& out) {
    double xx = 0, yy = 0, xy = 0, dd = 0;
    float largest = 0;
    for (int64_t i = 0; i < n; ++i) {
      const double a = static_cast<double>(x[i]), b = static_cast<double>(y[i]);
      xx += a * a, yy += b * b, xy += a * b, dd += (a - b) * (a - b);
      largest = std::max(largest, std::fabs(x[i] - y[i]));
    }
    const double f = factor * factor;
    out.xx += f * xx, out.yy += f * yy, out.xy += f * xy, out.dd += f * dd;
    out.largest = std::max(out.largest, factor * static_cast<double>(largest));
  }

  void check_finite(const PlannedTensor& t, const float* x, int64_t n) const {
    float sum = 0;
    for (int64_t i = 0; i < n; ++i) sum += x[i] * 0.0f;  // NaN as soon as one is NaN or infinite
    if (sum != 0.0f || std::isnan(sum))
      fail(ErrorCode::corrupt, "{}: tensor {} holds values that are no numbers (NaN or infinite); the file is damaged, fetch it again",
           source_.checkpoint->path().string(), printable(t.source->name));
  }

  const std::vector<float>* weights_of(const PlannedTensor& t) const {
    if (!options_.importance) return nullptr;
    const auto found = options_.importance->find(t.source->name);
    if (found == options_.importance->end()) return nullptr;
    const int64_t matrices = t.source->rows() / t.source->rows_per_matrix();
    const auto size = static_cast<int64_t>(found->second.size());
    check(size == t.source->cols() || size == t.source->cols() * matrices, "importance is known for each column of a tensor");
    return &found->second;
  }

  // The largest value of the matrix becomes the largest that a block can hold.
  float own_factor(const SourceTensor& t) {
    const int64_t rows = t.rows(), cols = t.cols(), chunk = std::max<int64_t>(1, kChunkFloats / cols);
    std::vector<float> largest(static_cast<size_t>((rows + chunk - 1) / chunk));
    in_parallel(rows, chunk, [&](int64_t begin, int64_t end) {
      thread_local std::vector<float> x;
      x.resize(static_cast<size_t>((end - begin) * cols));
      t.read(begin, end - begin, x.data());
      float& most = largest[static_cast<size_t>(begin / chunk)];
      for (const float v : x) most = std::max(most, std::fabs(v));
    });
    const float most = *std::max_element(largest.begin(), largest.end());
    return most > 1e-30f && std::isfinite(most) ? most / (kLargestScale * kLargestE2m1) : 1.0f;
  }

  void put(std::span<const std::byte> bytes) {
    file_.write(bytes);
    if (options_.progress) options_.progress(file_.size(), total_);
  }
  void pad() {
    const std::vector<std::byte> zeros((alignment_ - file_.size() % alignment_) % alignment_);
    put(zeros);
  }
  void put_floats(std::span<const float> values) {
    put(std::as_bytes(values));
    pad();
  }

  const Source& source_;
  const QuantiseOptions& options_;
  OutputFile& file_;
  const uint64_t total_;
  const uint32_t alignment_;
  ThreadPool pool_;
  const std::vector<float>* weights_ = nullptr;
  std::vector<std::byte> bytes_;
  std::vector<TensorResult> results_;
};

}  // namespace

double TensorError::relative_rmse() const { return xx > 0 ? std::sqrt(dd / xx) : 0; }
double TensorError::cosine() const { return xx > 0 && yy > 0 ? xy / std::sqrt(xx * yy) : 1; }
void TensorError::add(const TensorError& other) {
  xx += other.xx, yy += other.yy, xy += other.xy, dd += other.dd;
  largest = std::max(largest, other.largest);
}

Plan make_plan(const Source& source, const Recipe& recipe, std::span<const TypeOverride> overrides, bool has_importance, bool packed) {
  std::vector<TensorShape> shapes;
  std::set<std::string_view> names;
  for (const SourceTensor& t : source.tensors) names.insert(t.name);
  for (const SourceTensor& t : source.tensors) shapes.push_back({t.name, t.shape, t.dtype});
  const std::vector<ChosenType> types = choose_types(recipe, shapes, source.model, overrides, has_importance);
  Plan plan;
  plan.packed = packed;
  for (size_t i = 0; i < types.size(); ++i) {
    PlannedTensor t;
    t.source = &source.tensors[i], t.type = types[i];
    t.elements = t.source->rows() * t.source->cols();
    t.own_factor = t.type.type == DType::nvfp4 && !t.copied() && takes_factor(source, t.source->name) && !names.count(factor_name(t.source->name));
    t.panels = packed && has_panels(t.type.type, t.source->shape) && !is_read_by_rows(t.source->name);
    t.bytes = matrix_bytes(t) + (t.own_factor ? sizeof(float) : 0) + (t.copied() ? t.source->factor.size() * sizeof(float) : 0);
    plan.fallbacks += t.type.type != t.type.wanted;
    plan.elements += t.elements, plan.tensor_bytes += t.bytes;
    plan.tensors.push_back(t);
  }
  const GgufWriter head = make_head(source, plan, recipe);
  plan.file_bytes = head.header().size() + head.data_bytes();
  return plan;
}

void check_space(const Plan& plan, const std::filesystem::path& path) {
  const auto folder = path.parent_path();
  std::error_code error;
  if (!folder.empty() && !std::filesystem::is_directory(folder, error)) fail(ErrorCode::not_found, "{}: its folder does not exist", path.string());
  const auto free = free_space(folder);
  if (free && *free < plan.file_bytes)
    fail(ErrorCode::exhausted, "{}: the file will have {} bytes, and its disk has room for {}; free some space or write elsewhere", path.string(),
         plan.file_bytes, *free);
}

std::vector<TensorResult> quantise(const Source& source, const Plan& plan, const Recipe& recipe, const std::filesystem::path& path,
                                   const QuantiseOptions& options) {
  check_space(plan, path);
  const GgufWriter head = make_head(source, plan, recipe);
  OutputFile file(path);
  file.write(head.header());
  Writer writer(source, plan, options, file, plan.file_bytes, head.alignment());
  for (const PlannedTensor& t : plan.tensors) writer.tensor(t);
  check(file.size() == plan.file_bytes, "the file is as large as was planned");
  file.commit();
  return writer.results();
}

}  // namespace carat::quant
