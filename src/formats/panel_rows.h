#pragma once
// Matrices that a GGUF holds as panels of 16 rows (tensor/pack.h), to be used in place. docs/decisions/0011 has the file's side of it.
//
// A tensor [.., rows, cols] of a type id of kGgufPanelTypes or more: each of its matrices is ceil(rows / 16) panels, the rows that are missing in the last one
// zeros; one matrix behind the other. The layout has a name and a version in the metadata.
#include <cstdint>
#include <memory>
#include <string_view>

#include "formats/checkpoint.h"

namespace carat {

// Type ids of such tensors: this and the id of the blocks. Other programs know no type of so high a number, and refuse the file.
inline constexpr int32_t kGgufPanelTypes = 1 << 16;
inline constexpr std::string_view kGgufLayoutKey = "carat.layout";
inline constexpr std::string_view kGgufLayoutVersionKey = "carat.layout.version";
inline constexpr std::string_view kGgufPanelLayout = "panels16";
inline constexpr uint32_t kGgufPanelVersion = 1;
inline constexpr uint32_t kGgufPanelAlignment = 64;

// Whether a tensor can be held so: two dimensions or more, of a type that has panels. IQ4_XS is left out: scales of its panels that no block can have (a damaged
// file) would take the kernels' integer sums beyond 32 bits.
bool has_panels(DType dtype, const std::vector<int64_t>& shape);
// Bytes of such a tensor, or nothing when they are more than 2^56.
std::optional<uint64_t> panel_tensor_bytes(DType dtype, const std::vector<int64_t>& shape);

// The rows of such a tensor in the order of blocks, by pread.
std::shared_ptr<const TensorSource> panel_rows(const TensorInfo& tensor);

}  // namespace carat
