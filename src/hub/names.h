#pragma once
// What a user writes for a model -> where it is to be had. Names are FAMILY:SIZE[-it|-pt][-QUANT], any case, and stand in a table that users extend;
// hf:OWNER/REPO[:QUANT] needs no table. Both may end in @REVISION.
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace carat::hub {

// What is wanted of a repository.
enum class Want : uint8_t {
  quantised,  // the GGUF model whose file name carries the label
  file,       // the GGUF file of this path
  folder,     // config.json, the tokenizer and *.safetensors
  any,        // Q4_K_M, else the only GGUF model there is, else the folder
};

struct Source {
  std::string name;  // as the user wrote it, for messages
  std::string repo;  // OWNER/REPO; empty: `path` says where it is
  std::string revision = "main";
  Want want = Want::any;
  std::string quant;           // quantised: the label in capitals ("Q4_K_M"); file: the path inside the repository
  std::filesystem::path path;  // an entry of names.json that names a file or folder of the user's
};

// Whether a text is meant as a name: hf:..., or word:word without a slash. Says nothing about whether there is such a name.
bool looks_like_a_name(std::string_view text);

// Whether it begins with "hf:", in any case.
bool is_hf_name(std::string_view text);

// OWNER/REPO as the hub allows it: two words of A-Z a-z 0-9 - _ . of at most 96 characters each; no ".." or "--", no '.' or '-' at an end.
bool is_repo_id(std::string_view text);
// A branch, tag, commit or "refs/pr/1": words of A-Z a-z 0-9 - _ . between slashes, no word of dots only, at most 200 characters.
bool is_revision(std::string_view text);

// hf:OWNER/REPO[:QUANT][@REVISION]; QUANT may also be the path of a .gguf file in the repository, or "safetensors": the folder. `where` begins the message of a failure: invalid_argument.
Source parse_hf(std::string_view text, std::string_view where);

class NameTable {
 public:
  // The names that are built in.
  NameTable();
  // Those, and before them the user's: CARAT_HOME/names.json, an object of strings, at most 1 MiB and 10,000 names:
  //   {"gemma4:e2b-it": "hf:OWNER/REPO", "mine:small": "hf:OWNER/REPO:Q8_0@main", "mine:local": "/data/model.gguf"}
  // A key without -QUANT stands for every quantisation unless its value has one. Paths may begin with ~/ and are else relative to CARAT_HOME.
  // Fails with corrupt, invalid_argument (naming the file and the key), io.
  static NameTable load(const std::filesystem::path& carat_home);

  // nullopt: it is no name, or the table has none such.
  std::optional<Source> lookup(std::string_view text) const;
  // Fails with invalid_argument when it cannot be a name, not_found when the table has none such (the message lists those of the family).
  Source find(std::string_view text) const;
  // The shortest name for a repository's model of this label ("" = the folder); empty: none in the table.
  std::string name_of(std::string_view repo, std::string_view label) const;
  // The user's names that stand for files and folders of this machine.
  std::vector<Source> local() const;

 private:
  struct Entry {
    std::string stem;    // "gemma4:e2b"
    std::string tuning;  // "it", "pt"
    std::string quant;   // in capitals; empty: any
    Source source;       // its quant is empty: the one that is asked for
  };
  std::vector<Entry> entries_;  // first the user's
  size_t num_users_ = 0;
  std::string users_file_;  // for messages
};

}  // namespace carat::hub
