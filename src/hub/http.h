#pragma once
// HTTP transfers, several at a time in one thread. This is where the rules about hosts live:
// - the first request of a transfer may go to the endpoint's origin (scheme, host, port), or to an address that an earlier transfer ended at;
// - redirects lead to https and to public addresses only, unless the endpoint itself is of another kind (http, or an address that is not public);
//   the address that is checked is the one that is connected to;
// - the token goes to the endpoint's origin only, and to nobody any more once a redirect has left it.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "hub/range_set.h"

namespace carat::hub {

struct HttpHead {
  int status = 0;
  // Names in small letters; of the answer that is not a redirect any more. X-Linked-Etag also if only a redirect had it.
  std::map<std::string, std::string> headers;
  std::string url;  // where the answer came from

  // "" if there is none.
  std::string_view header(const std::string& name) const;
};

enum class HttpEnd : uint8_t {
  complete,  // the whole body came
  stopped,   // the handler had enough
  broken,    // the connection failed or was cut: worth another try
  refused,   // another try would end the same way
};

// Told what arrives. The calls come from within HttpClient::poll; what they throw comes out of it.
class HttpHandler {
 public:
  virtual ~HttpHandler() = default;
  // false: no need of the body.
  virtual bool on_head(const HttpHead& head) = 0;
  // false: enough.
  virtual bool on_body(std::span<const std::byte> bytes) = 0;
  // The last call of a transfer; another one may be started from here. `reason` for a message, without the address.
  virtual void on_end(HttpEnd end, const std::string& reason) = 0;
};

struct HttpRequest {
  std::string url;
  std::optional<ByteRange> range;  // only these bytes
  std::chrono::seconds limit{0};   // for the whole transfer; 0: none, as long as bytes come
};

class HttpClient {
 public:
  // timeout: seconds for connecting, and without bytes. Fails with unsupported when libcurl is not there, invalid_argument when the endpoint is no address.
  HttpClient(std::string endpoint, std::string token, int timeout);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  const std::string& endpoint() const;
  bool has_token() const;

  // The handler has to live until on_end or clear().
  void start(const HttpRequest& request, HttpHandler& handler);
  // Moves all transfers on; waits at most that long for something to do, and not at all when one has ended.
  void poll(std::chrono::milliseconds wait);
  // Drops all transfers; no handler is called any more.
  void clear();

  // A link of an answer as an absolute address; "" unless it stays at the endpoint's origin.
  std::string link_at_endpoint(std::string_view base, std::string_view link) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace carat::hub
