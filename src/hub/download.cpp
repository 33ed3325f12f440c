#include "hub/download.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "base/error.h"
#include "hub/content_range.h"
#include "hub/digest.h"
#include "hub/partial_file.h"
#include "hub/retry.h"

namespace carat::hub {
namespace {

constexpr uint64_t kSmallestPart = uint64_t{1} << 20, kLargestPart = uint64_t{32} << 20;
constexpr int kRetries = 5, kMaxComplaints = 2;
constexpr uint64_t kProgress = 16 << 10;  // bytes that make a failure forgotten: a server that gives a few each time does not hold us for ever

class Download;

// One connection: a range of the file at a time.
class Lane : public HttpHandler {
 public:
  explicit Lane(Download& download) : download_(download) {}
  bool on_head(const HttpHead& head) override;
  bool on_body(std::span<const std::byte> bytes) override;
  void on_end(HttpEnd end, const std::string& reason) override;

  bool busy = false;
  ByteRange range;        // still to come: begin moves on
  uint64_t promised = 0;  // where the answer's part ends: servers may give less than was asked for
  bool direct = false;    // asked where an earlier answer came from, not at the hub
  bool usable = false;    // the body is what was asked for
  bool plain = false;     // asked without a range
  std::string complaint;  // why the head is of no use
  HttpHead head;

 private:
  Download& download_;
};

class Download {
 public:
  Download(HttpClient& http, const BlobSource& source, PartialFile& file, int connections, const DownloadEvents& events)
      : http_(http), source_(source), file_(file), events_(events) {
    const auto parts = static_cast<uint64_t>(connections) * 4;
    part_ = std::clamp(source.size / parts, kSmallestPart, kLargestPart);
    for (int i = 0; i < connections; ++i) lanes_.push_back(std::make_unique<Lane>(*this));
  }
  ~Download() { http_.clear(); }  // before the lanes go
  Download(const Download&) = delete;
  Download& operator=(const Download&) = delete;

  void run() {
    while (!file_.complete()) {
      if (!events_.going_on()) {
        file_.flush();
        fail(ErrorCode::cancelled, "interrupted, {}, run the same command again to go on", source_.path);
      }
      if (!retry_.waiting()) start_lanes();
      http_.poll(std::chrono::milliseconds(100));
      file_.checkpoint();
      events_.have(file_.done().total());
    }
  }

 private:
  friend class Lane;

  void start_lanes() {
    for (const auto& lane : lanes_) {
      if (lane->busy || (no_ranges_ && lane != lanes_.front())) continue;
      RangeSet under_way;
      for (const auto& other : lanes_) {
        if (other->busy) under_way.add(other->range);
      }
      ByteRange range = RangeSet::first_gap(file_.done(), under_way, source_.size, part_);
      if (range.size() == 0) return;
      if (no_ranges_) range = {0, source_.size};
      start(*lane, range);
      if (retry_.failures() > 0) return;  // one at a time until it goes well again
    }
  }

  void start(Lane& lane, ByteRange range) {
    lane.busy = true;
    lane.usable = false;
    lane.range = range;
    lane.promised = range.end;
    lane.plain = range.begin == 0 && range.end == source_.size;
    lane.complaint.clear();
    lane.head = {};
    lane.direct = !direct_url_.empty();
    HttpRequest request{.url = lane.direct ? direct_url_ : source_.url, .range = range, .limit = {}};
    if (lane.plain) request.range.reset();
    http_.start(request, lane);
  }

  // The bytes are asked for without parts from now on.
  void forget_ranges() {
    no_ranges_ = true;
    file_.flush();
  }

  // An answer that is no success, or a connection that broke.
  void failed(const Lane& lane, const std::string& reason) {
    const bool answered = lane.head.status != 0 && !lane.usable;
    if (lane.direct && answered && lane.head.status >= 400 && lane.head.status < 500 && lane.head.status != 429) {
      direct_url_.clear();  // such addresses are good for some time only: ask the hub for another
      return;
    }
    if (answered && lane.complaint.empty() && !is_temporary(lane.head.status)) {
      file_.flush();
      fail_status(lane.head, source_.repo, http_.endpoint(), http_.has_token());
    }
    direct_url_.clear();
    // What contradicts itself does so again; once more, in case it was another server of many.
    if (!lane.complaint.empty()) ++complaints_;
    if (complaints_ > kMaxComplaints || !retry_.again(answered ? &lane.head : nullptr)) {
      file_.flush();
      const std::string why = !lane.complaint.empty() ? lane.complaint : answered ? fmt::format("status {}", lane.head.status) : reason;
      fail(ErrorCode::io, "{} of {} could not be had ({}), on {}, check the network and run the same command again: it goes on where it was", source_.path,
           source_.repo, why, http_.endpoint());
    }
    if (events_.note && retry_.failures() > 1)
      events_.note(fmt::format("{}: {}, trying again", source_.path, lane.complaint.empty() ? reason : lane.complaint));
  }

  HttpClient& http_;
  const BlobSource& source_;
  PartialFile& file_;
  const DownloadEvents& events_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  uint64_t part_ = 0;
  uint64_t came_ = 0;  // since the last failure
  int complaints_ = 0;
  Retry retry_{kRetries};
  std::string direct_url_;  // where the last good answer came from
  bool no_ranges_ = false;
};

bool Lane::on_head(const HttpHead& answer) {
  head = answer;
  if (head.status != 206 && head.status != 200) return false;
  const uint64_t size = download_.source_.size;
  std::string_view linked = head.header("x-linked-etag");
  if (linked.starts_with("W/")) linked.remove_prefix(2);
  while (linked.starts_with('"')) linked.remove_prefix(1);
  while (linked.ends_with('"')) linked.remove_suffix(1);
  if (!linked.empty() && linked != download_.source_.etag) {
    complaint = "the hub states another digest than in its listing";
    return false;
  }
  if (head.status == 206) {
    const auto content = parse_content_range(head.header("content-range"));
    if (!content || content->range.begin != range.begin || content->range.end > range.end || (content->size != 0 && content->size != size)) {
      complaint = "the server answered with another part than was asked for";
      return false;
    }
    promised = content->range.end;
  } else {
    const std::string_view length = head.header("content-length");
    if (!length.empty() && parse_number(length) != size) {
      complaint = fmt::format("the server has {} bytes of it, the hub's listing {}", length.substr(0, 30), size);
      return false;
    }
    if (!plain) {  // it does not know ranges: the first of the lanes goes on with the whole, the others end
      if (download_.no_ranges_) return false;
      download_.forget_ranges();
      if (this != download_.lanes_.front().get()) return false;
      range = {0, size};
      promised = size;
      plain = true;
    }
  }
  usable = true;
  return true;
}

bool Lane::on_body(std::span<const std::byte> bytes) {
  if (!usable) return false;
  const auto wanted = static_cast<size_t>(std::min<uint64_t>(bytes.size(), promised - range.begin));
  const uint64_t before = download_.file_.done().total();
  download_.file_.write(range.begin, bytes.first(wanted));
  range.begin += wanted;
  download_.came_ += download_.file_.done().total() - before;  // what was here already is no progress
  if (download_.came_ >= kProgress) download_.retry_.progress();
  return range.begin < promised;
}

void Lane::on_end(HttpEnd end, const std::string& reason) {
  busy = false;
  if (usable && range.begin == promised) {
    download_.retry_.progress();
    download_.direct_url_ = head.url;
    return;
  }
  if (head.status == 200 && complaint.empty() && !usable) return;  // a lane that was not needed
  if (end == HttpEnd::refused) {
    download_.file_.flush();
    fail(ErrorCode::io, "{} of {} could not be had ({}), on {}, check HF_ENDPOINT and the network", download_.source_.path, download_.source_.repo, reason,
         download_.http_.endpoint());
  }
  download_.came_ = 0;
  download_.failed(*this, usable && end == HttpEnd::complete ? "the server sent fewer bytes than it said" : reason);
}

}  // namespace

void download_blob(HttpClient& http, const BlobSource& source, const std::filesystem::path& blob, int connections, const DownloadEvents& events) {
  PartialFile file(blob, source.size);
  for (int attempt = 1;; ++attempt) {
    if (!file.complete()) Download(http, source, file, connections, events).run();
    file.flush();
    events.have(source.size);
    uint64_t checked = 0;
    const std::string digest = file_digest(file.fd(), source.size, source.etag, source.path, [&](uint64_t bytes) {
      events.checked(checked += bytes);
      return events.going_on();
    });
    if (digest == source.etag) break;
    if (attempt == 2) {
      PartialFile::discard(blob);
      fail(ErrorCode::corrupt, "{} of {} came with wrong bytes twice (digest {}, the hub states {}), on {}, nothing of it was kept; try again later",
           source.path, source.repo, digest, source.etag, http.endpoint());
    }
    if (events.note) events.note(fmt::format("{}: the bytes that came are not those that the hub states, once more from the beginning", source.path));
    file.restart();
    events.have(0);
  }
  file.finish();
}

}  // namespace carat::hub
