#pragma once
// A model file as a converter sees it: tensors under GGUF's names with GGUF's conventions, whatever kind of file they come from.
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "formats/checkpoint.h"
#include "quant/recipe.h"

namespace carat {
class GgufWriter;
}

namespace carat::quant {

struct SourceTensor {
  std::string name;
  DType dtype = DType::f32;          // what it has in a GGUF that nothing was done to
  std::vector<int64_t> shape;        // may have fewer rows than what it is made from: a padded vocabulary is cut
  const TensorInfo* from = nullptr;  // null: `values`
  std::vector<float> values;
  float offset = 0;           // added to every value: Gemma 3's safetensors hold norms - 1
  std::vector<float> factor;  // what NVFP4 keeps apart: values are multiplied by it; empty (1), one, or one a matrix of a stack

  int64_t cols() const { return shape.empty() ? 1 : shape.back(); }
  int64_t rows() const;
  int64_t rows_per_matrix() const { return shape.size() > 2 ? shape[shape.size() - 2] : rows(); }
  // Its bytes may be taken as they are. Only NVFP4 can have a factor in a GGUF.
  bool as_stored() const { return from && from->dtype == dtype && offset == 0 && (factor.empty() || dtype == DType::nvfp4); }
  // Rows [row0, row0 + n) as f32, everything applied. Thread-safe. Fails with io, corrupt.
  void read(int64_t row0, int64_t n, float* out) const;
};

struct Source {
  std::shared_ptr<const Checkpoint> checkpoint;
  std::vector<SourceTensor> tensors;  // in the order of the file
  ModelShape model;
  std::string architecture;  // general.architecture of the new file
  int64_t left_out = 0;      // tensors of a folder's vision and audio towers
  bool quantised = false;    // some of it has lost precision before

  // Fails as Checkpoint::open does, and with corrupt or unsupported, naming tensor or key.
  static Source open(const std::filesystem::path& path);
  // All keys of the new file.
  void write_keys(int32_t file_type, GgufWriter& out) const;
};

// The parts of it for folders as Hugging Face writes them: source_folder.cpp, folder_keys.cpp, folder_vocabulary.cpp.
void read_folder_tensors(Source& source);
void write_folder_keys(const Source& source, int32_t file_type, GgufWriter& out);
void write_folder_vocabulary(const Source& source, GgufWriter& out);
// Entries of the folder's vocabulary: as many rows of the embedding are kept.
int64_t folder_vocabulary_size(const Checkpoint& checkpoint);

}  // namespace carat::quant
