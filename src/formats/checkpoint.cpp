#include "formats/checkpoint.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "base/error.h"
#include "formats/expert_stacks.h"
#include "formats/gguf.h"
#include "formats/packed_tensors.h"
#include "formats/printable.h"
#include "formats/quantisation_name.h"
#include "formats/safetensors.h"
#include "formats/tensor_source.h"
#include "tensor/dequantise.h"
#include "tensor/pack.h"

namespace carat {
namespace {

constexpr uint64_t kMaxSideFile = uint64_t{128} << 20;  // a real tokenizer.json has 33 MB
constexpr uint64_t kMaxNumbers = uint64_t{1} << 22;     // twice the largest vocabulary

template <typename T>
T load(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

int64_t to_int(uint64_t value, const std::string& where) {
  if (value > INT64_MAX) fail(ErrorCode::corrupt, "{}: {} is out of range; the file is damaged", where, value);
  return static_cast<int64_t>(value);
}

int64_t element_int(GgufType type, const std::byte* data, uint64_t i, const std::string& where) {
  switch (type) {
    case GgufType::u8: return load<uint8_t>(data + i);
    case GgufType::i8: return load<int8_t>(data + i);
    case GgufType::u16: return load<uint16_t>(data + 2 * i);
    case GgufType::i16: return load<int16_t>(data + 2 * i);
    case GgufType::u32: return load<uint32_t>(data + 4 * i);
    case GgufType::i32: return load<int32_t>(data + 4 * i);
    case GgufType::u64: return to_int(load<uint64_t>(data + 8 * i), where);
    case GgufType::i64: return load<int64_t>(data + 8 * i);
    case GgufType::boolean: return load<uint8_t>(data + i);
    case GgufType::f32:
    case GgufType::f64:
    case GgufType::string:
    case GgufType::array: break;
  }
  fail(ErrorCode::internal, "{}: no integer array", where);
}

std::string type_text(const MetaValue& v) {
  const auto name = [](int32_t t) { return std::string(gguf_type_name(static_cast<GgufType>(t))); };
  return v.gguf_type == static_cast<int32_t>(GgufType::array) ? "an array of " + name(v.gguf_elem_type) : name(v.gguf_type);
}

[[noreturn]] void wrong_type(const std::string& where, const MetaValue& v, std::string_view wanted) {
  fail(ErrorCode::corrupt, "{}: must be {}, not {}; convert the model again", where, wanted, type_text(v));
}

const MetaNumbers& numbers(const std::string& where, const MetaValue& v, std::string_view wanted) {
  const auto* list = std::get_if<MetaNumbers>(&v.value);
  if (list == nullptr) wrong_type(where, v, wanted);
  if (list->count > kMaxNumbers) fail(ErrorCode::unsupported, "{}: {} numbers, at most {} are read", where, list->count, kMaxNumbers);
  return *list;
}

// Indices of `list` in the order of their names. Names must differ.
template <typename List, typename Name>
std::vector<uint32_t> order_by_name(const List& list, Name name, const std::filesystem::path& path, std::string_view what) {
  std::vector<uint32_t> order(list.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return name(list[a]) < name(list[b]); });
  for (size_t i = 1; i < order.size(); ++i)
    if (name(list[order[i - 1]]) == name(list[order[i]]))
      fail(ErrorCode::corrupt, "{}: {} {}: it is given twice; the file is damaged", path.string(), what, printable(name(list[order[i]])));
  return order;
}

template <typename List, typename Name>
auto find_by_name(const List& list, const std::vector<uint32_t>& order, Name name, std::string_view wanted) -> decltype(&list[0]) {
  const auto it = std::lower_bound(order.begin(), order.end(), wanted, [&](uint32_t i, std::string_view w) { return name(list[i]) < w; });
  return it != order.end() && name(list[*it]) == wanted ? &list[*it] : nullptr;
}

constexpr auto kTensorName = [](const TensorInfo& t) -> std::string_view { return t.name; };
constexpr auto kKey = [](const std::pair<std::string, MetaValue>& m) -> std::string_view { return m.first; };

}  // namespace

std::string_view MetaStrings::operator[](size_t i) const {
  const std::byte* at = data_ + starts_[i];
  return {reinterpret_cast<const char*>(at + 8), static_cast<size_t>(load<uint64_t>(at))};
}

int64_t TensorInfo::elements() const { return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>()); }

void TensorInfo::read_rows(int64_t row0, int64_t n, std::byte* out) const {
  if (row0 < 0 || n < 0 || row0 > rows() || n > rows() - row0)
    fail(ErrorCode::invalid_argument, "{}: tensor {}: rows {}+{} of {} do not exist", file->name(), printable(name), row0, n, rows());
  if (source) return source->read_rows(row0, n, out);
  const auto bytes = static_cast<uint64_t>(bytes_per_row());
  file->read(offset + static_cast<uint64_t>(row0) * bytes, {out, static_cast<size_t>(static_cast<uint64_t>(n) * bytes)});
}

void TensorInfo::read_part(int64_t row, int64_t skip, std::span<std::byte> out) const {
  const auto size = static_cast<int64_t>(out.size());
  if (row < 0 || row >= rows() || skip < 0 || size > bytes_per_row() || skip > bytes_per_row() - size)
    fail(ErrorCode::invalid_argument, "{}: tensor {}: bytes {}+{} of row {} do not exist", file->name(), printable(name), skip, size, row);
  if (!source) return file->read(offset + static_cast<uint64_t>(row * bytes_per_row() + skip), out);
  std::vector<std::byte> whole(static_cast<size_t>(bytes_per_row()));
  source->read_rows(row, 1, whole.data());
  std::memcpy(out.data(), whole.data() + skip, out.size());
}

std::shared_ptr<const std::byte> TensorInfo::panels_of_rows(int64_t row0, int64_t n) const {
  const int64_t per = rows_per_matrix(), row = row0 % per;
  if (!panels || row % kLanes != 0 || n < 1 || n > per - row || row0 > rows() - n) return nullptr;
  const int64_t panel = row0 / per * carat::panels_of(per) + row / kLanes;
  return {file, file->bytes().data() + offset + static_cast<uint64_t>(panel * panel_bytes(dtype, cols()))};
}

std::vector<float> TensorInfo::to_f32() const {
  if (!is_float(dtype) && !is_quantised(dtype))
    fail(ErrorCode::unsupported, "{}: tensor {}: {} values are no weights", file->name(), printable(name), info(dtype).name);
  std::vector<float> out(static_cast<size_t>(elements()));
  // A few rows at a time: no second copy of a whole matrix.
  const int64_t step = std::max<int64_t>(1, (int64_t{1} << 20) / bytes_per_row());
  std::vector<std::byte> bytes(static_cast<size_t>(std::min(step, rows()) * bytes_per_row()));
  for (int64_t row = 0; row < rows(); row += step) {
    const int64_t n = std::min(step, rows() - row);
    read_rows(row, n, bytes.data());
    dequantise(dtype, bytes.data(), out.data() + row * cols(), n * cols());
  }
  return out;
}

void Checkpoint::index_tensors() { tensor_order_ = order_by_name(tensors_, kTensorName, path_, "tensor"); }
void Checkpoint::index_metadata() { meta_order_ = order_by_name(metadata_, kKey, path_, "metadata"); }

std::shared_ptr<const Checkpoint> Checkpoint::open(const std::filesystem::path& path) {
  auto checkpoint = std::make_shared<Checkpoint>();
  checkpoint->path_ = path;
  std::error_code ec;
  if (std::filesystem::is_directory(path, ec)) {
    SafetensorsReader::read_folder(*checkpoint, path);
  } else {
    std::array<char, 9> start{};
    {
      const auto file = MappedFile::open(path);
      file->read(0, std::as_writable_bytes(std::span(start).first(static_cast<size_t>(std::min<uint64_t>(start.size(), file->size())))));
    }
    if (std::memcmp(start.data(), "GGUF", 4) == 0 || path.extension() == ".gguf")
      GgufReader::read(*checkpoint, path);
    else if (start[8] == '{' || path.extension() == ".safetensors")
      SafetensorsReader::read_file(*checkpoint, path);
    else
      fail(ErrorCode::corrupt, "{}: neither a GGUF nor a safetensors file; give a model's file or folder", path.string());
  }
  checkpoint->index_tensors();
  if (checkpoint->kind_ == CheckpointKind::hf_folder) {
    std::vector<UnreadTensor> unread = unite_packed_tensors(checkpoint->tensors_);
    stack_experts(checkpoint->tensors_, unread);
    checkpoint->index_tensors();  // what was united may have the name of another tensor
    for (UnreadTensor& u : unread) checkpoint->unread_.emplace_back(std::move(u.name), std::move(u.why));
    std::sort(checkpoint->unread_.begin(), checkpoint->unread_.end());
  }
  checkpoint->index_metadata();
  return checkpoint;
}

uint64_t Checkpoint::file_bytes() const {
  uint64_t sum = 0;
  for (const auto& file : files_) sum += file->size();
  return sum;
}

const TensorInfo* Checkpoint::find(std::string_view name) const { return find_by_name(tensors_, tensor_order_, kTensorName, name); }

const TensorInfo& Checkpoint::at(std::string_view name) const {
  if (const TensorInfo* t = find(name)) return *t;
  fail(ErrorCode::corrupt, "{}: tensor {} is missing; the file is incomplete or of another kind of model", path_.string(), printable(name));
}

std::optional<std::string> Checkpoint::why_unread(std::string_view name) const {
  const auto it = std::lower_bound(unread_.begin(), unread_.end(), name, [](const auto& u, std::string_view n) { return u.first < n; });
  if (it == unread_.end() || it->first != name) return std::nullopt;
  const std::string folder_says = quantisation_name(*this);
  return folder_says.empty() ? it->second : fmt::format("{}; the folder says {}", it->second, folder_says);
}

const MetaValue* Checkpoint::meta(std::string_view key) const {
  const auto* entry = find_by_name(metadata_, meta_order_, kKey, key);
  return entry == nullptr ? nullptr : &entry->second;
}

namespace {

std::string at_key(const std::filesystem::path& path, std::string_view key) { return path.string() + ": metadata " + printable(key); }

}  // namespace

std::optional<int64_t> Checkpoint::meta_int(std::string_view key) const {
  const MetaValue* v = meta(key);
  if (v == nullptr) return std::nullopt;
  if (const auto* i = std::get_if<int64_t>(&v->value)) return *i;
  if (const auto* u = std::get_if<uint64_t>(&v->value)) return to_int(*u, at_key(path_, key));
  wrong_type(at_key(path_, key), *v, "an integer");
}

std::optional<double> Checkpoint::meta_float(std::string_view key) const {
  const MetaValue* v = meta(key);
  if (v == nullptr) return std::nullopt;
  if (const auto* d = std::get_if<double>(&v->value)) return *d;
  wrong_type(at_key(path_, key), *v, "f32 or f64");
}

std::optional<bool> Checkpoint::meta_bool(std::string_view key) const {
  const MetaValue* v = meta(key);
  if (v == nullptr) return std::nullopt;
  if (const auto* b = std::get_if<bool>(&v->value)) return *b;
  wrong_type(at_key(path_, key), *v, "a bool");
}

std::optional<std::string> Checkpoint::meta_string(std::string_view key) const {
  const MetaValue* v = meta(key);
  if (v == nullptr) return std::nullopt;
  if (const auto* s = std::get_if<std::string_view>(&v->value)) return std::string(*s);
  wrong_type(at_key(path_, key), *v, "a string");
}

std::optional<std::vector<int64_t>> Checkpoint::meta_ints(std::string_view key) const {
  const MetaValue* v = meta(key);
  if (v == nullptr) return std::nullopt;
  const std::string where = at_key(path_, key);
  const MetaNumbers& list = numbers(where, *v, "an array of integers or bools");
  const auto type = static_cast<GgufType>(v->gguf_elem_type);
  if (type == GgufType::f32 || type == GgufType::f64) wrong_type(where, *v, "an array of integers or bools");
  std::vector<int64_t> out(list.count);
  for (uint64_t i = 0; i < list.count; ++i) out[i] = element_int(type, list.data, i, where);
  return out;
}

std::optional<std::vector<double>> Checkpoint::meta_floats(std::string_view key) const {
  const MetaValue* v = meta(key);
  if (v == nullptr) return std::nullopt;
  const std::string where = at_key(path_, key);
  const MetaNumbers& list = numbers(where, *v, "an array of f32 or f64");
  const auto type = static_cast<GgufType>(v->gguf_elem_type);
  if (type != GgufType::f32 && type != GgufType::f64) wrong_type(where, *v, "an array of f32 or f64");
  std::vector<double> out(list.count);
  for (uint64_t i = 0; i < list.count; ++i) out[i] = type == GgufType::f32 ? double{load<float>(list.data + 4 * i)} : load<double>(list.data + 8 * i);
  return out;
}

const MetaStrings* Checkpoint::meta_strings(std::string_view key) const {
  const MetaValue* v = meta(key);
  if (v == nullptr) return nullptr;
  if (const auto* s = std::get_if<MetaStrings>(&v->value)) return s;
  wrong_type(at_key(path_, key), *v, "an array of strings");
}

std::optional<std::string> Checkpoint::side_file(std::string_view name) const {
  if (!is_plain_file_name(name)) fail(ErrorCode::invalid_argument, "{} is no plain file name", printable(name));
  if (kind_ != CheckpointKind::hf_folder) return std::nullopt;
  std::error_code ec;
  const auto folder = std::filesystem::is_directory(path_, ec) ? path_ : path_.parent_path();
  const auto file = folder / name;
  if (!std::filesystem::exists(file, ec)) return std::nullopt;
  return read_text_file(file, kMaxSideFile);
}

}  // namespace carat
