#pragma once
// Where the reference cases are: $CARAT_SHARED/golden, default ../shared beside the source tree.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/json.h"
#include "formats/checkpoint.h"

namespace carat::test {

inline std::filesystem::path shared_dir() {
  const char* dir = std::getenv("CARAT_SHARED");
  return dir ? std::filesystem::path(dir) : std::filesystem::path(CARAT_SOURCE_DIR) / ".." / "shared";
}
inline bool have_golden() { return std::filesystem::exists(shared_dir() / "golden" / "manifest.json"); }
inline std::filesystem::path golden(const std::string& relative) { return shared_dir() / "golden" / relative; }

inline Json read_json(const std::filesystem::path& path) { return parse_json(read_text_file(path, uint64_t{64} << 20), path.string()); }

// One text case: prompt ids, reference tensors, greedy continuation.
struct TextCase {
  std::string model, name;
  std::vector<int32_t> ids, greedy_ids;
  std::vector<double> greedy_margins;
  double tolerance = 0;  // of logits
  std::shared_ptr<const Checkpoint> tensors;

  std::vector<float> tensor(const std::string& key) const { return tensors->at(key).to_f32(); }
};

inline TextCase load_text_case(const std::string& model, const std::string& name) {
  TextCase c;
  const Json j = read_json(golden("text/" + model + "/" + name + ".json"));
  c.model = model, c.name = name;
  c.ids = j.at("ids").get<std::vector<int32_t>>();
  c.greedy_ids = j.at("greedy_ids").get<std::vector<int32_t>>();
  c.greedy_margins = j.at("greedy_margins").get<std::vector<double>>();
  c.tolerance = j.at("tolerance").at("logits_max_abs").get<double>();
  c.tensors = Checkpoint::open(golden("text/" + model + "/" + name + ".safetensors"));
  return c;
}

inline const std::vector<std::string>& text_models() {
  static const std::vector<std::string> models = {"tiny-e2b", "tiny-e4b", "tiny-26b", "tiny-31b", "tiny-12b-unified", "tiny-gemma3"};
  return models;
}
inline const std::vector<std::string>& text_cases() {
  static const std::vector<std::string> cases = {"short", "mid", "mixed", "long"};
  return cases;
}

}  // namespace carat::test
