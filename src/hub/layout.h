#pragma once
// Where the Hugging Face cache keeps what (the layout that huggingface_hub reads and writes):
//   models--OWNER--REPO/blobs/ETAG                    contents, named by their digest
//   models--OWNER--REPO/snapshots/COMMIT/path/file    links to them
//   models--OWNER--REPO/refs/REVISION                 the commit a branch or tag was at
//   .locks/models--OWNER--REPO/ETAG.lock              held while a blob is written
// What is not finished is in blobs/ too, under names of Carat's own: ETAG.carat.incomplete and ETAG.carat.journal. (Older versions of huggingface_hub would
// take ETAG.incomplete for the beginning of a file, and go on at its end.)
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace carat::hub {

struct Layout {
  std::filesystem::path root;  // the cache

  std::filesystem::path repo(std::string_view repo_id) const;
  std::filesystem::path blobs(std::string_view repo_id) const { return repo(repo_id) / "blobs"; }
  std::filesystem::path blob(std::string_view repo_id, std::string_view etag) const { return blobs(repo_id) / etag; }
  std::filesystem::path snapshots(std::string_view repo_id) const { return repo(repo_id) / "snapshots"; }
  std::filesystem::path snapshot(std::string_view repo_id, std::string_view commit) const { return snapshots(repo_id) / commit; }
  std::filesystem::path refs(std::string_view repo_id) const { return repo(repo_id) / "refs"; }
  std::filesystem::path lock(std::string_view repo_id, std::string_view etag) const;
};

inline constexpr std::string_view kIncomplete = ".carat.incomplete", kJournal = ".carat.journal";

// The repositories of models that are in the cache, sorted; what does not look like one is passed over.
std::vector<std::string> cached_repos(const Layout& layout);
// The commits that have a snapshot: the one `revision` points to (or is) first, then the others, newest first.
std::vector<std::string> cached_commits(const Layout& layout, std::string_view repo, std::string_view revision);
// The commit that a revision points to here; a commit stands for itself.
std::optional<std::string> read_ref(const Layout& layout, std::string_view repo, std::string_view revision);
// All revisions that point to a commit, sorted.
std::vector<std::string> refs_to(const Layout& layout, std::string_view repo, std::string_view commit);
// Does nothing if it says so already or the revision is a commit. Fails with io.
void write_ref(const Layout& layout, std::string_view repo, std::string_view revision, std::string_view commit);
// Paths of the files of a snapshot whose contents are here, relative, sorted; at most 100,000, at most 8 folders deep.
std::vector<std::string> snapshot_files(const std::filesystem::path& snapshot);
// Makes snapshot/path a relative link to the blob, in one step; a link that is there is replaced. Fails with io.
void link_blob(const Layout& layout, std::string_view repo, std::string_view commit, std::string_view path, std::string_view etag);

}  // namespace carat::hub
