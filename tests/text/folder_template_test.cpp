#include "text/folder_template.h"

#include <gtest/gtest.h>

#include <map>

#include "base/error.h"

namespace carat {
namespace {

std::string of(const std::map<std::string, std::string, std::less<>>& files) {
  const auto read = [&](std::string_view name) -> std::optional<std::string> {
    const auto it = files.find(name);
    return it == files.end() ? std::nullopt : std::optional(it->second);
  };
  return folder_template(read, "folder");
}

TEST(FolderTemplate, TheFileOfItsOwnComesFirst) {
  EXPECT_EQ(of({}), "");
  EXPECT_EQ(of({{"chat_template.jinja", "A"}, {"tokenizer_config.json", R"({"chat_template":"B"})"}}), "A");
  EXPECT_EQ(of({{"chat_template.json", R"({"chat_template":"C"})"}, {"tokenizer_config.json", R"({"chat_template":"B"})"}}), "C");
  EXPECT_EQ(of({{"tokenizer_config.json", R"({"bos_token":"<bos>","chat_template":"B"})"}}), "B");
  EXPECT_EQ(of({{"tokenizer_config.json", R"({"bos_token":"<bos>"})"}}), "");
}

TEST(FolderTemplate, OfNamedOnesTheDefault) {
  EXPECT_EQ(of({{"tokenizer_config.json", R"({"chat_template":[{"name":"tool_use","template":"T"},{"name":"default","template":"D"}]})"}}), "D");
  EXPECT_EQ(of({{"tokenizer_config.json", R"({"chat_template":[{"name":"tool_use","template":"T"},7]})"}}), "");
}

TEST(FolderTemplate, WhatIsNoTemplateIsSaid) {
  EXPECT_THROW(of({{"tokenizer_config.json", R"({"chat_template":7})"}}), Error);
  EXPECT_THROW(of({{"tokenizer_config.json", R"({"chat_template":)"}}), Error);
  EXPECT_EQ(of({{"tokenizer_config.json", R"({"note":"\"chat_template\""})"}}), "");
}

}  // namespace
}  // namespace carat
