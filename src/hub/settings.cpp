#include "hub/settings.h"

#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdlib>
#include <vector>

#include "base/error.h"
#include "base/file.h"

namespace carat::hub {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxToken = 4096;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// "~/x", "$NAME/x", "${NAME}/x"; a variable that is not set stays as it is written.
fs::path expanded(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    if (text[i] != '$') {
      out += text[i++];
      continue;
    }
    const bool braces = i + 1 < text.size() && text[i + 1] == '{';
    const size_t begin = i + (braces ? 2 : 1);
    size_t end = begin;
    while (end < text.size() && (std::isalnum(static_cast<unsigned char>(text[end])) || text[end] == '_')) ++end;
    const bool closed = !braces || (end < text.size() && text[end] == '}');
    const char* value = closed && end > begin ? std::getenv(text.substr(begin, end - begin).c_str()) : nullptr;
    const size_t next = end + (braces && closed ? 1 : 0);
    out += value == nullptr ? text.substr(i, next - i) : value;
    i = next;
  }
  if (out == "~" || out.starts_with("~/")) return home_folder() / fs::path(out.size() > 2 ? out.substr(2) : "");
  return out;
}

std::string trimmed(std::string text) {
  const auto blank = [](unsigned char c) { return std::isspace(c) != 0; };
  text.erase(text.begin(), std::find_if_not(text.begin(), text.end(), blank));
  text.erase(std::find_if_not(text.rbegin(), text.rend(), blank).base(), text.end());
  return text;
}

std::string checked_endpoint(std::string endpoint) {
  while (endpoint.ends_with('/')) endpoint.pop_back();
  const bool usable = (endpoint.starts_with("https://") || endpoint.starts_with("http://")) && endpoint.size() <= 2048 &&
                      std::all_of(endpoint.begin(), endpoint.end(), [](unsigned char c) { return c > 0x20 && c < 0x7f && c != '?' && c != '#' && c != '@'; });
  if (!usable) fail(ErrorCode::invalid_argument, "'{}' is no address of a hub, HF_ENDPOINT, write it as https://huggingface.co", endpoint.substr(0, 200));
  return endpoint;
}

}  // namespace

fs::path home_folder() {
  if (const std::string value = environment("HOME"); !value.empty()) return value;
  std::vector<char> buffer(16 << 10);
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwuid_r(::geteuid(), &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr && *found->pw_dir != '\0') return found->pw_dir;
  fail(ErrorCode::not_found, "nobody says where this user's files are, HOME, set it (or both HF_HOME and CARAT_HOME)");
}

bool is_true(std::string_view value) {
  std::string upper(value);
  std::transform(upper.begin(), upper.end(), upper.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return upper == "1" || upper == "ON" || upper == "YES" || upper == "TRUE";
}

Settings settings_from_environment() {
  Settings settings;
  if (std::string endpoint = environment("HF_ENDPOINT"); !endpoint.empty()) settings.endpoint = checked_endpoint(std::move(endpoint));

  fs::path hf_home;
  if (const std::string set = environment("HF_HOME"); !set.empty()) {
    hf_home = expanded(set);
  } else if (const std::string cache = environment("XDG_CACHE_HOME"); !cache.empty()) {
    hf_home = expanded(cache) / "huggingface";
  } else {
    hf_home = home_folder() / ".cache/huggingface";
  }
  settings.cache = hf_home / "hub";
  for (const char* name : {"HUGGINGFACE_HUB_CACHE", "HF_HUB_CACHE"}) {  // the later one wins
    if (const std::string set = environment(name); !set.empty()) settings.cache = expanded(set);
  }
  settings.token_file = hf_home / "token";
  if (const std::string set = environment("HF_TOKEN_PATH"); !set.empty()) settings.token_file = expanded(set);

  if (const std::string set = environment("CARAT_HOME"); !set.empty()) {
    settings.carat_home = set;
  } else if (const std::string data = environment("XDG_DATA_HOME"); !data.empty()) {
    settings.carat_home = fs::path(data) / "carat";
  } else {
    settings.carat_home = home_folder() / ".local/share/carat";
  }

  std::string offline = environment("HF_HUB_OFFLINE");
  if (offline.empty()) offline = environment("TRANSFORMERS_OFFLINE");
  settings.offline = is_true(offline);
  if (const std::string set = environment("HF_HUB_DOWNLOAD_TIMEOUT"); !set.empty()) {
    const char* end = set.data() + set.size();
    const auto [stop, error] = std::from_chars(set.data(), end, settings.timeout);
    if (error != std::errc() || stop != end || settings.timeout < 1 || settings.timeout > 3600) {
      fail(ErrorCode::invalid_argument, "'{}' is no number of seconds, HF_HUB_DOWNLOAD_TIMEOUT, give one from 1 to 3600", set.substr(0, 100));
    }
  }
  return settings;
}

std::string read_token(const Settings& settings) {
  std::string token = trimmed(environment("HF_TOKEN"));
  std::string from = "HF_TOKEN";
  if (token.empty()) token = trimmed(environment((from = "HUGGING_FACE_HUB_TOKEN").c_str()));
  if (token.empty() && !is_true(environment("HF_HUB_DISABLE_IMPLICIT_TOKEN"))) {
    std::error_code error;
    from = settings.token_file.string();
    if (fs::exists(settings.token_file, error)) token = trimmed(read_text_file(settings.token_file, kMaxToken));
  }
  const bool usable = token.size() <= kMaxToken && std::all_of(token.begin(), token.end(), [](unsigned char c) { return c > 0x20 && c < 0x7f; });
  if (!usable) fail(ErrorCode::invalid_argument, "what is there is no token, {}, put one in it as it stands on the hub's page settings/tokens", from);
  return token;
}

}  // namespace carat::hub
