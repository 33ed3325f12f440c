// In place of http_curl.cpp and digest_evp.cpp in a build without libcurl and OpenSSL (CARAT_HUB=OFF): what is in the store works, pulling is refused.
#include "base/error.h"
#include "hub/digest.h"
#include "hub/http.h"

namespace carat::hub {
namespace {

[[noreturn]] void refuse() {
  fail(ErrorCode::unsupported, "this program was built without downloads, in this build, build it with CARAT_HUB=ON or give the path of a file");
}

}  // namespace

struct HttpClient::Impl {
  std::string endpoint;
};

std::string_view HttpHead::header(const std::string&) const { return ""; }
HttpClient::HttpClient(std::string, std::string, int) { refuse(); }
HttpClient::~HttpClient() = default;
const std::string& HttpClient::endpoint() const { return impl_->endpoint; }
bool HttpClient::has_token() const { return false; }
void HttpClient::start(const HttpRequest&, HttpHandler&) { refuse(); }
void HttpClient::poll(std::chrono::milliseconds) { refuse(); }
void HttpClient::clear() {}
std::string HttpClient::link_at_endpoint(std::string_view, std::string_view) const { return ""; }
std::string file_digest(int, uint64_t, std::string_view, std::string_view, const std::function<bool(uint64_t)>&) { refuse(); }

}  // namespace carat::hub
