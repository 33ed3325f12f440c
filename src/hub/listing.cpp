#include "hub/listing.h"

#include <algorithm>

#include "base/error.h"
#include "base/json.h"
#include "base/utf8.h"
#include "hub/digest.h"
#include "hub/retry.h"
#include "hub/url_escape.h"

namespace carat::hub {
namespace {

constexpr size_t kMaxBody = size_t{16} << 20;
constexpr size_t kMaxFiles = 100'000;
constexpr int kMaxPages = 200, kRetries = 3;
constexpr uint64_t kMaxFile = uint64_t{1} << 44;  // 16 TiB
constexpr std::chrono::seconds kLimit{120};

// One answer, whole and in memory.
class Answer : public HttpHandler {
 public:
  bool on_head(const HttpHead& head) override {
    head_ = head;
    return true;
  }
  bool on_body(std::span<const std::byte> bytes) override {
    if (body_.size() + bytes.size() > kMaxBody) {
      too_long_ = true;
      return false;
    }
    body_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return true;
  }
  void on_end(HttpEnd end, const std::string& reason) override {
    ended_ = true;
    end_ = end;
    reason_ = reason;
  }

  HttpHead head_;
  std::string body_, reason_;
  HttpEnd end_ = HttpEnd::broken;
  bool ended_ = false, too_long_ = false;
};

void keep_going(const std::function<bool()>& going_on, std::string_view what) {
  if (!going_on()) fail(ErrorCode::cancelled, "interrupted, asking for {}, run the same command again", what);
}

// Status 200, or 0 when the network does not work.
Answer get(HttpClient& http, const std::string& url, std::string_view what, const std::function<bool()>& going_on) {
  Retry retry(kRetries);
  while (true) {
    Answer answer;
    http.start({.url = url, .range = {}, .limit = kLimit}, answer);
    try {
      while (!answer.ended_) {
        keep_going(going_on, what);
        http.poll(std::chrono::milliseconds(100));
      }
    } catch (...) {
      http.clear();  // the answer goes away with this scope
      throw;
    }
    if (answer.too_long_) fail(ErrorCode::corrupt, "the listing of {} is longer than {} MiB, on {}, check HF_ENDPOINT", what, kMaxBody >> 20, http.endpoint());
    const bool answered = answer.end_ == HttpEnd::complete;
    if (answered && answer.head_.status == 200) return answer;
    if (answer.end_ == HttpEnd::refused) fail(ErrorCode::io, "{} could not be asked for ({}), on {}, check HF_ENDPOINT", what, answer.reason_, http.endpoint());
    if (answered && !is_temporary(answer.head_.status)) fail_status(answer.head_, what, http.endpoint(), http.has_token());
    if (!retry.again(answered ? &answer.head_ : nullptr)) {
      if (answered) fail_status(answer.head_, what, http.endpoint(), http.has_token());
      answer.head_.status = 0;
      return answer;
    }
    while (retry.waiting()) {
      keep_going(going_on, what);
      http.poll(std::chrono::milliseconds(50));
    }
  }
}

// The address in `Link: <address>; rel="next"`; "" if there is none.
std::string next_link(std::string_view header) {
  while (!header.empty()) {
    const size_t open = header.find('<'), close = header.find('>', open);
    if (open == std::string_view::npos || close == std::string_view::npos) return "";
    const size_t end = std::min(header.find('<', close), header.size());
    const std::string_view parameters = header.substr(close + 1, end - close - 1);
    if (parameters.find("rel=\"next\"") != std::string_view::npos || parameters.find("rel=next") != std::string_view::npos) {
      return std::string(header.substr(open + 1, close - open - 1));
    }
    header = header.substr(end);
  }
  return "";
}

std::string text_member(const Json& object, const char* name) {
  const auto at = object.find(name);
  return at != object.end() && at->is_string() ? at->get<std::string>() : "";
}

}  // namespace

bool is_safe_path(std::string_view path) {
  if (path.empty() || path.size() > 1024 || !utf8_valid(path)) return false;
  if (std::any_of(path.begin(), path.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f || c == '\\'; })) return false;
  while (true) {
    const size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    if (part.empty() || part == "." || part == ".." || part.size() > 200) return false;
    if (slash == std::string_view::npos) return true;
    path = path.substr(slash + 1);
  }
}

void add_tree_page(std::string_view json, std::string_view where, std::vector<RepoFile>& files) {
  const Json page = parse_json(json, where, {.max_bytes = kMaxBody, .max_depth = 16});
  if (!page.is_array()) fail(ErrorCode::corrupt, "this is no list of files, {}, check HF_ENDPOINT", where);
  for (const Json& entry : page) {
    if (!entry.is_object()) fail(ErrorCode::corrupt, "the list of files has an entry that is none, {}, check HF_ENDPOINT", where);
    if (text_member(entry, "type") != "file") continue;
    RepoFile file;
    file.path = text_member(entry, "path");
    if (!is_safe_path(file.path)) fail(ErrorCode::corrupt, "the list of files has a path that cannot be one, {}, choose another repository", where);
    const auto lfs = entry.find("lfs");
    const Json& source = lfs != entry.end() && lfs->is_object() ? *lfs : entry;
    file.etag = text_member(source, "oid");
    const auto size = source.find("size");
    if (!is_etag(file.etag) || size == source.end() || !size->is_number_unsigned() || size->get<uint64_t>() > kMaxFile) {
      fail(ErrorCode::corrupt, "the list of files has no size and digest for {}, {}, choose another repository", file.path, where);
    }
    file.size = size->get<uint64_t>();
    files.push_back(std::move(file));
    if (files.size() > kMaxFiles) fail(ErrorCode::exhausted, "there are more than {} files, {}, choose another repository", kMaxFiles, where);
  }
}

RepoListing fetch_listing(HttpClient& http, const Source& source, const std::function<bool()>& going_on) {
  const std::string base = http.endpoint() + "/api/models/" + url_escape(source.repo, true);
  const std::string what = source.repo + (source.revision == "main" ? "" : "@" + source.revision);
  RepoListing listing;
  const Answer info = get(http, base + "/revision/" + url_escape(source.revision, false), source.repo, going_on);
  if (info.head_.status == 0) {
    listing.unreachable = fmt::format("the hub cannot be reached for {} ({}), on {}, check the network", what, info.reason_, http.endpoint());
    return listing;
  }
  const Json json = parse_json(info.body_, what, {.max_bytes = kMaxBody, .max_depth = 64});
  listing.commit = json.is_object() ? text_member(json, "sha") : "";
  if (!is_commit(listing.commit)) fail(ErrorCode::corrupt, "the hub states no commit for {}, on {}, check HF_ENDPOINT", what, http.endpoint());

  std::string url = base + "/tree/" + listing.commit + "?recursive=true";
  for (int pages = 0; !url.empty(); ++pages) {
    if (pages == kMaxPages) fail(ErrorCode::exhausted, "the listing of {} does not end, on {}, check HF_ENDPOINT", what, http.endpoint());
    const Answer page = get(http, url, source.repo, going_on);
    if (page.head_.status == 0)
      fail(ErrorCode::io, "the hub cannot be reached any more for {} ({}), on {}, check the network", what, page.reason_, http.endpoint());
    add_tree_page(page.body_, what, listing.files);
    const std::string next = next_link(page.head_.header("link"));
    url = next.empty() ? "" : http.link_at_endpoint(url, next);
    if (url.empty() && !next.empty()) fail(ErrorCode::corrupt, "the listing of {} goes on at another host, on {}, check HF_ENDPOINT", what, http.endpoint());
  }
  return listing;
}

}  // namespace carat::hub
