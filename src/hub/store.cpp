#include "hub/store.h"

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "hub/digest.h"
#include "hub/range_set.h"

namespace carat::hub {
namespace {

namespace fs = std::filesystem;

// Every file that the index of a folder names is there.
bool index_is_satisfied(const fs::path& snapshot, const std::vector<std::string>& files) {
  const std::string_view index = "model.safetensors.index.json";
  if (!std::binary_search(files.begin(), files.end(), index)) return true;
  try {
    const Json json = parse_json(read_text_file(snapshot / index, size_t{32} << 20), index);
    const auto map = json.is_object() ? json.find("weight_map") : json.end();
    if (map == json.end() || !map->is_object()) return false;
    return std::all_of(map->begin(), map->end(), [&files](const Json& file) {
      return file.is_string() && std::binary_search(files.begin(), files.end(), file.get_ref<const std::string&>());
    });
  } catch (const Error&) {
    return false;
  }
}

StoredModel stored(const Layout& layout, const std::string& repo, const std::string& commit, const Selection& selection) {
  StoredModel model{repo, commit, refs_to(layout, repo, commit), selection.label, layout.snapshot(repo, commit), {}};
  const fs::path snapshot = model.path;
  if (!selection.main.empty()) model.path /= selection.main;
  for (const std::string& path : selection.files) {
    std::error_code error;
    StoredFile file{path, 0, snapshot / path};
    file.size = fs::file_size(file.blob, error);
    if (error) file.size = 0;
    if (fs::is_symlink(file.blob, error)) {
      const fs::path target = fs::read_symlink(file.blob, error);
      file.blob = (file.blob.parent_path() / target).lexically_normal();
    }
    model.files.push_back(std::move(file));
  }
  return model;
}

std::vector<UnfinishedBlob> unfinished(const Layout& layout, const std::string& repo) {
  std::vector<UnfinishedBlob> found;
  std::error_code error;
  for (fs::directory_iterator it(layout.blobs(repo), error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (!name.ends_with(kIncomplete)) continue;
    UnfinishedBlob blob{repo, name.substr(0, name.size() - kIncomplete.size()), 0, 0};
    std::error_code none;
    if (!is_etag(blob.etag) || !it->is_regular_file(none)) continue;
    blob.size = it->file_size(none);
    try {
      blob.on_disk = read_journal(read_text_file(layout.blob(repo, blob.etag).string() + std::string(kJournal), size_t{4} << 20), blob.size).total();
    } catch (const Error&) {
      blob.on_disk = 0;  // no journal yet
    }
    found.push_back(std::move(blob));
  }
  return found;
}

}  // namespace

uint64_t StoredModel::size() const {
  std::set<fs::path> seen;
  uint64_t sum = 0;
  for (const StoredFile& file : files) {
    if (seen.insert(file.blob).second) sum += file.size;
  }
  return sum;
}

std::string display_name(const NameTable& names, const StoredModel& model) {
  const bool folder = fs::path(model.path).filename() == model.commit;
  std::string name;
  if (folder || !model.label.empty()) name = names.name_of(model.repo, model.label);
  if (name.empty()) {
    name = "hf:" + model.repo + ":";
    name += folder ? "safetensors" : !model.label.empty() ? model.label : model.files.front().path;
  }
  const bool current = std::find(model.refs.begin(), model.refs.end(), "main") != model.refs.end();
  if (current) return name;
  const auto ref = std::find_if(model.refs.begin(), model.refs.end(), is_revision);  // files of other names may lie there
  return name + "@" + (ref == model.refs.end() ? model.commit : *ref);
}

std::optional<StoredModel> find_stored(const Layout& layout, const Source& source) {
  const auto wanted = read_ref(layout, source.repo, source.revision);
  if (!wanted && source.revision != "main") return std::nullopt;
  for (const std::string& commit : cached_commits(layout, source.repo, source.revision)) {
    if (source.revision != "main" && commit != wanted) continue;
    const fs::path snapshot = layout.snapshot(source.repo, commit);
    const std::vector<std::string> files = snapshot_files(snapshot);
    const auto selection = find_selection(source, files);
    if (selection && (!selection->main.empty() || index_is_satisfied(snapshot, files))) return stored(layout, source.repo, commit, *selection);
  }
  return std::nullopt;
}

StoreContents read_store(const Layout& layout) {
  StoreContents contents;
  for (const std::string& repo : cached_repos(layout)) {
    for (const std::string& commit : cached_commits(layout, repo, "main")) {
      const fs::path snapshot = layout.snapshot(repo, commit);
      const std::vector<std::string> files = snapshot_files(snapshot);
      for (const Selection& selection : all_selections(files)) {
        if (selection.main.empty() && !index_is_satisfied(snapshot, files)) continue;
        contents.models.push_back(stored(layout, repo, commit, selection));
      }
    }
    for (UnfinishedBlob& blob : unfinished(layout, repo)) contents.unfinished.push_back(std::move(blob));
  }
  return contents;
}

}  // namespace carat::hub
