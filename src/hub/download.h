#pragma once
// One file of the hub into the store's blobs: by several connections, resumed, held against its digest before it gets its name.
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "hub/http.h"

namespace carat::hub {

struct BlobSource {
  std::string url;   // at the endpoint
  std::string repo;  // for messages
  std::string path;  // in the repository, for messages
  std::string etag;
  uint64_t size = 0;
};

// What a download tells while it goes on. All are called by the thread that called download_blob.
struct DownloadEvents {
  std::function<void(uint64_t have)> have;        // bytes of this file that are here; may become fewer when it has to begin anew
  std::function<void(uint64_t checked)> checked;  // bytes held against the digest so far
  std::function<void(const std::string&)> note;   // a line worth showing: another try, the bytes were wrong
  std::function<bool()> going_on;                 // false: stop, in a state that can be resumed
};

// `blob` is where it goes (its folder exists, the caller holds its lock). connections: 1 to 16.
// Fails with io (network, explained), corrupt (wrong bytes twice), exhausted (disk), not_found, cancelled.
void download_blob(HttpClient& http, const BlobSource& source, const std::filesystem::path& blob, int connections, const DownloadEvents& events);

}  // namespace carat::hub
