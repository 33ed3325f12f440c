#pragma once
// The GGUF container, versions 2 and 3: its value types, limits and the one parser of it.
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "formats/checkpoint.h"

namespace carat {

enum class GgufType : int32_t { u8, i8, u16, i16, u32, i32, f32, boolean, string, array, u64, i64, f64 };
inline constexpr int kNumGgufTypes = static_cast<int>(GgufType::f64) + 1;

// Bytes of a value; 0 for string and array.
int gguf_type_size(GgufType t);
std::string_view gguf_type_name(GgufType t);

// What is read at most. Real files have about 50 keys, 2,000 tensors and 40 MB of header.
inline constexpr uint64_t kMaxGgufHeader = uint64_t{1} << 30;
inline constexpr uint64_t kMaxGgufKeys = 1 << 16;
inline constexpr uint64_t kMaxGgufKeyLength = (1 << 16) - 1;
inline constexpr uint64_t kMaxGgufTensorName = 63;
inline constexpr uint32_t kMaxGgufRank = 4;
inline constexpr int64_t kMaxGgufParts = 1024;
// Of a checkpoint, all parts together, GGUF and safetensors alike: the 26B with every expert by itself in NVFP4 has 46,080.
inline constexpr uint64_t kMaxTensors = 1 << 16;
inline constexpr uint32_t kGgufDefaultAlignment = 32;

class GgufHeader;

// Fills a Checkpoint from a GGUF file and, for a split one, its sisters.
class GgufReader {
 public:
  static void read(Checkpoint& checkpoint, const std::filesystem::path& path);

 private:
  using Metadata = std::vector<std::pair<std::string, MetaValue>>;
  static void read_part(Checkpoint& checkpoint, const std::shared_ptr<const MappedFile>& file, Metadata& metadata, std::shared_ptr<const void>& header);
  static MetaValue read_value(GgufHeader& header, std::string_view key);
  static void check_layout(const Checkpoint& checkpoint, const std::string& file);
  static void read_tensors(Checkpoint& checkpoint, const std::shared_ptr<const MappedFile>& file, GgufHeader& header, uint64_t count, uint32_t alignment);
};

}  // namespace carat
