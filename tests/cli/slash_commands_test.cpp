#include "cli/slash_commands.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "cli/terminal/display_width.h"

namespace carat::cli {
namespace {

using Names = std::vector<std::string>;

TEST(SlashCommands, AreToldFromMessages) {
  for (const char* text : {"", "hello", " /help", "/usr/bin is full", "/", "/ help", "//help", "/1", "/save.json", "a\n/help"})
    EXPECT_FALSE(parse_slash(text)) << text;
  const auto help = parse_slash("/HELP");
  ASSERT_TRUE(help && help->command);
  EXPECT_EQ(help->command->id, SlashCommand::Id::help);
  const auto save = parse_slash("/save  my file.json ");
  ASSERT_TRUE(save && save->command);
  EXPECT_EQ(save->argument, "my file.json");
  const auto system = parse_slash("/system\ntwo\nlines");
  ASSERT_TRUE(system && system->command);
  EXPECT_EQ(system->argument, "two\nlines");
  const auto unknown = parse_slash("/nothing x");
  ASSERT_TRUE(unknown);
  EXPECT_EQ(unknown->command, nullptr);
  EXPECT_EQ(unknown->name, "/nothing");
  for (const char* end : {"/bye", "/exit", "/quit", "/q"}) EXPECT_EQ(parse_slash(end)->command->id, SlashCommand::Id::bye) << end;
}

TEST(SlashCommands, AreCompleted) {
  EXPECT_EQ(complete_slash("/s").candidates, (Names{"/save ", "/stats", "/system "}));
  EXPECT_EQ(complete_slash("/by").candidates, (Names{"/bye"}));
  EXPECT_TRUE(complete_slash("/x").candidates.empty());
  EXPECT_TRUE(complete_slash("s").candidates.empty());
  EXPECT_TRUE(complete_slash("").candidates.empty());
  const Completion words = complete_slash("/think  o");
  EXPECT_EQ(words.start, 8u);
  EXPECT_EQ(words.candidates, (Names{"off", "on"}));
  EXPECT_EQ(complete_slash("/think ").candidates.size(), 4u);
  EXPECT_TRUE(complete_slash("/clear x").candidates.empty());
  EXPECT_TRUE(complete_slash("/unknown x").candidates.empty());
}

TEST(SlashCommands, HelpNamesEachAndFits) {
  for (const size_t columns : {size_t{40}, size_t{80}, size_t{120}}) {
    const std::string help = slash_help(columns);
    for (size_t at = 0; at < help.size();) {
      const size_t end = help.find('\n', at);
      EXPECT_LE(display_width(help.substr(at, end - at)), columns) << help.substr(at, end - at);
      at = end + 1;
    }
    for (const SlashCommand& command : slash_commands()) EXPECT_NE(help.find(command.name), std::string::npos) << command.name;
  }
}

}  // namespace
}  // namespace carat::cli
