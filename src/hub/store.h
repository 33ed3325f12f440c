#pragma once
// The local store: which models are here, where, and taking one away. Nothing here asks the network.
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "hub/layout.h"
#include "hub/names.h"
#include "hub/selection.h"

namespace carat::hub {

struct StoredFile {
  std::string path;            // in the repository
  uint64_t size = 0;           // bytes
  std::filesystem::path blob;  // where the link leads, one step; the file itself where the store has no links
};

struct StoredModel {
  std::string repo, commit;
  std::vector<std::string> refs;  // revisions that point to the commit
  std::string label;              // of the GGUF model; "": a folder, or a file without one
  std::filesystem::path path;     // what to open: the file (first part) or the folder
  std::vector<StoredFile> files;
  uint64_t size() const;  // bytes of its files, each blob once
};

// How a user would write it: a name of the table, else hf:...; with @COMMIT if no revision "main" points to it.
std::string display_name(const NameTable& names, const StoredModel& model);

// What a source names, if it is here and whole (every part; every file that the index of a folder names). The revision's snapshot first; for "main" any other
// that has it, newest first.
std::optional<StoredModel> find_stored(const Layout& layout, const Source& source);

// Downloads that have begun and not ended.
struct UnfinishedBlob {
  std::string repo, etag;
  uint64_t on_disk = 0, size = 0;  // bytes; those that the journal claims
};

struct StoreContents {
  std::vector<StoredModel> models;  // by repository, then commit, then path
  std::vector<UnfinishedBlob> unfinished;
};
StoreContents read_store(const Layout& layout);

}  // namespace carat::hub
