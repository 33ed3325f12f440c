#include "hub/partial_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <random>

#include "base/error.h"
#include "base/file.h"

namespace carat::hub {
namespace {

namespace fs = std::filesystem;

std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

TEST(RangeSet, KeepsNeighboursTogether) {
  RangeSet set;
  set.add({10, 20});
  set.add({30, 40});
  set.add({5, 5});
  EXPECT_EQ(set.ranges().size(), 2u);
  set.add({20, 30});
  EXPECT_EQ(set.ranges(), (std::vector<ByteRange>{{10, 40}}));
  set.add({0, 100});
  EXPECT_EQ(set.ranges(), (std::vector<ByteRange>{{0, 100}}));
  EXPECT_EQ(set.total(), 100u);
}

TEST(RangeSet, AgreesWithAMarkForEveryByte) {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    constexpr uint64_t kSize = 64;
    RangeSet done, under_way;
    std::vector<bool> mark(kSize), mark_both(kSize);
    for (int i = 0; i < 12; ++i) {
      const uint64_t begin = random() % kSize, end = std::min<uint64_t>(kSize, begin + random() % 9);
      RangeSet& set = i % 3 == 0 ? under_way : done;
      set.add({begin, end});
      for (uint64_t at = begin; at < end; ++at) {
        mark_both[at] = true;
        if (i % 3 != 0) mark[at] = true;
      }
    }
    EXPECT_EQ(done.total(), static_cast<uint64_t>(std::count(mark.begin(), mark.end(), true)));
    const ByteRange gap = RangeSet::first_gap(done, under_way, kSize, 5);
    const auto first = static_cast<uint64_t>(std::find(mark_both.begin(), mark_both.end(), false) - mark_both.begin());
    if (first == kSize) {
      EXPECT_EQ(gap.size(), 0u);
      continue;
    }
    EXPECT_EQ(gap.begin, first);
    EXPECT_LE(gap.size(), 5u);
    for (uint64_t at = gap.begin; at < gap.end; ++at) EXPECT_FALSE(mark_both[at]);
    EXPECT_TRUE(gap.size() == 5 || gap.end == kSize || mark_both[gap.end]);
    EXPECT_EQ(read_journal(journal_text(done, kSize), kSize), done);
  }
}

TEST(RangeSet, AJournalThatIsNotExactlyOneClaimsNothing) {
  EXPECT_EQ(read_journal(R"({"carat_journal":1,"size":9,"on_disk":[[0,4],[5,9]]})", 9).total(), 8u);
  for (const char* text :
       {"", "{", "null", "[]", "{}", R"({"carat_journal":1,"size":8,"on_disk":[[0,4]]})", R"({"carat_journal":2,"size":9,"on_disk":[[0,4]]})",
        R"({"carat_journal":1,"size":9,"on_disk":[[0,10]]})", R"({"carat_journal":1,"size":9,"on_disk":[[4,2]]})",
        R"({"carat_journal":1,"size":9,"on_disk":[[3,5],[0,2]]})", R"({"carat_journal":1,"size":9,"on_disk":[[-1,5]]})",
        R"({"carat_journal":1,"size":9,"on_disk":[[0]]})", R"({"carat_journal":1,"size":9,"on_disk":7})", R"({"carat_journal":"1","size":9,"on_disk":[[0,4]]})",
        R"({"carat_journal":1,"size":9})", R"({"carat_journal":1,"size":9,"on_disk":[[0,18446744073709551616]]})"}) {
    EXPECT_TRUE(read_journal(text, 9).ranges().empty()) << text;
  }
}

class PartialFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("carat_partial_" + std::to_string(::getpid()));
    fs::create_directories(folder_);
    blob_ = folder_ / "blob";
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::vector<std::string> names() const {
    std::vector<std::string> list;
    for (const auto& entry : fs::directory_iterator(folder_)) list.push_back(entry.path().filename());
    std::sort(list.begin(), list.end());
    return list;
  }
  fs::path folder_, blob_;
};

TEST_F(PartialFileTest, GoesOnWithWhatTheJournalClaimsAndNoMore) {
  {
    PartialFile file(blob_, 10);
    file.write(6, bytes("ghi"));
    file.write(0, bytes("ab"));
    file.flush();
    file.write(2, bytes("cd"));  // not in the journal: as if the program were killed now
  }
  EXPECT_FALSE(fs::exists(blob_));
  PartialFile file(blob_, 10);
  EXPECT_EQ(file.done().ranges(), (std::vector<ByteRange>{{0, 2}, {6, 9}}));
  file.write(2, bytes("cdef"));
  file.write(9, bytes("j"));
  ASSERT_TRUE(file.complete());
  file.finish();
  EXPECT_EQ(read_text_file(blob_, 100), "abcdefghij");
  EXPECT_EQ(names(), std::vector<std::string>{"blob"});
}

TEST_F(PartialFileTest, BeginsAnewWhenJournalAndFileDoNotBelongTogether) {
  {
    PartialFile file(blob_, 10);
    file.write(0, bytes("abcd"));
    file.flush();
  }
  EXPECT_TRUE(PartialFile(blob_, 12).done().ranges().empty()) << "another size";
  {
    PartialFile file(blob_, 12);
    file.write(0, bytes("abcd"));
    file.flush();
  }
  fs::remove(folder_ / "blob.carat.incomplete");
  EXPECT_TRUE(PartialFile(blob_, 12).done().ranges().empty()) << "the bytes are gone";
  std::ofstream(folder_ / "blob.carat.journal") << "garbage";
  EXPECT_TRUE(PartialFile(blob_, 12).done().ranges().empty()) << "no journal";
}

TEST_F(PartialFileTest, TheJournalIsWrittenMeanwhile) {
  PartialFile file(blob_, 10);
  file.write(0, bytes("abc"));
  file.checkpoint();
  file.write(3, bytes("def"));
  file.checkpoint();  // too soon
  file.flush();
  EXPECT_EQ(read_journal(read_text_file(folder_ / "blob.carat.journal", 1000), 10).total(), 6u);
}

TEST_F(PartialFileTest, RestartForgetsEverything) {
  {
    PartialFile file(blob_, 4);
    file.write(0, bytes("abcd"));
    file.flush();
    file.restart();
    EXPECT_FALSE(file.complete());
    file.write(0, bytes("wx"));
  }
  PartialFile file(blob_, 4);
  EXPECT_TRUE(file.done().ranges().empty());
  PartialFile::discard(blob_);
  EXPECT_EQ(names(), std::vector<std::string>{});
}

TEST_F(PartialFileTest, WhatIsLargerThanTheDiskIsRefusedAndLeavesNothing) {
  try {
    PartialFile file(blob_, uint64_t{1} << 55);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::exhausted) << error.what();
  }
  EXPECT_EQ(names(), std::vector<std::string>{});
}

TEST_F(PartialFileTest, AnEmptyFileIsCompleteAtOnce) {
  PartialFile file(blob_, 0);
  EXPECT_TRUE(file.complete());
  file.finish();
  EXPECT_EQ(fs::file_size(blob_), 0u);
}

}  // namespace
}  // namespace carat::hub
