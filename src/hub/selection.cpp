#include "hub/selection.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <map>
#include <set>

#include "base/error.h"

namespace carat::hub {
namespace {

constexpr std::string_view kDefaultQuant = "Q4_K_M";

std::string upper(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return out;
}

std::string_view file_of(std::string_view path) { return path.substr(path.rfind('/') + 1); }
std::string_view folder_of(std::string_view path) { return path.substr(0, path.rfind('/') + 1); }  // with its slash; "" at the top

bool is_gguf(std::string_view path) { return upper(path).ends_with(".GGUF"); }

// Words of a file name between . - _ : "mmproj-model-f16.gguf" has MMPROJ.
bool has_word(std::string_view path, std::initializer_list<std::string_view> words) {
  const std::string name = upper(file_of(path));
  for (size_t begin = 0; begin < name.size();) {
    const size_t end = std::min(name.find_first_of(".-_", begin), name.size());
    const std::string_view word = std::string_view(name).substr(begin, end - begin);
    if (std::find(words.begin(), words.end(), word) != words.end()) return true;
    begin = end + 1;
  }
  return false;
}

bool is_tower(std::string_view path) { return is_gguf(path) && has_word(path, {"MMPROJ"}); }
bool is_drafter(std::string_view path) { return is_gguf(path) && has_word(path, {"MTP", "ASSISTANT", "DRAFT", "DRAFTER"}); }
bool is_matrix(std::string_view path) { return has_word(path, {"IMATRIX"}); }

bool digit(char c) { return c >= '0' && c <= '9'; }
bool separator(char c) { return c == '.' || c == '-' || c == '/'; }

// Length of the label at the start of `text` (in capitals), 0 if there is none: BF16, F16, F32, NVFP4, MXFP4..., [I]Q4_K_M, TQ1_0.
size_t label_length(std::string_view text) {
  size_t n = 0;
  for (const std::string_view fixed : {"BF16", "FP16", "FP32", "F16", "F32", "NVFP4", "MXFP4"}) {
    if (text.starts_with(fixed)) n = fixed.size();
  }
  if (n == 0) {
    const size_t letters = text.starts_with("IQ") || text.starts_with("TQ") ? 2 : text.starts_with("Q") ? 1 : 0;
    if (letters == 0 || text.size() <= letters || !digit(text[letters])) return 0;
    n = letters + 1;
  }
  while (n + 1 < text.size() && text[n] == '_' && std::isalnum(static_cast<unsigned char>(text[n + 1]))) {
    ++n;
    while (n < text.size() && std::isalnum(static_cast<unsigned char>(text[n]))) ++n;
  }
  return n == text.size() || separator(text[n]) ? n : 0;
}

// "...-00002-of-00003.gguf": the text before, the number, the count.
struct PartName {
  std::string stem;
  int number = 0, count = 0;
};
std::optional<PartName> part_name(std::string_view path) {
  constexpr size_t kTail = sizeof("-00001-of-00003.gguf") - 1;
  if (path.size() <= kTail) return std::nullopt;
  const std::string_view tail = path.substr(path.size() - kTail);
  PartName part{std::string(path.substr(0, path.size() - kTail)), 0, 0};
  for (size_t i = 0; i < 5; ++i) {
    if (!digit(tail[1 + i]) || !digit(tail[10 + i])) return std::nullopt;
    part.number = part.number * 10 + (tail[1 + i] - '0');
    part.count = part.count * 10 + (tail[10 + i] - '0');
  }
  if (tail[0] != '-' || tail.substr(6, 4) != "-of-" || part.number < 1 || part.number > part.count) return std::nullopt;
  return part;
}

// Files at the top that a folder model is read from, besides *.safetensors.
bool belongs_to_folder(std::string_view path) {
  static constexpr std::array<std::string_view, 13> kNames = {"config.json",
                                                              "generation_config.json",
                                                              "tokenizer.json",
                                                              "tokenizer.model",
                                                              "tokenizer_config.json",
                                                              "special_tokens_map.json",
                                                              "added_tokens.json",
                                                              "chat_template.jinja",
                                                              "chat_template.json",
                                                              "processor_config.json",
                                                              "preprocessor_config.json",
                                                              "video_preprocessor_config.json",
                                                              "model.safetensors.index.json"};
  if (path.find('/') != std::string_view::npos) return false;
  if (std::find(kNames.begin(), kNames.end(), path) != kNames.end()) return true;
  return path.ends_with(".safetensors") && !path.starts_with("consolidated") && !path.starts_with("adapter_");
}

// Every "model-00001-of-00003.safetensors" needs its siblings. What an index says is for the one who reads it.
bool folder_is_whole(std::span<const std::string> paths) {
  std::map<std::string, std::pair<int, int>> sets;  // stem -> found, wanted
  for (const std::string& path : paths) {
    if (path.find('/') != std::string::npos || !path.ends_with(".safetensors")) continue;
    if (const auto part = part_name(path.substr(0, path.size() - 12) + ".gguf")) {
      auto& [found, wanted] = sets[part->stem];
      ++found;
      wanted = part->count;
    }
  }
  return std::all_of(sets.begin(), sets.end(), [](const auto& set) { return set.second.first == set.second.second; });
}

// The best of some files: in the model's folder rather than elsewhere, then by the order of `labels`, then by name. "" if there are none.
std::string best_of(std::span<const std::string> paths, bool (*is)(std::string_view), std::string_view folder, std::span<const std::string_view> labels) {
  std::string best;
  size_t best_rank = 0;
  for (const std::string& path : paths) {
    const bool near = folder_of(path) == folder;
    if (!is(path) || is_matrix(path) || (!near && !folder_of(path).empty())) continue;
    const auto at = std::find(labels.begin(), labels.end(), quant_label(path));
    const size_t rank = static_cast<size_t>(at - labels.begin()) + (near ? 0 : 100);
    if (best.empty() || rank < best_rank || (rank == best_rank && path < best)) {
      best = path;
      best_rank = rank;
    }
  }
  return best;
}

Selection gguf_selection(const GgufModel& model, std::span<const std::string> paths) {
  Selection selection{model.label, model.parts.front(), model.parts};
  const std::string_view folder = folder_of(selection.main);
  // Towers are small beside the model: their own type (bf16) first. A drafter is best in the model's quantisation.
  constexpr std::array<std::string_view, 5> kTowers = {"BF16", "F16", "Q8_0", "F32", ""};
  const std::array<std::string_view, 5> drafters = {model.label, "Q8_0", "BF16", "F16", ""};
  for (const std::string& companion : {best_of(paths, is_tower, folder, kTowers), best_of(paths, is_drafter, folder, drafters)}) {
    if (!companion.empty()) selection.files.push_back(companion);
  }
  return selection;
}

std::optional<Selection> folder_selection(std::span<const std::string> paths) {
  if (!has_folder_model(paths) || !folder_is_whole(paths)) return std::nullopt;
  Selection selection;
  std::copy_if(paths.begin(), paths.end(), std::back_inserter(selection.files), [](const std::string& path) { return belongs_to_folder(path); });
  return selection;
}

// Those with the label; with "UD-" or another prefix only if there is none with exactly this one.
std::vector<const GgufModel*> with_label(const std::vector<GgufModel>& models, const std::string& label) {
  std::vector<const GgufModel*> found;
  for (const bool exact : {true, false}) {
    for (const GgufModel& model : models) {
      if (exact ? model.label == label : model.label.ends_with("-" + label)) found.push_back(&model);
    }
    if (!found.empty()) break;
  }
  return found;
}

}  // namespace

std::string quant_label(std::string_view path) {
  const std::string text = upper(path.substr(0, is_gguf(path) ? path.size() - 5 : path.size()));
  for (size_t end = text.size(); end > 0;) {  // component by component, the file first
    const size_t slash = text.rfind('/', end - 1);
    const size_t begin = slash == std::string::npos ? 0 : slash + 1;
    std::string found;
    for (size_t i = begin; i < end; ++i) {
      if (i > begin && !separator(text[i - 1]) && text[i - 1] != '_') continue;
      const size_t n = label_length(std::string_view(text).substr(i, end - i));
      if (n == 0) continue;
      const bool dynamic = i >= begin + 3 && text.compare(i - 3, 3, "UD-") == 0;
      found = text.substr(dynamic ? i - 3 : i, dynamic ? n + 3 : n);
      i += n;
    }
    if (!found.empty()) return found;
    if (slash == std::string::npos) break;
    end = slash;
  }
  return "";
}

std::vector<GgufModel> gguf_models(std::span<const std::string> paths) {
  std::map<std::string, std::map<int, std::string>> split;  // "stem/count" -> number -> path
  std::map<std::string, GgufModel> models;                  // by the path of the first part
  for (const std::string& path : paths) {
    if (!is_gguf(path) || is_tower(path) || is_drafter(path) || is_matrix(path)) continue;
    if (const auto part = part_name(path)) {
      split[part->stem + "/" + std::to_string(part->count)][part->number] = path;
    } else {
      models[path] = {quant_label(path), {path}, true};
    }
  }
  for (const auto& [key, parts] : split) {
    GgufModel model;
    for (const auto& [number, path] : parts) model.parts.push_back(path);
    model.label = quant_label(model.parts.front());
    model.whole = parts.size() == static_cast<size_t>(std::stoi(key.substr(key.rfind('/') + 1)));
    models[model.parts.front()] = std::move(model);
  }
  std::vector<GgufModel> list;
  for (auto& [path, model] : models) list.push_back(std::move(model));
  return list;
}

bool has_folder_model(std::span<const std::string> paths) {
  const bool config = std::find(paths.begin(), paths.end(), "config.json") != paths.end();
  return config && std::any_of(paths.begin(), paths.end(), [](const std::string& path) { return path.ends_with(".safetensors") && belongs_to_folder(path); });
}

std::optional<Selection> find_selection(const Source& source, std::span<const std::string> paths) {
  if (source.want == Want::folder) return folder_selection(paths);
  const std::vector<GgufModel> models = gguf_models(paths);
  if (source.want == Want::file) {
    for (const GgufModel& model : models) {
      if (model.whole && model.parts.front() == source.quant) return gguf_selection(model, paths);
    }
    return std::nullopt;
  }
  const auto found = with_label(models, source.want == Want::any && source.quant.empty() ? std::string(kDefaultQuant) : source.quant);
  if (found.size() == 1 && found.front()->whole) return gguf_selection(*found.front(), paths);
  if (source.want != Want::any || !found.empty()) return std::nullopt;
  if (models.size() == 1 && models.front().whole) return gguf_selection(models.front(), paths);
  return models.empty() ? folder_selection(paths) : std::nullopt;
}

Selection select(const Source& source, std::span<const std::string> paths) {
  if (auto selection = find_selection(source, paths)) return std::move(*selection);
  const std::vector<GgufModel> models = gguf_models(paths);
  const std::string label = source.quant.empty() ? std::string(kDefaultQuant) : source.quant;
  const auto twins = with_label(models, label);
  std::map<std::string, int> with_this_label;
  for (const GgufModel& model : models) ++with_this_label[model.label];
  std::set<std::string> choices;
  for (const GgufModel& model : models) {
    if (!model.whole) continue;
    const bool unique = !model.label.empty() && with_this_label[model.label] == 1;
    choices.insert("hf:" + source.repo + ":" + (unique ? model.label : model.parts.front()));
  }
  if (has_folder_model(paths)) choices.insert("hf:" + source.repo + ":safetensors");
  std::string list;
  size_t shown = 0;
  for (const std::string& choice : choices) {
    if (++shown > 40) break;
    list += (list.empty() ? "" : ", ") + choice;
  }
  const std::string what = source.want == Want::folder ? "a folder with config.json and *.safetensors" : twins.size() > 1 ? "exactly one " + label : label;
  if (choices.empty())
    fail(ErrorCode::not_found, "{} is not in {}@{}, and no other model either, choose another repository", what, source.repo, source.revision);
  fail(ErrorCode::not_found, "{} is not in {}@{}, there are: {}", what, source.repo, source.revision, list);
}

std::vector<Selection> all_selections(std::span<const std::string> paths) {
  std::vector<std::string> companions;  // few, where models may be many
  std::copy_if(paths.begin(), paths.end(), std::back_inserter(companions), [](const std::string& path) { return is_tower(path) || is_drafter(path); });
  std::vector<Selection> all;
  for (const GgufModel& model : gguf_models(paths)) {
    if (model.whole) all.push_back(gguf_selection(model, companions));
  }
  if (auto folder = folder_selection(paths)) all.push_back(std::move(*folder));
  return all;
}

}  // namespace carat::hub
