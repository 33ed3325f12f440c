#include "hub/removal.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/error.h"
#include "hub/digest.h"
#include "hub/file_lock.h"
#include "hub/partial_file.h"
#include "hub/selection.h"
#include "hub/shared_blobs.h"
#include "hub/store.h"

namespace carat::hub {
namespace {

namespace fs = std::filesystem;

// Files of a snapshot, broken links too: link -> where it leads (one step), or itself.
std::map<fs::path, fs::path> links_of(const fs::path& snapshot) {
  std::map<fs::path, fs::path> links;
  std::error_code error;
  for (fs::recursive_directory_iterator it(snapshot, error), end; !error && it != end; it.increment(error)) {
    std::error_code none;
    const fs::path link = it->path();
    if (it->is_symlink(none)) {
      links[link] = (link.parent_path() / fs::read_symlink(link, none)).lexically_normal();
    } else if (!it->is_directory(none)) {
      links[link] = link;
    }
  }
  return links;
}

// Which files of a snapshot go with a selection: those that no other model of it needs; all of them when no other model is left.
std::set<std::string> leaving(const Selection& selection, const std::vector<std::string>& files) {
  std::set<std::string> gone(selection.files.begin(), selection.files.end());
  bool others = false;
  for (const Selection& other : all_selections(files)) {
    if (other.main == selection.main) continue;
    others = true;
    for (const std::string& file : other.files) gone.erase(file);
  }
  return others ? gone : std::set<std::string>(files.begin(), files.end());
}

uint64_t bytes_of(const Layout& layout, const fs::path& blob) {
  if (const auto shared = shared_target(layout.root, blob)) return shared_bytes_freed(layout.root, *shared, blob);
  std::error_code error;
  const uint64_t bytes = fs::file_size(blob, error);
  return error ? 0 : bytes;
}

void remove_file(const fs::path& file) {
  std::error_code error;
  fs::remove(file, error);
  if (error) fail(ErrorCode::io, "a file of the store cannot be removed, {}: {}, check its permissions", file.string(), error.message());
}

void remove_empty_folders(fs::path folder, const fs::path& stop) {
  std::error_code error;
  for (; folder != stop && folder.string().size() > stop.string().size(); folder = folder.parent_path()) {
    if (!fs::is_empty(folder, error) || error || !fs::remove(folder, error)) return;
  }
}

}  // namespace

Removal plan_removal(const Layout& layout, const Source& source, bool one_revision) {
  Removal plan;
  plan.repo = source.repo;
  const auto wanted = read_ref(layout, source.repo, source.revision);
  std::map<fs::path, fs::path> staying;
  bool whole_repo = true;
  Source exact = source;
  for (const std::string& commit : cached_commits(layout, source.repo, source.revision)) {
    const fs::path snapshot = layout.snapshot(source.repo, commit);
    const std::vector<std::string> files = snapshot_files(snapshot);
    const auto selection = one_revision && commit != wanted ? std::nullopt : find_selection(exact, files);
    std::set<std::string> gone;
    if (selection) {
      // Its files are somebody's own: the store has only a link to their folder.
      std::error_code error;
      if (fs::is_symlink(snapshot, error)) {
        fail(ErrorCode::invalid_argument, "{} is in a folder outside of the store that {} is a link to, nothing was removed, remove the link yourself",
             source.name, snapshot.string());
      }
      // What the name means is what it means in the first snapshot: "the only one there" may be another one elsewhere.
      exact.want = selection->main.empty() ? Want::folder : Want::file;
      exact.quant = selection->main;
      gone = leaving(*selection, files);
      plan.commits.push_back(commit);
    }
    for (const auto& [link, blob] : links_of(snapshot)) {
      // With the whole snapshot go links that lead nowhere, too.
      const bool goes = gone.contains(link.lexically_relative(snapshot).generic_string()) || (gone.size() == files.size() && selection);
      if (goes) {
        plan.links.push_back(link);
      } else {
        staying[link] = blob;
      }
    }
    whole_repo = whole_repo && selection && gone.size() == files.size();
  }
  std::set<fs::path> used, unused;
  for (const auto& [link, blob] : staying) used.insert(blob);
  for (const fs::path& link : plan.links) {
    std::error_code error;
    const fs::path blob = fs::is_symlink(link, error) ? (link.parent_path() / fs::read_symlink(link, error)).lexically_normal() : link;
    // Only what is this repository's own: a link may lead anywhere.
    const bool own = blob == link || blob.parent_path() == layout.blobs(source.repo).lexically_normal();
    if (own && !used.contains(blob)) unused.insert(blob);
  }
  std::erase_if(plan.links, [&unused](const fs::path& link) { return unused.contains(link); });  // without links the file is its own contents
  plan.blobs.assign(unused.begin(), unused.end());
  for (const fs::path& blob : plan.blobs) plan.bytes += bytes_of(layout, blob);
  if (whole_repo) {
    std::error_code error;
    for (fs::directory_iterator it(layout.blobs(source.repo), error), end; !error && it != end; it.increment(error)) {
      const std::string name = it->path().filename().string();
      if (!name.ends_with(kIncomplete) || !is_etag(name.substr(0, name.size() - kIncomplete.size()))) continue;
      plan.blobs.push_back(it->path());
      plan.bytes += bytes_of(layout, it->path());
    }
  }
  if (plan.links.empty() && plan.blobs.empty()) {
    fail(ErrorCode::not_found, "{} is not here, in {}, see carat list", source.name, layout.root.string());
  }
  return plan;
}

uint64_t remove(const Layout& layout, const Removal& removal) {
  // Whoever is writing one of these contents now would find it gone.
  std::vector<FileLock> locks;
  for (const fs::path& blob : removal.blobs) {
    const std::string etag = blob.filename().string().substr(0, blob.filename().string().find('.'));
    if (!is_etag(etag)) continue;
    auto lock = FileLock::try_take(layout.lock(removal.repo, etag));
    if (!lock) fail(ErrorCode::exhausted, "{} is being pulled by another program, in {}, stop that or wait for it", removal.repo, layout.root.string());
    locks.push_back(std::move(*lock));
  }
  for (const fs::path& link : removal.links) remove_file(link);
  uint64_t bytes = 0;
  for (const fs::path& blob : removal.blobs) {
    const std::string name = blob.filename().string();
    if (name.ends_with(kIncomplete)) {
      bytes += bytes_of(layout, blob);
      PartialFile::discard(blob.string().substr(0, blob.string().size() - kIncomplete.size()));
      continue;
    }
    const auto shared = shared_target(layout.root, blob);
    if (!shared) bytes += bytes_of(layout, blob);
    remove_file(blob);
    if (shared) bytes += sweep_shared(layout.root, *shared);
  }
  std::error_code error;
  const fs::path repo = layout.repo(removal.repo), snapshots = layout.snapshots(removal.repo);
  for (const auto* files : {&removal.links, &removal.blobs}) {
    for (const fs::path& file : *files) {
      if (file.string().starts_with(snapshots.string() + "/")) remove_empty_folders(file.parent_path(), snapshots);
    }
  }
  for (const std::string& commit : removal.commits) {
    if (fs::exists(layout.snapshot(removal.repo, commit), error)) continue;
    for (const std::string& ref : refs_to(layout, removal.repo, commit)) {
      remove_file(layout.refs(removal.repo) / ref);
      remove_empty_folders((layout.refs(removal.repo) / ref).parent_path(), layout.refs(removal.repo));
    }
    fs::remove_all(repo / ".no_exist" / commit, error);
    fs::remove(repo / "trees" / (commit + ".json"), error);
  }
  // With the last snapshot goes the rest. What has been begun for it and is not in the plan is still being written: it stays.
  for (const char* folder : {"snapshots", "blobs", "refs", "trees", ".no_exist"}) {
    if (fs::is_empty(repo / folder, error) && !error) fs::remove(repo / folder, error);
  }
  if (fs::is_empty(repo, error) && !error) fs::remove(repo, error);
  return bytes;
}

}  // namespace carat::hub
