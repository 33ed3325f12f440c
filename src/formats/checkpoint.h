#pragma once
// One face over the two kinds of model files: metadata by key, tensors by name. Everything in it has been checked against the file's size.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/file.h"
#include "tensor/dtype.h"

namespace carat {

class TensorSource;

// A tensor inside a file. Shape is in PyTorch order (row-major, last index fastest): GGUF's ne reversed.
struct TensorInfo {
  std::string name;
  DType dtype = DType::f32;
  std::vector<int64_t> shape;  // rank 0..8; every dimension >= 1
  std::shared_ptr<const MappedFile> file;
  uint64_t offset = 0;  // from the file's start
  uint64_t nbytes = 0;  // rows() * bytes_per_row() unless in panels; without a source offset + nbytes <= file->size(), checked
  // Set: the rows are made of other tensors, whose first lies at `offset` (packed_tensors.h), or of panels. Null: the bytes are in the file as they are.
  std::shared_ptr<const TensorSource> source;
  // The file holds each matrix as panels of 16 rows (panel_rows.h). Rows are read in the order of blocks all the same.
  bool panels = false;

  int64_t cols() const { return shape.empty() ? 1 : shape.back(); }
  int64_t elements() const;  // product of shape, cannot overflow (checked on load)
  int64_t rows() const { return elements() / cols(); }
  int64_t rows_per_matrix() const { return shape.size() > 2 ? shape[shape.size() - 2] : rows(); }
  int64_t bytes_per_row() const { return row_bytes(dtype, cols()); }
  // Rows [row0, row0 + n), by pread.
  void read_rows(int64_t row0, int64_t n, std::byte* out) const;
  // Bytes [skip, skip + out.size()) of one row.
  void read_part(int64_t row, int64_t skip, std::span<std::byte> out) const;
  // Rows [row0, row0 + n) where they lie in the map, as panels that nothing else precedes in the first one; null: no panels, or row0 is not the first of one, or
  // the rows are not all of one matrix. Alive as long as it is held. Fit to be used in place by the kernels; the file must not be cut short meanwhile.
  std::shared_ptr<const std::byte> panels_of_rows(int64_t row0, int64_t n) const;
  // The whole tensor as f32 (float or quantised types only).
  std::vector<float> to_f32() const;
};

// The strings of a GGUF array, in place: a view into the file's header plus 4 bytes a string (a vocabulary has 262,144, its merges 514,906).
// Valid as long as the Checkpoint lives. Strings may hold any bytes.
class MetaStrings {
 public:
  struct Iterator {
    using value_type = std::string_view;
    using difference_type = std::ptrdiff_t;
    const MetaStrings* list = nullptr;
    size_t i = 0;
    std::string_view operator*() const { return (*list)[i]; }
    Iterator& operator++() { return ++i, *this; }
    Iterator operator++(int) { return {list, i++}; }
    bool operator==(const Iterator& other) const { return i == other.i; }
  };
  size_t size() const { return starts_.size(); }
  bool empty() const { return starts_.empty(); }
  std::string_view operator[](size_t i) const;  // i < size()
  Iterator begin() const { return {this, 0}; }
  Iterator end() const { return {this, size()}; }

 private:
  friend class GgufReader;
  const std::byte* data_ = nullptr;
  std::vector<uint32_t> starts_;  // of each string's length field, from data_
};

// The numbers or bools of a GGUF array, in place; read them through meta_ints() and meta_floats().
struct MetaNumbers {
  const std::byte* data = nullptr;
  uint64_t count = 0;
};

// A metadata value of a GGUF file. Integers of every width are held as i64 (signed types) or u64 (unsigned types).
// Texts and arrays are views that live as long as the Checkpoint.
struct MetaValue {
  std::variant<int64_t, uint64_t, double, bool, std::string_view, MetaNumbers, MetaStrings> value;
  int32_t gguf_type = 0;       // 0 u8 ... 12 f64; 9 = array
  int32_t gguf_elem_type = 0;  // for arrays
};

enum class CheckpointKind { gguf, hf_folder };

class Checkpoint {
 public:
  // path: a .gguf file (the first part of a split one), a folder with config.json and *.safetensors, or a single .safetensors file.
  // Fails with not_found, io, corrupt, unsupported; the message names the file and the offending field.
  static std::shared_ptr<const Checkpoint> open(const std::filesystem::path& path);

  CheckpointKind kind() const { return kind_; }
  const std::filesystem::path& path() const { return path_; }
  uint64_t file_bytes() const;  // all parts together

  // Tensors, in file order.
  const std::vector<TensorInfo>& tensors() const { return tensors_; }
  const TensorInfo* find(std::string_view name) const;  // nullptr if absent
  const TensorInfo& at(std::string_view name) const;    // fails with corrupt, naming tensor and file
  // A matrix (X.weight) that a folder holds in a form that is not read: what is wrong with it ("8-bit integers; the folder says compressed-tensors
  // int-quantized"). Empty for any other name.
  std::optional<std::string> why_unread(std::string_view name) const;

  // GGUF metadata, in file order (empty for a folder).
  const std::vector<std::pair<std::string, MetaValue>>& metadata() const { return metadata_; }
  const MetaValue* meta(std::string_view key) const;
  // Typed getters: empty when absent; fail with corrupt when the type is another one or the number does not fit.
  std::optional<int64_t> meta_int(std::string_view key) const;   // any integer type (bool refused)
  std::optional<double> meta_float(std::string_view key) const;  // f32, f64
  std::optional<bool> meta_bool(std::string_view key) const;
  std::optional<std::string> meta_string(std::string_view key) const;
  std::optional<std::vector<int64_t>> meta_ints(std::string_view key) const;  // integer or bool array
  std::optional<std::vector<double>> meta_floats(std::string_view key) const;
  const MetaStrings* meta_strings(std::string_view key) const;  // nullptr when absent

  // A text file beside the weights of a folder (config.json, generation_config.json, tokenizer.json); empty when it is not there.
  std::optional<std::string> side_file(std::string_view name) const;

 private:
  friend class GgufReader;
  friend class SafetensorsReader;
  void index_tensors();  // fails with corrupt on a name given twice
  void index_metadata();
  CheckpointKind kind_ = CheckpointKind::gguf;
  std::filesystem::path path_;
  std::vector<TensorInfo> tensors_;
  std::vector<uint32_t> tensor_order_;                       // indices into tensors_, by name
  std::vector<std::pair<std::string, std::string>> unread_;  // matrix, why; by name
  std::vector<std::pair<std::string, MetaValue>> metadata_;
  std::vector<uint32_t> meta_order_;    // indices into metadata_, by key
  std::shared_ptr<const void> header_;  // what the views in metadata_ point into
  std::vector<std::shared_ptr<const MappedFile>> files_;
};

}  // namespace carat
