// carat list: which models are here.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "base/json.h"
#include "cli/command.h"
#include "cli/console.h"
#include "cli/model_name.h"
#include "cli/terminal/progress.h"
#include "hub/settings.h"
#include "hub/store.h"

namespace carat::cli {
namespace {

namespace fs = std::filesystem;

using Row = std::array<std::string, 4>;

// Names that stand for files outside of the store: gemma3:270m, and those of names.json.
std::vector<hub::Source> local_models(const hub::NameTable& names) {
  std::vector<hub::Source> list = names.local();
  hub::Source own;
  own.name = "gemma3:270m";
  own.path = default_model(own.name);
  if (!own.path.empty()) list.insert(list.begin(), own);
  std::error_code error;
  std::erase_if(list, [&error](const hub::Source& source) { return !fs::is_regular_file(source.path, error) && !fs::is_directory(source.path, error); });
  return list;
}

uint64_t bytes_of(const fs::path& path) {
  std::error_code error;
  const auto size = [&error](const fs::path& file) {
    const uint64_t bytes = fs::file_size(file, error);
    return error ? 0 : bytes;  // it went away meanwhile
  };
  if (!fs::is_directory(path, error)) return size(path);
  uint64_t sum = 0;
  for (const std::string& file : hub::snapshot_files(path)) sum += size(path / file);
  return sum;
}

Json json_of(const hub::NameTable& names, const hub::StoredModel& model) {
  Json files = Json::array();
  for (const hub::StoredFile& file : model.files) files.push_back({{"path", file.path}, {"bytes", file.size}});
  return {{"name", hub::display_name(names, model)},
          {"repo", model.repo},
          {"commit", model.commit},
          {"revisions", model.refs},
          {"path", model.path.string()},
          {"bytes", model.size()},
          {"files", files}};
}

void print_table(const std::vector<Row>& rows) {
  std::array<size_t, 4> widths{};
  for (const Row& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  for (const Row& row : rows) print(fmt::format("{:<{}}  {:>{}}  {:<{}}  {}\n", row[0], widths[0], row[1], widths[1], row[2], widths[2], row[3]));
}

int run(bool json) {
  const hub::Settings settings = hub::settings_from_environment();
  const hub::NameTable names = hub::NameTable::load(settings.carat_home);
  const hub::StoreContents contents = hub::read_store(hub::Layout{settings.cache});
  const std::vector<hub::Source> local = local_models(names);
  if (json) {
    Json models = Json::array(), unfinished = Json::array();
    for (const hub::Source& source : local) models.push_back({{"name", source.name}, {"path", source.path.string()}, {"bytes", bytes_of(source.path)}});
    for (const hub::StoredModel& model : contents.models) models.push_back(json_of(names, model));
    for (const hub::UnfinishedBlob& blob : contents.unfinished) {
      unfinished.push_back({{"repo", blob.repo}, {"digest", blob.etag}, {"bytes_here", blob.on_disk}, {"bytes", blob.size}});
    }
    print_json({{"store", settings.cache.string()}, {"models", models}, {"unfinished", unfinished}});
    return 0;
  }
  const auto size = [](uint64_t bytes) { return readable_bytes(static_cast<double>(bytes)); };
  std::vector<Row> rows;
  for (const hub::Source& source : local) rows.push_back({terminal_safe(source.name), size(bytes_of(source.path)), "", terminal_safe(source.path.string())});
  for (const hub::StoredModel& model : contents.models) {
    rows.push_back({terminal_safe(hub::display_name(names, model)), size(model.size()), model.commit.substr(0, 7), model.repo});
  }
  for (const hub::UnfinishedBlob& blob : contents.unfinished) {
    rows.push_back({"(unfinished)", size(blob.size),
                    fmt::format("{:.0f} %", 100.0 * static_cast<double>(blob.on_disk) / static_cast<double>(std::max<uint64_t>(blob.size, 1))), blob.repo});
  }
  if (rows.empty()) {
    fmt::print(stderr, "carat: no models are here yet; carat pull gemma4:e2b gets one\n");
    return 0;
  }
  rows.insert(rows.begin(), {"NAME", "SIZE", "COMMIT", "FROM"});
  print_table(rows);
  return 0;
}

Action setup(CLI::App& app) {
  const auto json = std::make_shared<bool>(false);
  app.add_flag("--json", *json, "one JSON document");
  return [json] { return run(*json); };
}

}  // namespace

const Command kListCommand = {
    "list", "the models that are here",
    "Examples:\n"
    "  carat list\n"
    "  carat list --json | jq '.models[].name'\n\n"
    "Shown is what the Hugging Face cache holds and Carat can use, whoever downloaded it, and the names that stand for files of this\n"
    "machine. Several quantisations of a repository share its towers: their sizes do not add up.",
    setup};

}  // namespace carat::cli
