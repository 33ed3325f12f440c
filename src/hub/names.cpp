#include "hub/names.h"

#include <algorithm>
#include <cctype>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "hub/settings.h"

namespace carat::hub {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kDefaultQuant = "Q4_K_M";
constexpr size_t kMaxName = 300, kMaxNames = 10'000;

std::string with_case(std::string_view text, int (*change)(int)) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [change](unsigned char c) { return static_cast<char>(change(c)); });
  return out;
}
std::string lower(std::string_view text) { return with_case(text, std::tolower); }
std::string upper(std::string_view text) { return with_case(text, std::toupper); }

bool is_word(std::string_view text, size_t longest) {
  return !text.empty() && text.size() <= longest &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.'; });
}

// A name taken apart: "Gemma4:E2B-it-q8_0@main".
struct Parts {
  std::string stem, tuning = "it", quant, revision;
};

std::optional<Parts> split_name(std::string_view text) {
  Parts parts;
  if (text.size() > kMaxName) return std::nullopt;
  if (const size_t at = text.find('@'); at != std::string_view::npos) {
    parts.revision = text.substr(at + 1);
    if (!is_revision(parts.revision)) return std::nullopt;
    text = text.substr(0, at);
  }
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos || !is_word(text.substr(0, colon), 64) || !is_word(text.substr(colon + 1), 128)) return std::nullopt;
  const std::string family = lower(text.substr(0, colon));
  std::string_view rest = text.substr(colon + 1);
  const auto next_word = [&rest] {
    const size_t dash = rest.find('-');
    const std::string word(rest.substr(0, dash));
    rest = dash == std::string_view::npos ? "" : rest.substr(dash + 1);
    return word;
  };
  const std::string size = lower(next_word());
  if (size.empty()) return std::nullopt;
  parts.stem = family + ":" + size;
  const std::string_view before = rest;
  if (const std::string tuning = lower(next_word()); tuning == "it" || tuning == "pt") {
    parts.tuning = tuning;
  } else {
    rest = before;
  }
  parts.quant = upper(rest);
  return parts;
}

struct BuiltIn {
  const char* stem;
  const char* quantised;  // where every quantisation is
  const char* google;     // google/...-it: the folder; with -qat-q4_0-gguf behind it: trained for 4 bits
};

constexpr BuiltIn kBuiltIn[] = {
    {"gemma4:e2b", "ggml-org/gemma-4-E2B-it-GGUF", "google/gemma-4-E2B-it"},  {"gemma4:e4b", "ggml-org/gemma-4-E4B-it-GGUF", "google/gemma-4-E4B-it"},
    {"gemma4:12b", "bartowski/gemma-4-12B-it-GGUF", "google/gemma-4-12B-it"}, {"gemma4:26b", "ggml-org/gemma-4-26B-A4B-it-GGUF", "google/gemma-4-26B-A4B-it"},
    {"gemma4:31b", "ggml-org/gemma-4-31B-it-GGUF", "google/gemma-4-31B-it"},  {"gemma3:1b", "ggml-org/gemma-3-1b-it-GGUF", "google/gemma-3-1b-it"},
    {"gemma3:4b", "ggml-org/gemma-3-4b-it-GGUF", "google/gemma-3-4b-it"},     {"gemma3:12b", "ggml-org/gemma-3-12b-it-GGUF", "google/gemma-3-12b-it"},
    {"gemma3:27b", "ggml-org/gemma-3-27b-it-GGUF", "google/gemma-3-27b-it"},
};

Source in_repo(std::string repo, Want want, std::string quant) {
  Source source;
  source.repo = std::move(repo);
  source.want = want;
  source.quant = std::move(quant);
  return source;
}

}  // namespace

bool is_hf_name(std::string_view text) { return lower(text.substr(0, 3)) == "hf:"; }

bool looks_like_a_name(std::string_view text) {
  if (is_hf_name(text)) return true;
  const size_t colon = text.find(':');
  const std::string_view before_revision = text.substr(0, text.find('@'));
  return colon != std::string_view::npos && colon > 0 && before_revision.find('/') == std::string_view::npos && is_word(text.substr(0, colon), 64);
}

bool is_repo_id(std::string_view text) {
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos || text.find("..") != std::string_view::npos || text.find("--") != std::string_view::npos) return false;
  const auto good = [](std::string_view word) {
    const auto end = [](char c) { return c == '.' || c == '-'; };
    return is_word(word, 96) && !end(word.front()) && !end(word.back());
  };
  return good(text.substr(0, slash)) && good(text.substr(slash + 1)) && !text.ends_with(".git");
}

bool is_revision(std::string_view text) {
  if (text.empty() || text.size() > 200) return false;
  while (true) {
    const size_t slash = text.find('/');
    const std::string_view word = text.substr(0, slash);
    if (!is_word(word, 200) || word.front() == '.' || word.find("..") != std::string_view::npos) return false;
    if (slash == std::string_view::npos) return true;
    text = text.substr(slash + 1);
  }
}

Source parse_hf(std::string_view text, std::string_view where) {
  Source source;
  source.name = text;
  std::string_view rest = text.substr(std::min<size_t>(3, text.size()));
  std::string_view revision, quant;
  bool has_revision = false, has_quant = false;
  // From the end: @REVISION and :QUANT in either order.
  for (size_t at; (at = rest.find_last_of(":@")) != std::string_view::npos; rest = rest.substr(0, at)) {
    bool& has = rest[at] == '@' ? has_revision : has_quant;
    if (has) fail(ErrorCode::invalid_argument, "{}: '{}' names two revisions or two quantisations, write hf:OWNER/REPO:QUANT@REVISION", where, text);
    has = true;
    (rest[at] == '@' ? revision : quant) = rest.substr(at + 1);
  }
  if (text.size() > kMaxName || !is_repo_id(rest)) {
    fail(ErrorCode::invalid_argument, "{}: '{}' names no repository, write hf:OWNER/REPO or hf:OWNER/REPO:QUANT", where, text.substr(0, kMaxName));
  }
  source.repo = rest;
  if (has_revision) {
    if (!is_revision(revision)) fail(ErrorCode::invalid_argument, "{}: '{}' is no revision, give a branch, a tag or a commit", where, revision);
    source.revision = revision;
  }
  if (has_quant) {
    const bool is_file = lower(quant).ends_with(".gguf"), is_folder = lower(quant) == "safetensors";
    const bool good = is_file ? is_revision(quant) : is_word(quant, 64);  // a path of plain words, as a revision is
    if (!good) {
      fail(ErrorCode::invalid_argument, "{}: '{}' is no quantisation, write Q4_K_M, Q8_0, BF16, safetensors or the path of a .gguf file", where, quant);
    }
    source.want = is_file ? Want::file : is_folder ? Want::folder : Want::quantised;
    source.quant = is_file ? std::string(quant) : is_folder ? "" : upper(quant);
  }
  return source;
}

NameTable::NameTable() {
  for (const BuiltIn& b : kBuiltIn) {
    const std::string google = b.google;
    entries_.push_back({b.stem, "it", "QAT", in_repo(google + "-qat-q4_0-gguf", Want::quantised, "Q4_0")});
    entries_.push_back({b.stem, "it", "BF16", in_repo(google, Want::folder, "")});
    entries_.push_back({b.stem, "it", "", in_repo(b.quantised, Want::quantised, "")});
  }
}

NameTable NameTable::load(const fs::path& carat_home) {
  NameTable table;
  const fs::path file = carat_home / "names.json";
  table.users_file_ = file.string();
  // Only what is certainly not there means that there are no such names: a link that leads nowhere or a folder that may not be read is an error.
  std::error_code error;
  if (fs::symlink_status(file, error).type() == fs::file_type::not_found) return table;
  const Json json = parse_json(read_text_file(file, size_t{1} << 20), file.string(), {.max_bytes = size_t{1} << 20, .max_depth = 4});
  if (!json.is_object() || json.size() > kMaxNames) {
    fail(ErrorCode::corrupt, "this is no table of names, {}, write {{\"family:size\": \"hf:OWNER/REPO\"}} with at most {} names", file.string(), kMaxNames);
  }
  std::vector<Entry> users;
  for (const auto& [key, value] : json.items()) {
    const std::string where = file.string() + ", \"" + key.substr(0, kMaxName) + "\"";
    const std::optional<Parts> parts = split_name(key);
    if (!parts || !parts->revision.empty() || is_hf_name(key)) {
      fail(ErrorCode::invalid_argument, "this is no name for a model, {}, write it as family:size, family:size-pt or family:size-it-q8_0", where);
    }
    if (!value.is_string() || value.get_ref<const std::string&>().empty()) {
      fail(ErrorCode::invalid_argument, "the name stands for nothing, {}, write \"hf:OWNER/REPO\" or a path behind it", where);
    }
    const std::string& text = value.get_ref<const std::string&>();
    Source source;
    if (is_hf_name(text)) {
      source = parse_hf(text, where);
    } else {
      source.path = text.starts_with("~/") ? home_folder() / text.substr(2) : carat_home / text;
    }
    users.push_back({parts->stem, parts->tuning, parts->quant, std::move(source)});
  }
  table.num_users_ = users.size();
  table.entries_.insert(table.entries_.begin(), users.begin(), users.end());
  return table;
}

std::optional<Source> NameTable::lookup(std::string_view text) const {
  const std::optional<Parts> parts = split_name(text);
  if (!parts) return std::nullopt;
  const std::string wanted = parts->quant.empty() ? std::string(kDefaultQuant) : parts->quant;
  // The user's entries before those that are built in, and of each the one that says exactly this before those that mean it too.
  for (const bool of_user : {true, false}) {
    for (const bool exact : {true, false}) {
      for (size_t i = of_user ? 0 : num_users_; i < (of_user ? num_users_ : entries_.size()); ++i) {
        const Entry& entry = entries_[i];
        if (entry.stem != parts->stem || entry.tuning != parts->tuning || (entry.quant == parts->quant) != exact) continue;
        if (!entry.quant.empty() && entry.quant != wanted) continue;
        Source source = entry.source;
        source.name = text;
        if (!parts->revision.empty()) source.revision = parts->revision;
        if (entry.quant.empty() && source.path.empty()) {
          const bool fixed = !source.quant.empty();
          if (fixed && !parts->quant.empty() && parts->quant != source.quant) continue;  // an entry for one quantisation, and another was asked for
          if (!fixed && !parts->quant.empty()) source.want = Want::quantised;
          if (!fixed) source.quant = wanted;
        } else if (entry.quant.empty() && !parts->quant.empty()) {
          continue;  // a path is one file: nobody knows whether it is of that quantisation
        }
        return source;
      }
    }
  }
  return std::nullopt;
}

Source NameTable::find(std::string_view text) const {
  if (auto source = lookup(text)) return std::move(*source);
  const std::optional<Parts> parts = split_name(text);
  if (!parts) {
    fail(ErrorCode::invalid_argument, "'{}' is no name for a model, write it as gemma4:e2b or gemma4:e2b-it-q8_0, or as hf:OWNER/REPO",
         text.substr(0, kMaxName));
  }
  const std::string family = parts->stem.substr(0, parts->stem.find(':') + 1);
  std::vector<std::string> known;
  for (const Entry& entry : entries_) {
    if (entry.stem.starts_with(family) && std::find(known.begin(), known.end(), entry.stem) == known.end() && known.size() < 20) known.push_back(entry.stem);
  }
  std::string list;
  for (const std::string& name : known) list += (list.empty() ? "" : ", ") + name;
  fail(ErrorCode::not_found, "there is no such name, {}{}, give hf:OWNER/REPO, the path of a file or folder, or add the name to {}", text,
       known.empty() ? std::string() : " (of that family there are " + list + ", each tuned as -it)",
       users_file_.empty() ? "CARAT_HOME/names.json" : users_file_);
}

std::string NameTable::name_of(std::string_view repo, std::string_view label) const {
  std::string best;
  for (const Entry& entry : entries_) {
    if (entry.source.repo != repo) continue;
    std::string quant = entry.quant;
    if (entry.source.want == Want::folder || label.empty()) {
      if (!label.empty() || entry.source.want == Want::quantised) continue;
    } else if (!entry.source.quant.empty()) {
      if (entry.source.quant != label) continue;
    } else if (label != kDefaultQuant) {
      quant = label;
    }
    const std::string tuning = entry.tuning == "it" ? "" : "-" + entry.tuning;
    const std::string name = entry.stem + tuning + (quant.empty() ? "" : "-" + lower(quant));
    if (best.empty() || name.size() < best.size()) best = name;
  }
  return best;
}

std::vector<Source> NameTable::local() const {
  std::vector<Source> list;
  for (const Entry& entry : entries_) {
    if (entry.source.path.empty()) continue;
    list.push_back(entry.source);
    list.back().name = entry.stem + (entry.tuning == "it" ? "" : "-" + entry.tuning) + (entry.quant.empty() ? "" : "-" + lower(entry.quant));
  }
  return list;
}

}  // namespace carat::hub
