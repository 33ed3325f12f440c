// What line editing is made of: history, units, keys, completion.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "cli/terminal/completion.h"
#include "cli/terminal/display_width.h"
#include "cli/terminal/edit_units.h"
#include "cli/terminal/history_file.h"
#include "cli/terminal/key_reader.h"

namespace carat::cli {
namespace {

namespace fs = std::filesystem;

class Folder : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "carat-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { fs::remove_all(folder_); }
  fs::path folder_;
};

using History = Folder;

TEST_F(History, IsThereInTheNextRun) {
  const fs::path path = folder_ / "new folder/history";
  HistoryFile first(path);
  for (const char* entry : {"one", "two\nlines \\ and\\n", "\xe4\xb8\xad", "one"}) EXPECT_TRUE(first.add(entry));
  const std::vector<std::string> expected = {"two\nlines \\ and\\n", "\xe4\xb8\xad", "one"};
  EXPECT_EQ(first.entries(), expected) << "an equal entry moves to the end";
  EXPECT_EQ(HistoryFile(path).entries(), expected);
  struct stat status{};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST_F(History, LeavesOut) {
  HistoryFile history(folder_ / "history");
  for (const std::string& entry :
       {std::string(), std::string(" secret"), std::string("bad\xff"), std::string("\x1b[1m"), std::string(HistoryFile::kMaxEntryBytes + 1, 'x')}) {
    EXPECT_TRUE(history.add(entry));
  }
  EXPECT_TRUE(history.entries().empty());
}

TEST_F(History, TakesInWhatAnotherRunAdded) {
  HistoryFile one(folder_ / "history"), other(folder_ / "history");
  one.add("a");
  other.add("b");
  one.add("c");
  EXPECT_EQ(HistoryFile(folder_ / "history").entries(), (std::vector<std::string>{"a", "b", "c"}));
}

TEST_F(History, IsBounded) {
  HistoryFile history(folder_ / "history");
  std::ofstream(folder_ / "history") << std::string(3 * HistoryFile::kMaxEntries, '\n') << "x\n";
  for (size_t i = 0; i < 3; ++i) history.add("entry " + std::to_string(i));
  EXPECT_EQ(history.entries().size(), 4u);
  std::string many;
  for (size_t i = 0; i < HistoryFile::kMaxEntries + 5; ++i) many += std::to_string(i) + "\n";
  std::ofstream(folder_ / "history") << many;
  HistoryFile full(folder_ / "history");
  EXPECT_EQ(full.entries().size(), HistoryFile::kMaxEntries);
  EXPECT_EQ(full.entries().front(), "5");
  full.add("last");
  EXPECT_EQ(HistoryFile(folder_ / "history").entries().size(), HistoryFile::kMaxEntries);
}

TEST_F(History, SurvivesWhatIsInTheFile) {
  std::ofstream(folder_ / "history") << "good\n\xff\xfe\n\x1b[2J\ntrailing \\" << '\0' << "\nlast";
  EXPECT_EQ(HistoryFile(folder_ / "history").entries(), (std::vector<std::string>{"good", "last"}));
  EXPECT_TRUE(HistoryFile(folder_).entries().empty()) << "a folder";
  HistoryFile nowhere("/proc/no/such/history");
  EXPECT_FALSE(nowhere.add("x"));
  EXPECT_EQ(nowhere.entries().size(), 1u);
}

TEST(EditUnits, MarksStayWithTheirCharacters) {
  const Utf8Locale locale;
  EditUnits units;
  const std::string family = "\xf0\x9f\x91\xa8\xe2\x80\x8d\xf0\x9f\x91\xa9";  // man, joiner, woman
  for (const auto& [text, count] : std::vector<std::pair<std::string, size_t>>{{"", 0},
                                                                               {"abc\n\t", 5},
                                                                               {"e\xcc\x81x", 2},
                                                                               {"e\xcc\x81\xcc\xa7", 1},
                                                                               {"\xe4\xb8\xad\xe6\x96\x87", 2},
                                                                               {family, 2},
                                                                               {"\xe2\x9d\xa4\xef\xb8\x8f", 1},
                                                                               {"\xcc\x81", 1},
                                                                               {"\n\xcc\x81", 2},
                                                                               {"\xf0\x9f\xab\xa8", 1},
                                                                               {"\xf3\xb0\x80\x80\xf0\xa9\x80\x80", 2}}) {
    const std::wstring encoded = units.units(text);
    EXPECT_EQ(encoded.size(), count) << text;
    EXPECT_EQ(units.text(encoded), text);
    size_t width = 0;
    for (const wchar_t unit : encoded) {
      const int w = ::wcwidth(unit);
      if (unit >= 0x20) {
        EXPECT_GE(w, 1) << text;
      }
      width += static_cast<size_t>(std::max(w, 0));
    }
    std::string shown;
    for (const wchar_t unit : encoded) shown += units.shown(unit);
    EXPECT_EQ(width, display_width(shown)) << text;
  }
  EXPECT_EQ(units.units("e\xcc\x81"), units.units("e\xcc\x81")) << "the same text, the same unit";
  EXPECT_EQ(units.text(units.units("a\xff")), "a\xef\xbf\xbd");
}

TEST(EditUnits, EndlessMarksEnd) {
  const Utf8Locale locale;
  EditUnits units;
  std::string zalgo = "a";
  for (int i = 0; i < 100000; ++i) zalgo += "\xcc\x81";
  const std::wstring encoded = units.units(zalgo);
  EXPECT_EQ(encoded.size(), 1u);
  EXPECT_LE(units.text(encoded).size(), 64u);
}

std::string shown(uint32_t code) { return code >= 0x20 && code < 0x7f ? std::string(1, static_cast<char>(code)) : fmt::format("<{}>", code); }

class Keys : public testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(::pipe(ends_), 0); }
  void TearDown() override {
    ::close(ends_[0]);
    hang_up();
  }
  void type(std::string_view bytes) { ASSERT_EQ(::write(ends_[1], bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size())); }
  void hang_up() {
    if (ends_[1] >= 0) ::close(ends_[1]);
    ends_[1] = -1;
  }
  // Everything that was typed, as text: characters, <enter>, <paste:...>.
  std::string all() {
    hang_up();
    KeyReader reader(ends_[0]);
    std::string text;
    for (;;) {
      const Key key = reader.next(-1);
      switch (key.kind) {
        case Key::Kind::character: text += shown(key.code); break;
        case Key::Kind::enter: text += "<enter>"; break;
        case Key::Kind::newline: text += "<newline>"; break;
        case Key::Kind::paste: text += fmt::format("<paste:{}>", key.text); break;
        case Key::Kind::interrupt: text += "<interrupt>"; break;
        case Key::Kind::wake: text += "<wake>"; break;
        case Key::Kind::end: return text;
      }
    }
  }
  int ends_[2] = {-1, -1};
};

TEST_F(Keys, CharactersAndEnter) {
  type("ab\xc3\xa9\xf0\x9f\x98\x80\r\n\x03\x01");
  EXPECT_EQ(all(), "ab<233><128512><enter><enter><interrupt><1>");
}

TEST_F(Keys, EscapeSequencesComeThrough) {
  type("\x1b[A\x1b[20x\x1b\rb\x1b");
  EXPECT_EQ(all(), "<27>[A<27>[20x<newline>b<27>");
}

TEST_F(Keys, PastesAreOneKey) {
  type("a\x1b[200~one\r\ntwo\rthree\n\x1b[31m\x07 \xc2\x9b \xff end\r\x1b[201~b");
  EXPECT_EQ(all(), "a<paste:one\ntwo\nthree\n[31m  \xef\xbf\xbd end>b");
}

TEST_F(Keys, PastesThatDoNotEndCanBeLeft) {
  type("\x1b[200~one\x1b[20\x03z");
  EXPECT_EQ(all(), "<paste:one[20>z");
}

TEST_F(Keys, PastesThatAreCutEnd) {
  type("\x1b[200~one");
  EXPECT_EQ(all(), "<paste:one>");
}

TEST_F(Keys, AnInterruptTypedAheadIsFound) {
  KeyReader reader(ends_[0]);
  EXPECT_FALSE(reader.take_interrupt());
  type(
      "a\rdropped\x03"
      "b");
  EXPECT_EQ(reader.next(-1).code, uint32_t{'a'});
  EXPECT_EQ(reader.next(-1).kind, Key::Kind::enter);
  EXPECT_TRUE(reader.take_interrupt());
  EXPECT_FALSE(reader.take_interrupt());
  EXPECT_EQ(reader.next(-1).code, uint32_t{'b'}) << "what was typed after it stays";
}

TEST_F(Keys, BadBytesBecomeReplacements) {
  type("\xff\xc3(\xe4\xb8");
  EXPECT_EQ(all(), "<65533><65533>(<65533><65533>");
}

TEST(Pasted, LineBreaksOfAllKinds) {
  EXPECT_EQ(pasted_text("a\n\nb\r\rc\r\nd\n\re"), "a\n\nb\n\nc\nd\ne");
  EXPECT_EQ(pasted_text("a\n"), "a");
  EXPECT_EQ(pasted_text("\ta\x7f\x00z"), "\ta") << "a C string ends there";
}

using Files = Folder;

TEST_F(Files, AreCompleted) {
  fs::create_directory(folder_ / "data");
  for (const char* name : {"dab", "d b", ".hidden", "other"}) std::ofstream(folder_ / name) << "x";
  const std::string at = folder_.string() + "/";
  EXPECT_EQ(file_names(at + "d"), (std::vector<std::string>{at + "d b", at + "dab", at + "data/"}));
  EXPECT_EQ(file_names(at + ".h"), (std::vector<std::string>{at + ".hidden"}));
  EXPECT_EQ(file_names(at + "data/").size(), 0u);
  EXPECT_TRUE(file_names("/no/such/place/").empty());
}

TEST(Completing, SharesTheBeginning) {
  EXPECT_EQ(common_beginning({"/save ", "/stats", "/system "}), "/s");
  EXPECT_EQ(common_beginning({"\xe4\xb8\xad", "\xe4\xb8\xae"}), "") << "never half a character";
  EXPECT_EQ(common_beginning({"one"}), "one");
  EXPECT_EQ(common_beginning({}), "");
}

TEST(Completing, TablesFit) {
  EXPECT_EQ(candidate_table({"a/one", "a/two/", "a/three"}, 14), "one    two/\nthree\n");
  EXPECT_EQ(candidate_table({"x\x1b[1m"}, 40), "x\\x1b[1m\n");
  EXPECT_EQ(candidate_table({"abcdefgh"}, 4), "abcd\n");
}

}  // namespace
}  // namespace carat::cli
