#pragma once
// Where each field of a good GGUF file lies, so that tests and the fuzzer can spoil one on purpose.
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace carat::testing_gguf {

enum class FieldKind {
  magic,
  version,
  tensor_count,
  key_count,
  key_length,
  key,
  value_type,
  number,
  string_length,
  string,
  array_type,
  array_count,
  array_data,
  name_length,
  name,
  rank,
  dimension,
  tensor_type,
  tensor_offset
};

struct Field {
  FieldKind kind;
  std::string of;  // the key or tensor it belongs to
  size_t pos = 0;
  size_t size = 0;
  int32_t type = -1;  // of a number or array: its GGUF type
};

// bytes must be a good file.
class FieldWalker {
 public:
  explicit FieldWalker(std::string_view bytes) : bytes_(bytes) {
    put(FieldKind::magic, 4);
    put(FieldKind::version, 4);
    const uint64_t tensors = number<uint64_t>(FieldKind::tensor_count);
    const uint64_t keys = number<uint64_t>(FieldKind::key_count);
    for (uint64_t i = 0; i < keys; ++i) {
      of_ = std::string(string(FieldKind::key_length, FieldKind::key));
      value(number<int32_t>(FieldKind::value_type));
    }
    for (uint64_t i = 0; i < tensors; ++i) {
      of_ = std::string(string(FieldKind::name_length, FieldKind::name));
      const auto rank = number<uint32_t>(FieldKind::rank);
      for (uint32_t d = 0; d < rank; ++d) number<int64_t>(FieldKind::dimension);
      number<int32_t>(FieldKind::tensor_type);
      number<uint64_t>(FieldKind::tensor_offset);
    }
  }
  std::vector<Field> take() { return std::move(fields_); }
  size_t header_end() const { return pos_; }

 private:
  void put(FieldKind kind, size_t size, int32_t type = -1) {
    if (size > bytes_.size() - pos_) throw std::runtime_error("not a good GGUF file");
    fields_.push_back({kind, of_, pos_, size, type});
    pos_ += size;
  }
  template <typename T>
  T number(FieldKind kind) {
    put(kind, sizeof(T));
    T v;
    std::memcpy(&v, bytes_.data() + pos_ - sizeof(T), sizeof(T));
    return v;
  }
  std::string_view string(FieldKind length_kind, FieldKind kind) {
    const auto length = number<uint64_t>(length_kind);
    put(kind, length);
    return bytes_.substr(pos_ - length, length);
  }
  void value(int32_t type) {
    static constexpr size_t kSize[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    if (type == 8) {
      string(FieldKind::string_length, FieldKind::string);
    } else if (type == 9) {
      const auto elem = number<int32_t>(FieldKind::array_type);
      const auto count = number<uint64_t>(FieldKind::array_count);
      if (elem != 8) return put(FieldKind::array_data, count * kSize[elem], elem);
      for (uint64_t i = 0; i < count; ++i) string(FieldKind::string_length, FieldKind::string);
    } else {
      put(FieldKind::number, kSize[type], type);
    }
  }

  std::string_view bytes_;
  std::string of_;
  size_t pos_ = 0;
  std::vector<Field> fields_;
};

inline std::vector<Field> gguf_fields(std::string_view bytes) { return FieldWalker(bytes).take(); }

// The first field of this kind that belongs to this key or tensor.
inline const Field& find_field(const std::vector<Field>& fields, FieldKind kind, std::string_view of = {}) {
  for (const Field& f : fields)
    if (f.kind == kind && (of.empty() || f.of == of)) return f;
  throw std::runtime_error("no such field");
}

}  // namespace carat::testing_gguf
