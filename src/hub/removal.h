#pragma once
// Taking a model out of the store. Contents that another snapshot or model uses stay.
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "hub/layout.h"
#include "hub/names.h"

namespace carat::hub {

struct Removal {
  std::string repo;
  std::vector<std::string> commits;          // snapshots that lose the model
  std::vector<std::filesystem::path> links;  // files of snapshots: they go first
  std::vector<std::filesystem::path> blobs;  // contents that nothing uses then
  uint64_t bytes = 0;                        // of those
};

// What is to go: the model in every snapshot, or only in that of source.revision when `one_revision`; with a snapshot's last model all of the snapshot; and what has
// been begun and not finished when nothing finished is there or is left. Fails with not_found when there is nothing of it here, invalid_argument when its snapshot
// is a link to a folder of somebody's.
Removal plan_removal(const Layout& layout, const Source& source, bool one_revision);

// Does it: links, then contents, then empty folders and refs that point nowhere. Gives the bytes that came free. Fails with io; exhausted when a pull of it is under way.
uint64_t remove(const Layout& layout, const Removal& removal);

}  // namespace carat::hub
