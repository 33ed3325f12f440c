#pragma once
// What a repository holds, as the hub lists it.
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "hub/http.h"
#include "hub/names.h"

namespace carat::hub {

struct RepoFile {
  std::string path;  // checked: relative, without "..", control characters or empty parts
  uint64_t size = 0;
  std::string etag;  // the digest that the hub states (digest.h): it names the blob, and the contents are held against it
};

struct RepoListing {
  std::string commit;
  std::vector<RepoFile> files;  // at most 100,000
  std::string unreachable;      // not empty: the hub cannot be reached; what to say then, and nothing else is set
};

// A path that may become one below a snapshot's folder.
bool is_safe_path(std::string_view path);

// Adds the files of one answer of /api/models/REPO/tree/COMMIT. Fails with corrupt (not such an answer, a path or digest that cannot be one).
void add_tree_page(std::string_view json, std::string_view where, std::vector<RepoFile>& files);

// Asks for the commit of source.revision, then for its files, page by page, all at the endpoint. `going_on` is called while waiting; false ends with cancelled.
// A network that does not work is an outcome, not an error: what is here may do. Fails with not_found, io (explained), corrupt, cancelled.
RepoListing fetch_listing(HttpClient& http, const Source& source, const std::function<bool()>& going_on);

}  // namespace carat::hub
