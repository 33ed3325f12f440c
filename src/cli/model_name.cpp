#include "cli/model_name.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <vector>

#include "base/error.h"
#include "cli/console.h"

namespace carat::cli {
namespace {

namespace fs = std::filesystem;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

fs::path carat_home() {
  if (const std::string home = environment("CARAT_HOME"); !home.empty()) return home;
  if (const std::string data = environment("XDG_DATA_HOME"); !data.empty()) return fs::path(data) / "carat";
  return fs::path(environment("HOME")) / ".local/share/carat";
}

std::vector<fs::path> model_folders() {
  std::vector<fs::path> folders{carat_home() / "models"};
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  if (!error) folders.push_back(program.parent_path().parent_path() / "models");
  return folders;
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

// gemma3:270m is the pre-trained model in Q4_K_M: there is no other of that size behind a name yet.
bool is_gemma3_270m(std::string name) {
  name = lower(std::move(name));
  constexpr std::string_view stem = "gemma3:270m";
  if (!name.starts_with(stem)) return false;
  const std::string rest = name.substr(stem.size());
  return rest.empty() || rest == "-pt" || rest == "-q4_k_m" || rest == "-pt-q4_k_m";
}

bool looks_like_a_name(const std::string& model) {
  const std::string name = lower(model);
  return name.starts_with("hf:") || ((name.starts_with("gemma3:") || name.starts_with("gemma4:")) && name.find('/') == std::string::npos);
}

}  // namespace

fs::path resolve_model(const std::string& model) {
  std::error_code error;
  if (model.empty()) fail(ErrorCode::invalid_argument, "the model has no name, MODEL, give a path or gemma3:270m");
  if (fs::exists(model, error)) return model;
  if (is_gemma3_270m(model)) {
    const auto folders = model_folders();
    for (const fs::path& folder : folders) {
      const fs::path file = folder / "gemma-3-270m-q4_k_m.gguf";
      if (fs::exists(file, error)) return file;
    }
    fail(ErrorCode::not_found, "gemma3:270m is not here, neither in {} nor in {}, run ./dev model in the source tree or give a path",
         terminal_safe(folders.front().string()), terminal_safe(folders.back().string()));
  }
  if (looks_like_a_name(model)) {
    fail(ErrorCode::unsupported, "models cannot be pulled by name yet, {}, download it and give the path of its .gguf file or folder", terminal_safe(model));
  }
  fail(ErrorCode::not_found, "there is no such model, {}, give a .gguf file, a folder with config.json and *.safetensors, or gemma3:270m",
       terminal_safe(model));
}

}  // namespace carat::cli
