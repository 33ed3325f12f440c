#pragma once
// What is done with a spoilt file: everything a program does with it, up to a few tokens. A call may end well or with carat::Error, in no other way.
#include <filesystem>
#include <span>
#include <string_view>

namespace carat::fuzz {

struct Target {
  std::string_view name;
  void (*run)(const std::filesystem::path& path);  // path: what a user would give: a file or a folder
};

std::span<const Target> targets();

void open_checkpoint(const std::filesystem::path& path);
void load_tokenizer(const std::filesystem::path& path);
void read_model_config(const std::filesystem::path& path);
void run_model(const std::filesystem::path& path);
void parse_side_files(const std::filesystem::path& path);
void parse_answers(const std::filesystem::path& path);

}  // namespace carat::fuzz
