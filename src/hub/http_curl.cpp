// The one file that knows libcurl. The library is opened when the first client is made: it takes some milliseconds that other commands do not pay.
#include <curl/curl.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <exception>
#include <set>
#include <vector>

#include "base/error.h"
#include "hub/address.h"
#include "hub/http.h"
#include "hub/late_library.h"
#include "hub/proxy.h"

namespace carat::hub {
namespace {

constexpr int kMaxHops = 10;
constexpr size_t kMaxHeaders = 128, kMaxHeader = 16 << 10;
constexpr size_t kMaxRedirectBody = 16 << 10;  // read and passed over, so that the connection can be used again; beyond it is cut
constexpr long kSlowest = 100;                 // bytes a second: less than this for the whole timeout is a stall

struct Curl {
  decltype(::curl_global_init)* global_init;
  decltype(::curl_easy_init)* easy_init;
  decltype(::curl_easy_cleanup)* easy_cleanup;
  decltype(::curl_easy_setopt)* easy_setopt;
  decltype(::curl_easy_getinfo)* easy_getinfo;
  decltype(::curl_easy_strerror)* easy_strerror;
  decltype(::curl_multi_init)* multi_init;
  decltype(::curl_multi_cleanup)* multi_cleanup;
  decltype(::curl_multi_add_handle)* multi_add;
  decltype(::curl_multi_remove_handle)* multi_remove;
  decltype(::curl_multi_perform)* multi_perform;
  decltype(::curl_multi_poll)* multi_poll;
  decltype(::curl_multi_info_read)* multi_info_read;
  decltype(::curl_slist_append)* slist_append;
  decltype(::curl_slist_free_all)* slist_free_all;
  decltype(::curl_url)* url;
  decltype(::curl_url_cleanup)* url_cleanup;
  decltype(::curl_url_set)* url_set;
  decltype(::curl_url_get)* url_get;
  decltype(::curl_free)* free;

  Curl() {
    const LateLibrary library("libcurl.so.4", "libcurl4");
    library.get(global_init, "curl_global_init");
    library.get(easy_init, "curl_easy_init");
    library.get(easy_cleanup, "curl_easy_cleanup");
    library.get(easy_setopt, "curl_easy_setopt");
    library.get(easy_getinfo, "curl_easy_getinfo");
    library.get(easy_strerror, "curl_easy_strerror");
    library.get(multi_init, "curl_multi_init");
    library.get(multi_cleanup, "curl_multi_cleanup");
    library.get(multi_add, "curl_multi_add_handle");
    library.get(multi_remove, "curl_multi_remove_handle");
    library.get(multi_perform, "curl_multi_perform");
    library.get(multi_poll, "curl_multi_poll");
    library.get(multi_info_read, "curl_multi_info_read");
    library.get(slist_append, "curl_slist_append");
    library.get(slist_free_all, "curl_slist_free_all");
    library.get(url, "curl_url");
    library.get(url_cleanup, "curl_url_cleanup");
    library.get(url_set, "curl_url_set");
    library.get(url_get, "curl_url_get");
    library.get(free, "curl_free");
    if (global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) fail(ErrorCode::internal, "libcurl cannot be set up, in this process, please report it");
  }
};

const Curl& curl() {
  static const Curl functions;
  return functions;
}

// An address taken apart by the parser that will also be the one to use it.
struct Address {
  std::string url;  // absolute
  std::string scheme, host, port;
  bool same_origin(const Address& other) const { return scheme == other.scheme && host == other.host && port == other.port; }
};

// `text` may be relative to `base`. nullopt: no http(s) address, or one with a name and password in it.
std::optional<Address> parse_url(std::string_view base, std::string_view text) {
  const Curl& c = curl();
  const std::unique_ptr<CURLU, decltype(c.url_cleanup)> handle(c.url(), c.url_cleanup);
  if (!handle) throw std::bad_alloc();
  for (const std::string_view part : {base, text}) {
    if (!part.empty() && c.url_set(handle.get(), CURLUPART_URL, std::string(part).c_str(), CURLU_DISALLOW_USER) != CURLUE_OK) return std::nullopt;
  }
  const auto get = [&](CURLUPart part) {
    char* value = nullptr;
    std::string out;
    if (c.url_get(handle.get(), part, &value, part == CURLUPART_PORT ? CURLU_DEFAULT_PORT : 0) == CURLUE_OK) out = value;
    c.free(value);
    std::transform(out.begin(), out.end(), out.begin(), [part](unsigned char ch) { return static_cast<char>(part == CURLUPART_URL ? ch : std::tolower(ch)); });
    return out;
  };
  Address address{get(CURLUPART_URL), get(CURLUPART_SCHEME), get(CURLUPART_HOST), get(CURLUPART_PORT)};
  if ((address.scheme != "https" && address.scheme != "http") || address.host.empty() || address.port.empty()) return std::nullopt;
  return address;
}

}  // namespace

struct HttpClient::Impl {
  struct Transfer {
    Impl* client;
    HttpHandler* handler;
    HttpRequest request;
    Address address;
    CURL* easy = nullptr;
    curl_slist* headers = nullptr;
    HttpHead head;
    int hops = 0;
    bool token = false;            // no redirect has left the endpoint yet
    bool ready = false;            // the handler has seen the head
    bool enough = false;           // the handler wants no more
    bool private_address = false;  // a connection to one was refused
    size_t passed_over = 0;        // bytes of a redirect's body
    std::string refusal;

    ~Transfer() {
      if (easy != nullptr) curl().easy_cleanup(easy);
      curl().slist_free_all(headers);
    }
    bool redirect() const { return head.status >= 300 && head.status < 400 && head.status != 304 && !head.header("location").empty(); }
  };

  std::string endpoint, token;
  Address origin;
  bool origin_is_private = false;
  int timeout;
  CURLM* multi = nullptr;
  std::set<std::unique_ptr<Transfer>> transfers;
  std::exception_ptr thrown;

  Impl(std::string e, std::string t, int seconds) : endpoint(std::move(e)), token(std::move(t)), timeout(seconds) {
    const auto parsed = parse_url("", endpoint);
    if (!parsed) fail(ErrorCode::invalid_argument, "'{}' is no address of a hub, HF_ENDPOINT, write it as https://huggingface.co", endpoint);
    origin = *parsed;
    multi = curl().multi_init();
    if (multi == nullptr) throw std::bad_alloc();
  }
  ~Impl() {
    clear();
    curl().multi_cleanup(multi);
  }

  void clear() {
    for (const auto& transfer : transfers) {
      if (transfer->easy != nullptr) curl().multi_remove(multi, transfer->easy);
    }
    transfers.clear();
  }

  bool may_connect(const Transfer& transfer, bool is_public) {
    if (transfer.address.same_origin(origin)) {
      if (!is_public) origin_is_private = true;
      return true;
    }
    return is_public || origin_is_private;
  }

  // What nothing that comes from outside may make worse: why a hop cannot be made, "" if it can.
  std::string hop_refused(const Transfer& transfer) {
    if (transfer.address.scheme != "https" && origin.scheme == "https") return "it leads away from https";
    bool is_public = true;
    if (parse_address(transfer.address.host, is_public) && !may_connect(transfer, is_public)) return "it leads to an address that is not public";
    return "";
  }

  // Begins the transfer's next hop.
  void send(Transfer& transfer) {
    const Curl& c = curl();
    if (transfer.easy == nullptr) {
      transfer.easy = c.easy_init();
      if (transfer.easy == nullptr) throw std::bad_alloc();
    }
    c.slist_free_all(transfer.headers);
    transfer.headers = c.slist_append(nullptr, "Accept-Encoding: identity");
    transfer.passed_over = 0;
    transfer.token = transfer.token && transfer.address.same_origin(origin);
    if (transfer.token && !token.empty()) transfer.headers = c.slist_append(transfer.headers, ("Authorization: Bearer " + token).c_str());
    const auto set = [&](CURLoption option, auto value) {
      if (c.easy_setopt(transfer.easy, option, value) != CURLE_OK) {
        fail(ErrorCode::unsupported, "libcurl is too old or cannot speak https, libcurl.so.4, install 7.85 or newer");
      }
    };
    set(CURLOPT_URL, transfer.address.url.c_str());
    set(CURLOPT_PROTOCOLS_STR, origin.scheme == "https" ? "https" : "http,https");
    set(CURLOPT_FOLLOWLOCATION, 0L);
    set(CURLOPT_HTTPHEADER, transfer.headers);
    set(CURLOPT_USERAGENT, "carat");
    set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));  // a connection each: over one HTTP/2 connection the parts would share its window
    set(CURLOPT_BUFFERSIZE, 256L << 10);
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_CONNECTTIMEOUT, static_cast<long>(timeout));
    set(CURLOPT_LOW_SPEED_LIMIT, kSlowest);
    set(CURLOPT_LOW_SPEED_TIME, static_cast<long>(timeout));
    set(CURLOPT_TIMEOUT, static_cast<long>(transfer.request.limit.count()));
    set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    // The proxy is chosen here, not by the library: so it is known whether the address that is connected to is the host's or the proxy's.
    const std::string proxy = proxy_for(transfer.address.scheme, transfer.address.host);
    set(CURLOPT_PROXY, proxy.c_str());
    set(CURLOPT_NOPROXY, "");
    set(CURLOPT_OPENSOCKETFUNCTION, proxy.empty() ? &Impl::open_socket : nullptr);
    set(CURLOPT_OPENSOCKETDATA, &transfer);
    std::string range;
    if (transfer.request.range) range = fmt::format("{}-{}", transfer.request.range->begin, transfer.request.range->end - 1);
    set(CURLOPT_RANGE, range.empty() ? nullptr : range.c_str());
    set(CURLOPT_HEADERFUNCTION, &Impl::take_header);
    set(CURLOPT_HEADERDATA, &transfer);
    set(CURLOPT_WRITEFUNCTION, &Impl::take_body);
    set(CURLOPT_WRITEDATA, &transfer);
    set(CURLOPT_PRIVATE, &transfer);
    c.multi_add(multi, transfer.easy);
  }

  // Runs a callback of ours inside one of the library's: exceptions wait until the library has returned.
  template <typename Fn>
  size_t guarded(size_t bytes, Fn&& fn) {
    try {
      return fn() ? bytes : 0;  // fewer bytes than there were: the library ends the transfer
    } catch (...) {
      if (!thrown) thrown = std::current_exception();
      return 0;
    }
  }

  static curl_socket_t open_socket(void* self, curlsocktype, curl_sockaddr* address) {
    auto& transfer = *static_cast<Transfer*>(self);
    if (!transfer.client->may_connect(transfer, is_public_address(address->addr))) {
      transfer.private_address = true;
      return CURL_SOCKET_BAD;
    }
    return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
  }

  static size_t take_header(char* data, size_t size, size_t count, void* self) {
    auto& transfer = *static_cast<Transfer*>(self);
    return transfer.client->guarded(size * count, [&] { return transfer.client->header_line(transfer, std::string_view(data, size * count)); });
  }

  static size_t take_body(char* data, size_t size, size_t count, void* self) {
    auto& transfer = *static_cast<Transfer*>(self);
    return transfer.client->guarded(size * count, [&] {
      if (transfer.redirect()) return (transfer.passed_over += size * count) <= kMaxRedirectBody;  // its text is of no use, and may never end
      transfer.enough = !transfer.handler->on_body({reinterpret_cast<const std::byte*>(data), size * count});
      return !transfer.enough;
    });
  }

  bool header_line(Transfer& transfer, std::string_view line) {
    while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.remove_suffix(1);
    HttpHead& head = transfer.head;
    if (line.starts_with("HTTP/")) {  // again after an interim answer
      std::string linked = std::move(head.headers["x-linked-etag"]);
      head.headers.clear();
      if (!linked.empty()) head.headers["x-linked-etag"] = std::move(linked);
      const size_t space = line.find(' ');
      head.status = space == std::string_view::npos ? 0 : std::atoi(std::string(line.substr(space)).c_str());
      head.url = transfer.address.url;
      return true;
    }
    if (line.empty()) {
      if (head.status < 200 || transfer.redirect() || transfer.ready) return true;
      transfer.ready = true;
      transfer.enough = !transfer.handler->on_head(head);
      return !transfer.enough;
    }
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos || line.size() > kMaxHeader || head.headers.size() >= kMaxHeaders) return true;
    std::string name(line.substr(0, colon));
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    std::string_view value = line.substr(colon + 1);
    while (!value.empty() && (value.front() == ' ' || value.front() == '\t')) value.remove_prefix(1);
    while (!value.empty() && (value.back() == ' ' || value.back() == '\t')) value.remove_suffix(1);
    if (name == "x-linked-etag" && !head.headers[name].empty()) return true;  // the first to state it is the hub
    head.headers[name] = value;
    return true;
  }

  // true: another hop was begun.
  bool follow(Transfer& transfer) {
    const std::string from = transfer.address.host;
    const std::string location(transfer.head.header("location"));
    const auto next = parse_url(transfer.address.url, location);
    transfer.refusal = !next ? "a redirect leads to no http address" : ++transfer.hops > kMaxHops ? "too many redirects" : "";
    if (!transfer.refusal.empty()) return false;
    transfer.address = *next;
    if (const std::string why = hop_refused(transfer); !why.empty()) {
      transfer.refusal = fmt::format("a redirect of {} to {} is not followed: {}", from, transfer.address.host, why);
      return false;
    }
    send(transfer);
    return true;
  }

  void finish(CURL* easy, CURLcode code) {
    Transfer* found = nullptr;
    curl().easy_getinfo(easy, CURLINFO_PRIVATE, &found);
    const auto at = std::find_if(transfers.begin(), transfers.end(), [found](const auto& t) { return t.get() == found; });
    check(at != transfers.end(), "a transfer that ends was begun");
    Transfer& transfer = *found;
    curl().multi_remove(multi, easy);
    const bool cut = code == CURLE_WRITE_ERROR && transfer.passed_over > kMaxRedirectBody;
    if ((code == CURLE_OK || cut) && transfer.redirect() && follow(transfer)) return;

    HttpEnd end = HttpEnd::broken;
    std::string reason = curl().easy_strerror(code);
    if (!transfer.refusal.empty()) {
      end = HttpEnd::refused;
      reason = transfer.refusal;
    } else if (transfer.private_address) {
      end = HttpEnd::refused;
      reason = fmt::format("a redirect to {} is not followed: its address is not public", transfer.address.host);
    } else if (transfer.enough) {
      end = HttpEnd::stopped;
    } else if (code == CURLE_OK) {
      end = HttpEnd::complete;
    } else if (code == CURLE_OPERATION_TIMEDOUT) {
      reason = transfer.head.status == 0 ? "no answer in time" : "no bytes came any more";
    } else if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE || code == CURLE_UNSUPPORTED_PROTOCOL) {
      end = HttpEnd::refused;
    }
    const auto keep = transfers.extract(at);  // on_end may start another
    if (!thrown) keep.value()->handler->on_end(end, fmt::format("{}: {}", transfer.address.host, reason));
  }
};

std::string_view HttpHead::header(const std::string& name) const {
  const auto at = headers.find(name);
  return at == headers.end() ? std::string_view() : std::string_view(at->second);
}

HttpClient::HttpClient(std::string endpoint, std::string token, int timeout) : impl_(std::make_unique<Impl>(std::move(endpoint), std::move(token), timeout)) {}
HttpClient::~HttpClient() = default;
const std::string& HttpClient::endpoint() const { return impl_->endpoint; }
bool HttpClient::has_token() const { return !impl_->token.empty(); }
void HttpClient::clear() { impl_->clear(); }

void HttpClient::start(const HttpRequest& request, HttpHandler& handler) {
  const auto address = parse_url("", request.url);
  check(address.has_value(), "an address that we made is one");
  auto transfer = std::make_unique<Impl::Transfer>();
  transfer->client = impl_.get();
  transfer->handler = &handler;
  transfer->request = request;
  transfer->address = *address;
  transfer->token = true;
  if (const std::string why = impl_->hop_refused(*transfer); !why.empty()) fail(ErrorCode::io, "{} is not asked: {}, check HF_ENDPOINT", address->host, why);
  Impl::Transfer& begun = **impl_->transfers.insert(std::move(transfer)).first;
  impl_->send(begun);
}

void HttpClient::poll(std::chrono::milliseconds wait) {
  const Curl& c = curl();
  int running = 0, left = 0;
  c.multi_perform(impl_->multi, &running);
  bool ended = false;
  while (CURLMsg* message = c.multi_info_read(impl_->multi, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    ended = true;
    impl_->finish(message->easy_handle, message->data.result);
  }
  if (impl_->thrown) {
    clear();
    std::rethrow_exception(std::exchange(impl_->thrown, nullptr));
  }
  if (!ended) c.multi_poll(impl_->multi, nullptr, 0, static_cast<int>(wait.count()), nullptr);
}

std::string HttpClient::link_at_endpoint(std::string_view base, std::string_view link) const {
  const auto address = parse_url(base, link);
  return address && address->same_origin(impl_->origin) ? address->url : "";
}

}  // namespace carat::hub
