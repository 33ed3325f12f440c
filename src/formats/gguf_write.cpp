#include "formats/gguf_write.h"

#include <cstring>
#include <type_traits>

#include "base/error.h"
#include "base/output_file.h"
#include "formats/gguf.h"
#include "formats/panel_rows.h"
#include "tensor/pack.h"

namespace carat {
namespace {

void put_bytes(std::vector<std::byte>& out, std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  const size_t old = out.size();
  out.resize(old + bytes.size());
  std::memcpy(out.data() + old, bytes.data(), bytes.size());
}

template <typename T>
void put(std::vector<std::byte>& out, T v) {
  static_assert(std::is_arithmetic_v<T>);
  put_bytes(out, std::as_bytes(std::span(&v, 1)));
}

void put_string(std::vector<std::byte>& out, std::string_view s) {
  put(out, uint64_t{s.size()});
  put_bytes(out, std::as_bytes(std::span(s)));
}

void pad(std::vector<std::byte>& out, uint32_t alignment) { out.resize((out.size() + alignment - 1) / alignment * alignment); }

int32_t id(GgufType t) { return static_cast<int32_t>(t); }

}  // namespace

GgufWriter::GgufWriter(uint32_t alignment) : alignment_(alignment) {
  check(alignment != 0 && (alignment & (alignment - 1)) == 0, "GGUF alignment must be a power of two");
  if (alignment != kGgufDefaultAlignment) add("general.alignment", alignment);
}

void GgufWriter::begin(std::string_view key, int32_t type) {
  put_string(keys_, key);
  put(keys_, type);
  ++num_keys_;
}

template <typename T>
void GgufWriter::add_number(std::string_view key, int32_t type, T v) {
  begin(key, type);
  put(keys_, v);
}

template <typename T>
void GgufWriter::add_numbers(std::string_view key, int32_t type, std::span<const T> v) {
  begin(key, id(GgufType::array));
  put(keys_, type);
  put(keys_, uint64_t{v.size()});
  put_bytes(keys_, std::as_bytes(v));
}

void GgufWriter::add(std::string_view key, uint8_t v) { add_number(key, id(GgufType::u8), v); }
void GgufWriter::add(std::string_view key, int8_t v) { add_number(key, id(GgufType::i8), v); }
void GgufWriter::add(std::string_view key, uint16_t v) { add_number(key, id(GgufType::u16), v); }
void GgufWriter::add(std::string_view key, int16_t v) { add_number(key, id(GgufType::i16), v); }
void GgufWriter::add(std::string_view key, uint32_t v) { add_number(key, id(GgufType::u32), v); }
void GgufWriter::add(std::string_view key, int32_t v) { add_number(key, id(GgufType::i32), v); }
void GgufWriter::add(std::string_view key, uint64_t v) { add_number(key, id(GgufType::u64), v); }
void GgufWriter::add(std::string_view key, int64_t v) { add_number(key, id(GgufType::i64), v); }
void GgufWriter::add(std::string_view key, float v) { add_number(key, id(GgufType::f32), v); }
void GgufWriter::add(std::string_view key, double v) { add_number(key, id(GgufType::f64), v); }
void GgufWriter::add(std::string_view key, bool v) { add_number(key, id(GgufType::boolean), static_cast<uint8_t>(v)); }

void GgufWriter::add(std::string_view key, std::string_view v) {
  begin(key, id(GgufType::string));
  put_string(keys_, v);
}

void GgufWriter::add_array(std::string_view key, std::span<const int32_t> v) { add_numbers(key, id(GgufType::i32), v); }
void GgufWriter::add_array(std::string_view key, std::span<const uint32_t> v) { add_numbers(key, id(GgufType::u32), v); }
void GgufWriter::add_array(std::string_view key, std::span<const float> v) { add_numbers(key, id(GgufType::f32), v); }

void GgufWriter::add_array(std::string_view key, const std::vector<bool>& v) {
  const std::vector<uint8_t> bytes(v.begin(), v.end());
  add_numbers(key, id(GgufType::boolean), std::span<const uint8_t>(bytes));
}

void GgufWriter::add_array(std::string_view key, const std::vector<std::string>& v) {
  begin(key, id(GgufType::array));
  put(keys_, id(GgufType::string));
  put(keys_, uint64_t{v.size()});
  for (const std::string& s : v) put_string(keys_, s);
}

void GgufWriter::add_raw(std::string_view key, std::span<const std::byte> type_and_value) {
  put_string(keys_, key);
  put_bytes(keys_, type_and_value);
  ++num_keys_;
}

void GgufWriter::name_layout() {
  add(kGgufLayoutKey, kGgufPanelLayout);
  add(kGgufLayoutVersionKey, kGgufPanelVersion);
}

void GgufWriter::declare_tensor(std::string_view name, DType dtype, const std::vector<int64_t>& shape, bool panels) {
  const DTypeInfo& di = info(dtype);
  check(di.ggml_id >= 0, "this type does not exist in GGUF");
  check(shape.size() <= kMaxGgufRank && name.size() <= kMaxGgufTensorName, "GGUF tensors have at most 4 dimensions and names of 63 bytes");
  int64_t elements = 1;
  for (const int64_t n : shape) elements *= n;
  check(elements % di.block_elems == 0, "a tensor must be whole blocks");
  check(!panels || (has_panels(dtype, shape) && alignment_ % kGgufPanelAlignment == 0), "panels are of matrices, and aligned");
  put_string(records_, name);
  put(records_, static_cast<uint32_t>(shape.size()));
  for (size_t i = shape.size(); i-- > 0;) put(records_, shape[i]);
  put(records_, di.ggml_id + (panels ? kGgufPanelTypes : 0));
  put(records_, data_bytes_);
  const uint64_t bytes = panels ? panel_tensor_bytes(dtype, shape).value() : static_cast<uint64_t>(row_bytes(dtype, elements));
  data_bytes_ += (bytes + alignment_ - 1) / alignment_ * alignment_;
  ++num_tensors_;
}

void GgufWriter::add_tensor(std::string_view name, DType dtype, const std::vector<int64_t>& shape, std::span<const std::byte> data) {
  int64_t elements = 1;
  for (const int64_t n : shape) elements *= n;
  check(static_cast<int64_t>(data.size()) == row_bytes(dtype, elements), "a tensor's data must fit its shape");
  declare_tensor(name, dtype, shape);
  put_bytes(data_, data);
  pad(data_, alignment_);
}

void GgufWriter::add_tensor(std::string_view name, const std::vector<int64_t>& shape, std::span<const float> data) {
  add_tensor(name, DType::f32, shape, std::as_bytes(data));
}

void GgufWriter::add_panels(std::string_view name, DType dtype, const std::vector<int64_t>& shape, std::span<const std::byte> data) {
  declare_tensor(name, dtype, shape, true);
  const int64_t cols = shape.back(), rows = shape[shape.size() - 2], matrix = rows * row_bytes(dtype, cols);
  std::vector<std::byte> panels(static_cast<size_t>(panels_of(rows) * panel_bytes(dtype, cols)));
  for (std::span<const std::byte> left = data; !left.empty(); left = left.subspan(static_cast<size_t>(matrix))) {
    pack_rows(dtype, left.data(), rows, cols, panels.data());
    put_bytes(data_, panels);
  }
  pad(data_, alignment_);
}

std::vector<std::byte> GgufWriter::header() const {
  std::vector<std::byte> out;
  for (const char c : {'G', 'G', 'U', 'F'}) out.push_back(static_cast<std::byte>(c));
  put(out, uint32_t{3});
  put(out, num_tensors_);
  put(out, num_keys_);
  put_bytes(out, keys_);
  put_bytes(out, records_);
  if (num_tensors_ > 0) pad(out, alignment_);
  return out;
}

std::vector<std::byte> GgufWriter::bytes() const {
  check(data_.size() == data_bytes_, "the data of tensors that were only declared is not here");
  std::vector<std::byte> out = header();
  put_bytes(out, data_);
  return out;
}

void GgufWriter::write(const std::filesystem::path& path) const { write_file_atomically(path, bytes()); }

}  // namespace carat
