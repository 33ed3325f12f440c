#include "quant/source.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "base/error.h"
#include "formats/gguf.h"
#include "formats/gguf_write.h"
#include "formats/panel_rows.h"
#include "formats/printable.h"
#include "model/tensor_names.h"
#include "tensor/dequantise.h"

namespace carat::quant {
namespace {

constexpr int64_t kMostLayers = 1 << 16;

template <typename T>
void put(std::vector<std::byte>& out, T value) {
  const auto* bytes = reinterpret_cast<const std::byte*>(&value);
  out.insert(out.end(), bytes, bytes + sizeof value);
}
void put_string(std::vector<std::byte>& out, std::string_view text) {
  put(out, uint64_t{text.size()});
  const auto* bytes = reinterpret_cast<const std::byte*>(text.data());
  out.insert(out.end(), bytes, bytes + text.size());
}

void put_number(std::vector<std::byte>& out, GgufType type, const MetaValue& v) {
  const auto bits = [&]() -> uint64_t {
    if (const auto* i = std::get_if<int64_t>(&v.value)) return static_cast<uint64_t>(*i);
    return std::get<uint64_t>(v.value);
  };
  switch (type) {
    case GgufType::u8:
    case GgufType::i8: return put(out, static_cast<uint8_t>(bits()));
    case GgufType::u16:
    case GgufType::i16: return put(out, static_cast<uint16_t>(bits()));
    case GgufType::u32:
    case GgufType::i32: return put(out, static_cast<uint32_t>(bits()));
    case GgufType::u64:
    case GgufType::i64: return put(out, bits());
    case GgufType::f32: return put(out, static_cast<float>(std::get<double>(v.value)));
    case GgufType::f64: return put(out, std::get<double>(v.value));
    case GgufType::boolean: return put(out, static_cast<uint8_t>(std::get<bool>(v.value)));
    case GgufType::string: return put_string(out, std::get<std::string_view>(v.value));
    case GgufType::array: break;
  }
  fail(ErrorCode::internal, "a GGUF value is no array here");
}

// Type and value as they lie in a file.
std::vector<std::byte> raw_value(const MetaValue& v) {
  std::vector<std::byte> out;
  put(out, v.gguf_type);
  if (const auto* numbers = std::get_if<MetaNumbers>(&v.value)) {
    put(out, v.gguf_elem_type);
    put(out, numbers->count);
    const uint64_t bytes = numbers->count * static_cast<uint64_t>(gguf_type_size(static_cast<GgufType>(v.gguf_elem_type)));
    out.insert(out.end(), numbers->data, numbers->data + bytes);
  } else if (const auto* strings = std::get_if<MetaStrings>(&v.value)) {
    put(out, static_cast<int32_t>(GgufType::string));
    put(out, uint64_t{strings->size()});
    for (const std::string_view s : *strings) put_string(out, s);
  } else {
    put_number(out, static_cast<GgufType>(v.gguf_type), v);
  }
  return out;
}

void copy_keys(const Checkpoint& c, int32_t file_type, GgufWriter& out) {
  bool typed = false, versioned = false;
  for (const auto& [key, value] : c.metadata()) {
    // The new file is one file; its alignment and the order of its matrices are the writer's.
    if (key == "general.alignment" || key.starts_with("split.") || key == kGgufLayoutKey || key == kGgufLayoutVersionKey) continue;
    if (key == "general.file_type" && file_type >= 0) {
      out.add(key, static_cast<uint32_t>(file_type));
      typed = true;
    } else {
      versioned = versioned || key == "general.quantization_version";
      out.add_raw(key, raw_value(value));
    }
  }
  if (!typed && file_type >= 0) out.add("general.file_type", static_cast<uint32_t>(file_type));
  if (!versioned) out.add("general.quantization_version", uint32_t{2});
}

// A number, or the first of a list of them; `otherwise` where the key is not there.
int64_t first_int(const Checkpoint& c, const std::string& key, int64_t otherwise) {
  const MetaValue* v = c.meta(key);
  if (!v) return otherwise;
  if (v->gguf_type != static_cast<int32_t>(GgufType::array)) return c.meta_int(key).value_or(otherwise);
  const auto list = c.meta_ints(key);
  return list && !list->empty() ? list->front() : otherwise;
}

void read_gguf_tensors(Source& source) {
  const Checkpoint& c = *source.checkpoint;
  const auto arch = c.meta_string("general.architecture");
  if (!arch) fail(ErrorCode::corrupt, "{}: metadata key general.architecture is missing; the file is not a complete model", c.path().string());
  source.architecture = *arch;
  source.model.num_layers = std::clamp<int64_t>(first_int(c, *arch + ".block_count", 0), 0, kMostLayers);
  source.model.num_experts = first_int(c, *arch + ".expert_count", 0);
  const int64_t heads = first_int(c, *arch + ".attention.head_count", 1), kv_heads = first_int(c, *arch + ".attention.head_count_kv", heads);
  source.model.heads_per_kv_head = kv_heads > 0 ? heads / kv_heads : 1;
  // The factors of matrices in NVFP4 belong to them; those of expert outputs are tensors of their own.
  std::vector<std::string> factors;
  for (const TensorInfo& t : c.tensors()) {
    if (t.dtype != DType::nvfp4 || !t.name.ends_with(".weight") || t.name.find("ffn_down_exps") != std::string::npos) continue;
    factors.push_back(t.name.substr(0, t.name.size() - 7) + ".scale");
  }
  std::sort(factors.begin(), factors.end());
  for (const TensorInfo& t : c.tensors()) {
    if (std::binary_search(factors.begin(), factors.end(), t.name)) continue;
    SourceTensor s;
    s.name = t.name, s.dtype = t.dtype, s.shape = t.shape, s.from = &t;
    if (t.dtype == DType::nvfp4)
      if (const TensorInfo* f = c.find(t.name.substr(0, t.name.rfind(".weight")) + ".scale"); f && std::binary_search(factors.begin(), factors.end(), f->name))
        s.factor = f->to_f32();
    source.tensors.push_back(std::move(s));
  }
}

}  // namespace

int64_t SourceTensor::rows() const { return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>()) / cols(); }

void SourceTensor::read(int64_t row0, int64_t n, float* out) const {
  const int64_t width = cols();
  if (!from) {
    std::copy_n(values.begin() + row0 * width, n * width, out);
  } else {
    thread_local std::vector<std::byte> bytes;
    bytes.resize(static_cast<size_t>(n * from->bytes_per_row()));
    from->read_rows(row0, n, bytes.data());
    dequantise(from->dtype, bytes.data(), out, n * width);
  }
  if (offset != 0)
    for (int64_t i = 0; i < n * width; ++i) out[i] += offset;
  if (factor.empty()) return;
  for (int64_t r = 0; r < n; ++r) {
    const float f = factor.size() == 1 ? factor[0] : factor[static_cast<size_t>((row0 + r) / rows_per_matrix())];
    if (f == 1.0f) continue;
    for (int64_t i = 0; i < width; ++i) out[r * width + i] *= f;
  }
}

Source Source::open(const std::filesystem::path& path) {
  Source source;
  source.checkpoint = Checkpoint::open(path);
  if (source.checkpoint->kind() == CheckpointKind::gguf) {
    read_gguf_tensors(source);
  } else {
    read_folder_tensors(source);
  }
  for (const SourceTensor& t : source.tensors) {
    source.quantised = source.quantised || is_quantised(t.dtype);
    const auto matrices = static_cast<size_t>(t.rows() / t.rows_per_matrix());
    if (t.factor.size() > 1 && t.factor.size() != matrices)
      fail(ErrorCode::corrupt, "{}: tensor {} has {} factors for {} matrices; the file is damaged", path.string(), printable(t.name), t.factor.size(),
           matrices);
  }
  if (source.tensors.empty()) fail(ErrorCode::corrupt, "{}: there are no tensors in it; a file with a vocabulary only cannot be converted", path.string());
  return source;
}

void Source::write_keys(int32_t file_type, GgufWriter& out) const {
  if (checkpoint->kind() == CheckpointKind::gguf) return copy_keys(*checkpoint, file_type, out);
  write_folder_keys(*this, file_type, out);
}

}  // namespace carat::quant
