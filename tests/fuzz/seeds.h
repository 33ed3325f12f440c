#pragma once
// Good files to start from.
#include <filesystem>
#include <string>
#include <vector>

#include "formats/gguf_fields.h"

namespace carat::fuzz {

enum class SeedKind { gguf, safetensors, json };

struct Seed {
  SeedKind kind = SeedKind::gguf;
  std::filesystem::path file;  // the good file
  std::string bytes;
  std::vector<testing_gguf::Field> fields;  // of a GGUF
  std::filesystem::path folder;             // where its spoilt copies are written, beside links to the good file's neighbours
  std::filesystem::path given;              // what the targets get: the spoilt file (GGUF) or its folder
};

// Prepares work/<number>/ for spoilt copies of `file` (.gguf, .safetensors, .json).
Seed load_seed(const std::filesystem::path& file, const std::filesystem::path& work, size_t number);

// Writes small good files into `folder`: a GGUF with every kind of value, a split one, a folder of shards. Returns the seeds among them.
std::vector<std::filesystem::path> write_builtin_seeds(const std::filesystem::path& folder);

}  // namespace carat::fuzz
