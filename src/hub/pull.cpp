#include "hub/pull.h"

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <csignal>
#include <map>

#include "base/error.h"
#include "hub/download.h"
#include "hub/file_lock.h"
#include "hub/listing.h"
#include "hub/partial_file.h"
#include "hub/url_escape.h"

namespace carat::hub {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kSpare = uint64_t{16} << 20;  // left free beside the download

bool is_here(const fs::path& blob, uint64_t size) {
  std::error_code error;
  return fs::is_regular_file(blob, error) && fs::file_size(blob, error) == size && !error;
}

// Bytes that an unfinished download has taken of the disk already.
uint64_t reserved(const fs::path& blob) {
  struct stat status{};
  return ::stat((blob.string() + std::string(kIncomplete)).c_str(), &status) == 0 ? static_cast<uint64_t>(status.st_blocks) * 512 : 0;
}

class Pull {
 public:
  Pull(const Settings& settings, const Source& source, const PullOptions& options)
      : source_(source), options_(options), layout_{settings.cache}, http_(settings.endpoint, read_token(settings), settings.timeout) {}

  PullResult run() {
    const RepoListing listing = fetch_listing(http_, source_, options_.going_on);
    if (!listing.unreachable.empty()) {
      auto here = find_stored(layout_, source_);
      if (!here) fail(ErrorCode::io, "{}", listing.unreachable);
      if (options_.note) options_.note(source_.name + " is here already; whether there is a newer one could not be asked");
      return {std::move(*here), 0, false};
    }
    commit_ = listing.commit;
    choose(listing);
    const PullPlan plan{source_.repo, commit_, files_.size(), total_, missing()};
    if (plan.missing > 0 && options_.confirm && !options_.confirm(plan)) fail(ErrorCode::cancelled, "not pulled, {}, as you wished", source_.name);
    make_room();
    PullResult result;
    for (const RepoFile& file : files_) {
      if (get(file)) result.downloaded += file.size;
      finished_ += file.size;
    }
    for (const RepoFile& file : files_) link_blob(layout_, source_.repo, commit_, file.path, file.etag);
    write_ref(layout_, source_.repo, source_.revision, commit_);
    Source exact = source_;
    exact.revision = commit_;
    auto model = find_stored(layout_, exact);
    if (!model)
      fail(ErrorCode::corrupt, "{} was pulled but is not whole, in {}: the repository lacks files its index names", source_.name, layout_.root.string());
    result.model = std::move(*model);
    return result;
  }

 private:
  // The files of the model, the one to open last: what can be found has everything else.
  void choose(const RepoListing& listing) {
    std::map<std::string, RepoFile> by_path;
    std::vector<std::string> paths;
    for (const RepoFile& file : listing.files) {
      if (by_path.emplace(file.path, file).second) paths.push_back(file.path);
    }
    std::sort(paths.begin(), paths.end());
    const Selection selection = select(source_, paths);
    for (const std::string& path : selection.files) files_.push_back(by_path.at(path));
    const std::string last = selection.main.empty() ? "config.json" : selection.main;
    std::stable_sort(files_.begin(), files_.end(),
                     [&last](const RepoFile& a, const RepoFile& b) { return std::pair(a.path == last, a.size) < std::pair(b.path == last, b.size); });
    for (const RepoFile& file : files_) total_ += file.size;
  }

  fs::path blob(const RepoFile& file) const { return layout_.blob(source_.repo, file.etag); }

  uint64_t missing() const {
    uint64_t bytes = 0;
    for (const RepoFile& file : files_) bytes += is_here(blob(file), file.size) ? 0 : file.size;
    return bytes;
  }

  void make_room() const {
    const fs::path folder = layout_.blobs(source_.repo);
    std::error_code error;
    fs::create_directories(folder, error);
    if (error) fail(ErrorCode::io, "a folder of the store cannot be made, {}: {}, check its permissions or set HF_HOME", folder.string(), error.message());
    uint64_t wanted = 0;
    for (const RepoFile& file : files_) {
      if (!is_here(blob(file), file.size)) wanted += file.size - std::min(file.size, reserved(blob(file)));
    }
    struct statvfs status{};
    if (wanted == 0 || ::statvfs(folder.c_str(), &status) != 0) return;
    const uint64_t free = static_cast<uint64_t>(status.f_bavail) * status.f_frsize;
    if (free < wanted + kSpare) {
      fail(ErrorCode::exhausted, "there is no space for {}, in {}: {} more bytes are needed and {} are free, free some or set HF_HOME to another disk",
           source_.name, layout_.root.string(), wanted + kSpare, free);
    }
  }

  void tell(const RepoFile& file, uint64_t have, bool checking) const {
    if (!options_.progress) return;
    options_.progress({file.path, checking ? have : finished_ + have, checking ? file.size : total_, checking});
  }

  // false: it was here.
  bool get(const RepoFile& file) {
    const fs::path target = blob(file);
    if (is_here(target, file.size)) {
      PartialFile::discard(target);  // a journal may be left of the moment before it got its name
      return false;
    }
    bool told = false;
    const FileLock lock(layout_.lock(source_.repo, file.etag), [&] {
      if (!told && options_.note) options_.note(file.path + ": another program is pulling this file, waiting for it");
      told = true;
      return options_.going_on();
    });
    if (is_here(target, file.size)) return false;
    const DownloadEvents events{
        .have = [&](uint64_t have) { tell(file, have, false); },
        .checked = [&](uint64_t checked) { tell(file, checked, true); },
        .note = options_.note,
        .going_on = options_.going_on,
    };
    const std::string url = fmt::format("{}/{}/resolve/{}/{}", http_.endpoint(), url_escape(source_.repo, true), commit_, url_escape(file.path, true));
    download_blob(http_, {url, source_.repo, file.path, file.etag, file.size}, target, options_.connections, events);
    return true;
  }

  const Source& source_;
  const PullOptions& options_;
  Layout layout_;
  HttpClient http_;
  std::string commit_;
  std::vector<RepoFile> files_;
  uint64_t total_ = 0, finished_ = 0;
};

}  // namespace

PullResult pull(const Settings& settings, const Source& source, const PullOptions& options) {
  std::signal(SIGXFSZ, SIG_IGN);  // a limit on the size of files is an error like any other
  if (!settings.offline) return Pull(settings, source, options).run();
  auto here = find_stored(Layout{settings.cache}, source);
  if (!here)
    fail(ErrorCode::not_found, "{} is not here and HF_HUB_OFFLINE forbids to ask for it, in {}, unset it to pull", source.name, settings.cache.string());
  return {std::move(*here), 0, false};
}

}  // namespace carat::hub
