#pragma once
// Which files of a repository make up a model. The same rules read the hub's listing and what is here.
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hub/names.h"

namespace carat::hub {

// The quantisation that a file name carries, in capitals: "Q4_K_M", "UD-Q4_K_XL", "IQ4_XS", "BF16"; "" if none. The last one counts, the file before its folders.
std::string quant_label(std::string_view path);

// One GGUF model: a file, or the parts "...-00001-of-00003.gguf" of one.
struct GgufModel {
  std::string label;               // quant_label of its first part
  std::vector<std::string> parts;  // in order; parts that are missing are left out
  bool whole = true;               // no part is missing
};
// Without towers (mmproj), drafters and importance matrices. In the order of their paths.
std::vector<GgufModel> gguf_models(std::span<const std::string> paths);

// Whether there is a folder model: config.json and *.safetensors at the top.
bool has_folder_model(std::span<const std::string> paths);

struct Selection {
  std::string label;               // of the GGUF model; "": a folder
  std::string main;                // path of the file to open (the first part); "": the folder itself
  std::vector<std::string> files;  // all of it: parts or the folder's files, towers, drafters; each once
};

// nullopt: what is wanted is not among the paths, or not whole.
std::optional<Selection> find_selection(const Source& source, std::span<const std::string> paths);
// As above; fails with not_found, and lists what could be had instead, as a user would write it.
Selection select(const Source& source, std::span<const std::string> paths);
// Every model among the paths.
std::vector<Selection> all_selections(std::span<const std::string> paths);

}  // namespace carat::hub
