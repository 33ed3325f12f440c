#include "hub/retry.h"

#include <algorithm>
#include <charconv>
#include <random>

#include "base/error.h"

namespace carat::hub {
namespace {

constexpr std::chrono::milliseconds kFirstWait{500}, kLongestWait{8000};
constexpr std::chrono::seconds kLongestAsked{120};

// Seconds as a number, the form that hubs send; 0 for a date or anything else.
std::chrono::seconds retry_after(std::string_view text) {
  int seconds = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error != std::errc() || stop != text.data() + text.size() || seconds < 0) return std::chrono::seconds(0);
  return std::min(std::chrono::seconds(seconds), kLongestAsked);
}

}  // namespace

bool is_temporary(int status) { return status == 408 || status == 425 || status == 429 || (status >= 500 && status != 501); }

bool Retry::again(const HttpHead* head) {
  const auto now = std::chrono::steady_clock::now();
  if (now < not_before_) return true;
  if (++failures_ > most_) return false;
  auto wait = std::min(kFirstWait * (1 << (failures_ - 1)), kLongestWait);
  // Many clients that were cut at the same time should not all come back at the same time.
  thread_local std::minstd_rand random{std::random_device{}()};
  wait += std::chrono::milliseconds(random() % static_cast<unsigned>(wait.count() / 4 + 1));
  if (head != nullptr) wait = std::max<std::chrono::milliseconds>(wait, retry_after(head->header("retry-after")));
  not_before_ = now + wait;
  return true;
}

void fail_status(const HttpHead& head, std::string_view what, std::string_view endpoint, bool had_token) {
  const std::string code(head.header("x-error-code"));
  const std::string message(head.header("x-error-message").substr(0, 200));
  const std::string said = message.empty() ? fmt::format("status {}", head.status) : fmt::format("status {}: {}", head.status, message);
  if (code == "GatedRepo") {
    if (had_token) {
      fail(ErrorCode::io, "{} is gated and this token may not read it ({}), accept its terms at {}/{} with the token's account, then try again", what, said,
           endpoint, what);
    }
    fail(ErrorCode::io, "{} is gated: accept its terms at {}/{}, then give a token from {}/settings/tokens in HF_TOKEN", what, endpoint, what, endpoint);
  }
  if (code == "RevisionNotFound") fail(ErrorCode::not_found, "{} has no such revision ({}), on {}, give a branch, a tag or a commit", what, said, endpoint);
  if (code == "EntryNotFound") fail(ErrorCode::not_found, "{} has no such file any more ({}), on {}, pull it again", what, said, endpoint);
  if (head.status == 401 && message.find("nvalid") != std::string::npos) {
    fail(ErrorCode::io, "the token is not valid ({}), HF_TOKEN or the token file, take a new one from {}/settings/tokens", said, endpoint);
  }
  if (code == "RepoNotFound" || head.status == 401 || head.status == 404) {
    fail(ErrorCode::not_found, "{} is not there, or is private ({}), on {}, check the name{}", what, said, endpoint,
         had_token ? " and what the token may read" : "; for a private one give a token in HF_TOKEN");
  }
  if (head.status == 403) fail(ErrorCode::io, "{} may not be read ({}), on {}, check what the token may read", what, said, endpoint);
  if (is_temporary(head.status)) fail(ErrorCode::io, "{} could not be had ({}), on {}, try again later", what, said, endpoint);
  fail(ErrorCode::io, "{} could not be had ({}), on {}, check HF_ENDPOINT", what, said, endpoint);
}

}  // namespace carat::hub
