#pragma once
// Writes GGUF version 3: the whole file in memory, for small ones; or its head alone, for a file whose tensors are written one after the other behind it.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/dtype.h"

namespace carat {

class GgufWriter {
 public:
  // alignment: a power of two; noted in the file when it is not 32.
  explicit GgufWriter(uint32_t alignment = 32);

  // Keys in the order of the calls. The value's width is the type in the file.
  void add(std::string_view key, uint8_t v);
  void add(std::string_view key, int8_t v);
  void add(std::string_view key, uint16_t v);
  void add(std::string_view key, int16_t v);
  void add(std::string_view key, uint32_t v);
  void add(std::string_view key, int32_t v);
  void add(std::string_view key, uint64_t v);
  void add(std::string_view key, int64_t v);
  void add(std::string_view key, float v);
  void add(std::string_view key, double v);
  void add(std::string_view key, bool v);
  void add(std::string_view key, std::string_view v);
  void add(std::string_view key, const char* v) { add(key, std::string_view(v)); }
  void add_array(std::string_view key, std::span<const int32_t> v);
  void add_array(std::string_view key, std::span<const uint32_t> v);
  void add_array(std::string_view key, std::span<const float> v);
  void add_array(std::string_view key, const std::vector<bool>& v);
  void add_array(std::string_view key, const std::vector<std::string>& v);
  // Any key and value as they lie in a file (type, then value): for files that are wrong on purpose.
  void add_raw(std::string_view key, std::span<const std::byte> type_and_value);

  // shape in PyTorch order, rank 0..4; data: exactly the bytes of that shape. The type must exist in GGUF.
  void add_tensor(std::string_view name, DType dtype, const std::vector<int64_t>& shape, std::span<const std::byte> data);
  void add_tensor(std::string_view name, const std::vector<int64_t>& shape, std::span<const float> data);

  // The same as panels of 16 rows (panel_rows.h). data: its rows in the order of blocks. The writer's alignment must be kGgufPanelAlignment, and name_layout() called.
  void add_panels(std::string_view name, DType dtype, const std::vector<int64_t>& shape, std::span<const std::byte> data);
  // The keys that name the layout of panels.
  void name_layout();

  // A tensor whose data is written by the caller: behind header() in the order of these calls, each padded to the alignment. Not to be mixed with add_tensor().
  void declare_tensor(std::string_view name, DType dtype, const std::vector<int64_t>& shape, bool panels = false);
  // Everything before the data of the tensors, padded; and the bytes of that data, each tensor padded.
  std::vector<std::byte> header() const;
  uint64_t data_bytes() const { return data_bytes_; }
  uint32_t alignment() const { return alignment_; }

  std::vector<std::byte> bytes() const;
  void write(const std::filesystem::path& path) const;  // atomically

 private:
  template <typename T>
  void add_number(std::string_view key, int32_t type, T v);
  template <typename T>
  void add_numbers(std::string_view key, int32_t type, std::span<const T> v);
  void begin(std::string_view key, int32_t type);

  uint32_t alignment_;
  uint64_t num_keys_ = 0;
  uint64_t num_tensors_ = 0;
  std::vector<std::byte> keys_;
  uint64_t data_bytes_ = 0;
  std::vector<std::byte> records_;
  std::vector<std::byte> data_;
};

}  // namespace carat
