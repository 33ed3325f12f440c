#pragma once
// The part of the Hugging Face cache that repositories share: huggingface_hub keeps files from Xet storage once, in CACHE/blobs/XX/HASH, and makes
// models--.../blobs/ETAG a link to it; HASH.refs lists those links, HASH.lock is held while either changes. Carat reads through such links, and takes
// a shared file away when the last link goes.
#include <cstdint>
#include <filesystem>
#include <optional>

namespace carat::hub {

// The shared file that a repository's blob is a link to; nullopt: it is none.
std::optional<std::filesystem::path> shared_target(const std::filesystem::path& cache, const std::filesystem::path& blob);
// Removes a shared file to which no listed link leads any more; its bytes, or 0 if it stays. A list that is missing or cannot be read keeps the file.
uint64_t sweep_shared(const std::filesystem::path& cache, const std::filesystem::path& shared);
// What sweep_shared would give back if this one link were gone.
uint64_t shared_bytes_freed(const std::filesystem::path& cache, const std::filesystem::path& shared, const std::filesystem::path& without);

}  // namespace carat::hub
