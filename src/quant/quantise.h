#pragma once
// Writes a model as a GGUF of another type, tensor by tensor, and measures what each of them lost.
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "quant/recipe.h"
#include "quant/source.h"

namespace carat::quant {

// By tensor: the mean of the squares of what each column is multiplied with, [cols], or [matrices, cols] for a stack of experts. importance.h makes it.
using Importance = std::map<std::string, std::vector<float>, std::less<>>;

struct PlannedTensor {
  const SourceTensor* source = nullptr;
  ChosenType type;
  bool own_factor = false;  // NVFP4 made here gets a factor of its own, which is a tensor behind it
  bool panels = false;      // written in panels, to be used in place
  int64_t elements = 0;
  uint64_t bytes = 0;  // in the new file, that factor included, padding not

  bool copied() const { return source->as_stored() && type.type == source->dtype; }
};

// What the new file will be, before a byte of it is written.
struct Plan {
  std::vector<PlannedTensor> tensors;
  uint64_t file_bytes = 0;  // exact
  uint64_t tensor_bytes = 0;
  int64_t elements = 0;
  bool packed = false;    // matrices in panels
  int64_t fallbacks = 0;  // tensors whose rows are no whole blocks of the type the recipe gives them

  double bits_per_weight() const { return elements > 0 ? 8.0 * static_cast<double>(tensor_bytes) / static_cast<double>(elements) : 0; }
};

// packed: every matrix that is multiplied goes into panels; a table that is read row by row does not. `source` outlives the plan. Fails as choose_types() does.
Plan make_plan(const Source& source, const Recipe& recipe, std::span<const TypeOverride> overrides, bool has_importance, bool packed = false);

// Sums over a tensor's values x and what the new file gives for them, y.
struct TensorError {
  double xx = 0, yy = 0, xy = 0, dd = 0;  // d = x - y
  double largest = 0;                     // |d|
  double relative_rmse() const;           // sqrt(dd / xx); 0 for a tensor of zeros
  double cosine() const;                  // xy / sqrt(xx yy); 1 for a tensor of zeros
  void add(const TensorError& other);
};

struct TensorResult {
  const PlannedTensor* tensor = nullptr;
  TensorError error;      // all 0 for one that is copied
  bool weighted = false;  // importance was known
};

struct QuantiseOptions {
  int num_threads = 0;  // 0: default_num_threads()
  const Importance* importance = nullptr;
  std::function<void(uint64_t done, uint64_t total)> progress = {};  // bytes of the new file
  std::function<bool()> going_on = {};                               // false: stop, and leave nothing
};

// Whether the disk of `path` has room for the plan. Fails with not_found (no such folder) or exhausted.
void check_space(const Plan& plan, const std::filesystem::path& path);

// Writes the plan to `path`, which has the whole file or what was there before. The bytes do not depend on the number of threads. Memory stays below 64 MB
// beside the metadata, whatever the model. Fails with exhausted (no room on the disk), io, corrupt (NaN, infinity), unsupported (values beyond f16), cancelled.
std::vector<TensorResult> quantise(const Source& source, const Plan& plan, const Recipe& recipe, const std::filesystem::path& path,
                                   const QuantiseOptions& options);

}  // namespace carat::quant
