#pragma once
// The safetensors container and folders of it, as Hugging Face writes them.
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "formats/checkpoint.h"

namespace carat {

inline constexpr uint64_t kMaxSafetensorsHeader = 100'000'000;  // as in the reference implementation
inline constexpr size_t kMaxSafetensorsRank = 8;
inline constexpr size_t kMaxSafetensorsName = 1024;
inline constexpr uint64_t kMaxSafetensorsIndex = uint64_t{32} << 20;
inline constexpr size_t kMaxShards = 1024;

// A name that stays in its folder: no separators, no "..", no hidden files, no control bytes.
bool is_plain_file_name(std::string_view name);

// Fills a Checkpoint from one .safetensors file, or from a folder (model.safetensors.index.json, model.safetensors, or every *.safetensors).
class SafetensorsReader {
 public:
  static void read_file(Checkpoint& checkpoint, const std::filesystem::path& path);
  static void read_folder(Checkpoint& checkpoint, const std::filesystem::path& folder);
};

}  // namespace carat
