#pragma once
// A model of the hub into the local store.
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "hub/names.h"
#include "hub/settings.h"
#include "hub/store.h"

namespace carat::hub {

struct PullPlan {
  std::string repo, commit;
  uint64_t files = 0, bytes = 0;  // the model's
  uint64_t missing = 0;           // bytes of those that are not here yet
};

struct PullProgress {
  std::string file;              // the one under way
  uint64_t have = 0, bytes = 0;  // of all files
  bool checking = false;         // its bytes are held against the digest: `have` and `bytes` are that file's then
};

struct PullOptions {
  int connections = 4;                                // for one file, 1 to 16
  std::function<bool(const PullPlan&)> confirm;       // before the first byte, if any is missing; false: cancelled. None: go on
  std::function<void(const PullProgress&)> progress;  // often
  std::function<void(const std::string&)> note;       // a line worth showing
  std::function<bool()> going_on;                     // false: stop, in a state that can be resumed
};

struct PullResult {
  StoredModel model;
  uint64_t downloaded = 0;  // bytes
  bool asked = true;        // false: the hub was not asked (HF_HUB_OFFLINE, or it could not be reached) and the model was here
};

// Asks the hub what the revision is now, gets what is missing of the model, and puts it in place: contents first, then the links, the model's own last, then the
// revision's ref; so what can be found is whole. Pulls of the same file by other programs are waited for.
// Fails with not_found, io, corrupt, exhausted, cancelled, unsupported (no libcurl), invalid_argument.
PullResult pull(const Settings& settings, const Source& source, const PullOptions& options);

}  // namespace carat::hub
