#pragma once
// What the environment says about the hub and about where things are kept. The variables are those of huggingface_hub, with its meanings.
#include <filesystem>
#include <string>
#include <string_view>

namespace carat::hub {

struct Settings {
  std::string endpoint = "https://huggingface.co";  // HF_ENDPOINT, without a slash at its end
  std::filesystem::path cache;                      // the store: HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_HOME/hub, XDG_CACHE_HOME/huggingface/hub
  std::filesystem::path token_file;                 // HF_TOKEN_PATH, HF_HOME/token
  std::filesystem::path carat_home;                 // CARAT_HOME, XDG_DATA_HOME/carat, ~/.local/share/carat
  bool offline = false;                             // HF_HUB_OFFLINE, TRANSFORMERS_OFFLINE
  int timeout = 20;                                 // seconds without a byte until a connection is given up: HF_HUB_DOWNLOAD_TIMEOUT, 1 to 3600
};

// HOME, else what the system's list of users says. Fails with not_found when neither says anything.
std::filesystem::path home_folder();

// Fails with invalid_argument when a variable cannot be used; as home_folder() does when a folder is needed that no variable names.
Settings settings_from_environment();

// HF_TOKEN, HUGGING_FACE_HUB_TOKEN, else what the token file holds; empty: none (or HF_HUB_DISABLE_IMPLICIT_TOKEN). Read only when it is needed.
// Fails with invalid_argument when it holds what no token can: it would become part of a request's header.
std::string read_token(const Settings& settings);

// 1, on, yes, true in any case.
bool is_true(std::string_view value);

}  // namespace carat::hub
