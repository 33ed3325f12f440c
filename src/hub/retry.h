#pragma once
// How often and how patiently a request is tried again.
#include <chrono>
#include <string>
#include <string_view>

#include "hub/http.h"

namespace carat::hub {

// A status after which the same request may succeed: 408, 425, 429, 500, 502, 503, 504 and other 5xx but 501.
bool is_temporary(int status);

class Retry {
 public:
  explicit Retry(int most) : most_(most) {}
  // After a failure: false when it was one too many (more than `most` without progress). `head`: what the server said, if it did; its Retry-After counts, up to 2 minutes.
  // Failures while waiting (of other connections) count as one.
  bool again(const HttpHead* head);
  // Something came: the count begins anew.
  void progress() { failures_ = 0; }
  bool waiting() const { return std::chrono::steady_clock::now() < not_before_; }
  int failures() const { return failures_; }

 private:
  int most_, failures_ = 0;
  std::chrono::steady_clock::time_point not_before_{};
};

// Fails with what a user can do about an answer that is no success and will not become one: not_found, io. `what` names what was asked for ("google/gemma-4-E2B-it").
[[noreturn]] void fail_status(const HttpHead& head, std::string_view what, std::string_view endpoint, bool had_token);

}  // namespace carat::hub
