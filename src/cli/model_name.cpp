#include "cli/model_name.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <vector>

#include "base/error.h"
#include "cli/console.h"
#include "cli/pull.h"
#include "hub/store.h"

namespace carat::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kDefaultFile = "gemma-3-270m-q4_k_m.gguf";

std::vector<fs::path> model_folders() {
  std::vector<fs::path> folders{hub::settings_from_environment().carat_home / "models"};
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  if (!error) folders.push_back(program.parent_path().parent_path() / "models");
  return folders;
}

// gemma3:270m is the pre-trained model in Q4_K_M: there is no other of that size behind a name that is built in.
bool is_gemma3_270m(std::string name) {
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  constexpr std::string_view stem = "gemma3:270m";
  if (!name.starts_with(stem)) return false;
  const std::string rest = name.substr(stem.size());
  return rest.empty() || rest == "-pt" || rest == "-q4_k_m" || rest == "-pt-q4_k_m";
}

// No name of 270m is built in: one that the table has is the user's, and goes before what is here.
bool users_own(const std::string& name) { return hub::NameTable::load(hub::settings_from_environment().carat_home).lookup(name).has_value(); }

fs::path pulled(const hub::Settings& settings, const hub::Source& source, bool yes) {
  const char* variable = std::getenv("CARAT_YES");
  yes = yes || (variable != nullptr && hub::is_true(variable));
  if (settings.offline) {
    fail(ErrorCode::not_found, "{} is not here and HF_HUB_OFFLINE forbids to pull it, in {}, unset it or give a path", source.name, settings.cache.string());
  }
  if (!yes && !can_ask()) {
    fail(ErrorCode::not_found, "{} is not here, in {}, pull it with: carat pull {} (or give --yes, or CARAT_YES=1, or the path of a file)", source.name,
         settings.cache.string(), source.name);
  }
  return pull_shown(settings, source, {.ask = !yes}).model.path;
}

}  // namespace

void add_resolve_options(CLI::App& app, ResolveOptions& options) { app.add_flag("--yes", options.yes, "pull the model without asking when it is not here"); }

hub::Source find_source(const hub::Settings& settings, const std::string& name) {
  if (hub::is_hf_name(name)) return hub::parse_hf(name, "MODEL");
  return hub::NameTable::load(settings.carat_home).find(name);
}

fs::path default_model(const std::string& name) {
  if (!is_gemma3_270m(name) || users_own(name)) return {};
  std::error_code error;
  for (const fs::path& folder : model_folders()) {
    if (fs::exists(folder / kDefaultFile, error)) return folder / kDefaultFile;
  }
  return {};
}

fs::path resolve_model(const std::string& model, const ResolveOptions& options) {
  std::error_code error;
  if (model.empty()) fail(ErrorCode::invalid_argument, "the model has no name, MODEL, give a path or gemma3:270m");
  if (fs::exists(model, error)) return model;
  if (!hub::looks_like_a_name(model)) {
    fail(ErrorCode::not_found, "there is no such model, {}, give a .gguf file, a folder with config.json and *.safetensors, or a name such as gemma3:270m",
         model);
  }
  if (is_gemma3_270m(model) && !users_own(model)) {
    if (fs::path file = default_model(model); !file.empty()) return file;
    const auto folders = model_folders();
    fail(ErrorCode::not_found, "gemma3:270m is not here, neither in {} nor in {}, run ./dev model in the source tree or give a path", folders.front().string(),
         folders.back().string());
  }
  const hub::Settings settings = hub::settings_from_environment();
  const hub::Source source = find_source(settings, model);
  if (!source.path.empty()) {
    if (fs::exists(source.path, error)) return source.path;
    fail(ErrorCode::not_found, "{} stands for a file that is not there, {}, correct {}", model, source.path.string(),
         (settings.carat_home / "names.json").string());
  }
  if (const auto stored = hub::find_stored(hub::Layout{settings.cache}, source)) return stored->path;
  return pulled(settings, source, options.yes);
}

}  // namespace carat::cli
