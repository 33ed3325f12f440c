#include "formats/panel_rows.h"

#include <algorithm>

#include "formats/tensor_source.h"
#include "tensor/pack.h"

namespace carat {
namespace {

constexpr uint64_t kMostBytes = uint64_t{1} << 56;

class PanelRows final : public TensorSource {
 public:
  explicit PanelRows(const TensorInfo& t)
      : file_(t.file), dtype_(t.dtype), cols_(t.cols()), per_matrix_(t.rows_per_matrix()), offset_(t.offset), bytes_(panel_bytes(t.dtype, t.cols())) {}

  void read_rows(int64_t row0, int64_t n, std::byte* out) const override {
    const int64_t bytes_per_row = row_bytes(dtype_, cols_);
    std::vector<std::byte> panel(static_cast<size_t>(bytes_));
    for (int64_t row = row0; row < row0 + n;) {
      const int64_t matrix = row / per_matrix_, in_matrix = row % per_matrix_;
      const int64_t index = matrix * panels_of(per_matrix_) + in_matrix / kLanes;
      const int64_t end = std::min({row0 + n, row - in_matrix % kLanes + kLanes, (matrix + 1) * per_matrix_});
      file_->read(offset_ + static_cast<uint64_t>(index * bytes_), panel);
      for (int64_t lane = in_matrix % kLanes; row < end; ++row, ++lane, out += bytes_per_row) {
        unpack_blocks(dtype_, panel.data(), static_cast<int>(lane), cols_, out);
      }
    }
  }

 private:
  std::shared_ptr<const MappedFile> file_;
  DType dtype_;
  int64_t cols_, per_matrix_;
  uint64_t offset_;
  int64_t bytes_;  // of a panel
};

}  // namespace

bool has_panels(DType dtype, const std::vector<int64_t>& shape) { return shape.size() >= 2 && packable(dtype) && dtype != DType::iq4_xs; }

std::optional<uint64_t> panel_tensor_bytes(DType dtype, const std::vector<int64_t>& shape) {
  const int64_t cols = shape.back(), rows = shape[shape.size() - 2];
  if (cols > static_cast<int64_t>(kMostBytes / (kLanes * sizeof(float))) || rows > static_cast<int64_t>(kMostBytes)) return std::nullopt;
  auto bytes = static_cast<uint64_t>(panel_bytes(dtype, cols));
  bool fits = !__builtin_mul_overflow(bytes, static_cast<uint64_t>(panels_of(rows)), &bytes);
  for (size_t i = 0; i + 2 < shape.size(); ++i) fits = fits && !__builtin_mul_overflow(bytes, static_cast<uint64_t>(shape[i]), &bytes);
  return fits && bytes <= kMostBytes ? std::optional(bytes) : std::nullopt;
}

std::shared_ptr<const TensorSource> panel_rows(const TensorInfo& tensor) { return std::make_shared<PanelRows>(tensor); }

}  // namespace carat
