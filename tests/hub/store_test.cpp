#include "hub/store.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "base/error.h"
#include "base/file.h"
#include "hub/file_lock.h"
#include "hub/removal.h"
#include "hub/shared_blobs.h"

namespace carat::hub {
namespace {

namespace fs = std::filesystem;

const std::string kOld(40, 'a'), kNew(40, 'b');
const std::string kRepo = "me/model-GGUF";

// 64 hex digits that begin with a letter of one's choice.
std::string digest(char c) { return std::string(64, c); }

class Store : public ::testing::Test {
 protected:
  void SetUp() override {
    layout_.root = fs::temp_directory_path() / ("carat_store_" + std::to_string(::getpid()));
    fs::remove_all(layout_.root);
  }
  void TearDown() override { fs::remove_all(layout_.root); }
  void add(const std::string& commit, const std::string& path, char etag, const std::string& contents) {
    fs::create_directories(layout_.blobs(kRepo));
    std::ofstream(layout_.blob(kRepo, digest(etag))) << contents;
    link_blob(layout_, kRepo, commit, path, digest(etag));
  }
  static Source source(const std::string& tail = "") { return parse_hf("hf:" + kRepo + tail, "test"); }
  Layout layout_;
};

TEST_F(Store, LinksLeadFromTheSnapshotToTheBlobs) {
  add(kNew, "sub/dir/m-Q8_0.gguf", '1', "weights");
  write_ref(layout_, kRepo, "refs/pr/1", kNew);
  EXPECT_EQ(fs::read_symlink(layout_.snapshot(kRepo, kNew) / "sub/dir/m-Q8_0.gguf"), "../../../../blobs/" + digest('1'));
  EXPECT_EQ(read_text_file(layout_.root / "models--me--model-GGUF/refs/refs/pr/1", 100), kNew);
  EXPECT_EQ(refs_to(layout_, kRepo, kNew), std::vector<std::string>{"refs/pr/1"});
  EXPECT_EQ(cached_repos(layout_), std::vector<std::string>{kRepo});
  EXPECT_EQ(snapshot_files(layout_.snapshot(kRepo, kNew)), std::vector<std::string>{"sub/dir/m-Q8_0.gguf"});
  add(kNew, "sub/dir/m-Q8_0.gguf", '2', "other");  // replaced
  EXPECT_EQ(read_text_file(layout_.snapshot(kRepo, kNew) / "sub/dir/m-Q8_0.gguf", 100), "other");
}

TEST_F(Store, TheRevisionCountsThenWhateverHasIt) {
  add(kOld, "m-Q4_K_M.gguf", '1', "old");
  add(kOld, "m-Q8_0.gguf", '3', "old too");
  EXPECT_EQ(find_stored(layout_, source())->commit, kOld) << "no ref, but it is here";
  add(kNew, "m-Q4_K_M.gguf", '2', "new");
  write_ref(layout_, kRepo, "main", kNew);
  EXPECT_EQ(find_stored(layout_, source())->commit, kNew);
  EXPECT_EQ(find_stored(layout_, source(":q8_0"))->commit, kOld);
  EXPECT_EQ(find_stored(layout_, source("@" + kOld))->commit, kOld);
  EXPECT_FALSE(find_stored(layout_, source(":q8_0@" + kNew)));
  EXPECT_FALSE(find_stored(layout_, source("@dev")));
  EXPECT_FALSE(find_stored(layout_, source(":q5_0")));
  EXPECT_EQ(find_stored(layout_, source())->size(), 3u);
}

TEST_F(Store, WhatIsNotWholeIsNotFound) {
  add(kNew, "m-Q4_K_M-00001-of-00002.gguf", '1', "one");
  EXPECT_FALSE(find_stored(layout_, source()));
  add(kNew, "m-Q4_K_M-00002-of-00002.gguf", '2', "two");
  ASSERT_TRUE(find_stored(layout_, source()));
  EXPECT_EQ(find_stored(layout_, source())->path.filename(), "m-Q4_K_M-00001-of-00002.gguf");
  fs::remove(layout_.blob(kRepo, digest('2')));  // a link that leads nowhere is no file
  EXPECT_FALSE(find_stored(layout_, source()));
}

TEST_F(Store, AFolderNeedsEveryFileOfItsIndex) {
  add(kNew, "config.json", '1', "{}");
  add(kNew, "a.safetensors", '2', "x");
  add(kNew, "model.safetensors.index.json", '3', R"({"weight_map":{"w":"a.safetensors","v":"b.safetensors"}})");
  EXPECT_FALSE(find_stored(layout_, source(":safetensors")));
  EXPECT_TRUE(read_store(layout_).models.empty());
  add(kNew, "b.safetensors", '4', "y");
  EXPECT_EQ(find_stored(layout_, source(":safetensors"))->path, layout_.snapshot(kRepo, kNew));
  EXPECT_EQ(read_store(layout_).models.size(), 1u);
  EXPECT_EQ(display_name(NameTable(), read_store(layout_).models[0]), "hf:me/model-GGUF:safetensors@" + kNew);
}

// What list shows must be what other commands take.
TEST_F(Store, ARefThatIsNoRevisionIsNotPartOfAName) {
  add(kNew, "m-Q4_K_M.gguf", '1', "x");
  fs::create_directories(layout_.refs(kRepo));
  std::ofstream(layout_.refs(kRepo) / "a+b") << kNew;
  EXPECT_EQ(display_name(NameTable(), read_store(layout_).models.at(0)), "hf:me/model-GGUF:Q4_K_M@" + kNew);
  write_ref(layout_, kRepo, "v2", kNew);
  EXPECT_EQ(display_name(NameTable(), read_store(layout_).models.at(0)), "hf:me/model-GGUF:Q4_K_M@v2");
}

TEST_F(Store, OddThingsInTheCacheArePassedOver) {
  add(kNew, "m-Q4_K_M.gguf", '1', "x");
  for (const char* name : {"models--x", "models--..--..", "models----", "datasets--a--b", "models--a--b--c--", ".locks"})
    fs::create_directories(layout_.root / name);
  fs::create_directories(layout_.snapshots(kRepo) / "no-commit");
  std::ofstream(layout_.root / "models--file--file") << "x";
  fs::create_directories(layout_.refs(kRepo));
  std::ofstream(layout_.refs(kRepo) / "main") << "../../../etc";
  EXPECT_EQ(read_store(layout_).models.size(), 1u);
  EXPECT_EQ(find_stored(layout_, source())->commit, kNew);
}

TEST_F(Store, RemovalKeepsWhatOthersUse) {
  add(kOld, "m-Q4_K_M.gguf", '1', std::string(100, 'x'));
  add(kOld, "mmproj-f16.gguf", '5', std::string(7, 'p'));
  add(kNew, "m-Q4_K_M.gguf", '1', std::string(100, 'x'));
  add(kNew, "m-Q8_0.gguf", '2', std::string(1000, 'y'));
  add(kNew, "mmproj-f16.gguf", '5', std::string(7, 'p'));
  add(kNew, "README.md", '6', "read me");
  write_ref(layout_, kRepo, "main", kNew);

  // In one revision: the contents stay for the other.
  Removal plan = plan_removal(layout_, source("@main"), true);
  EXPECT_EQ(plan.bytes, 0u);
  EXPECT_EQ(plan.links.size(), 1u);
  EXPECT_EQ(remove(layout_, plan), 0u);
  EXPECT_TRUE(find_stored(layout_, source("@" + kOld)));
  EXPECT_FALSE(find_stored(layout_, source(":q4_k_m@" + kNew)));

  // Everywhere: the towers stay for Q8_0, the old snapshot goes as a whole.
  plan = plan_removal(layout_, source(":q4_k_m"), false);
  EXPECT_EQ(plan.bytes, 100u);
  EXPECT_EQ(remove(layout_, plan), 100u);
  EXPECT_FALSE(fs::exists(layout_.snapshot(kRepo, kOld)));
  EXPECT_EQ(find_stored(layout_, source(":q8_0"))->files.size(), 2u);

  // The last one: nothing of the repository is left.
  EXPECT_EQ(remove(layout_, plan_removal(layout_, source(":q8_0"), false)), 1000u + 7 + 7);
  EXPECT_FALSE(fs::exists(layout_.repo(kRepo)));
  EXPECT_THROW(plan_removal(layout_, source(), false), Error);
}

TEST_F(Store, RemovalTakesTheSameModelEverywhere) {
  add(kOld, "m-Q8_0.gguf", '2', "the only one here");
  add(kNew, "m-Q4_K_M.gguf", '1', "default");
  write_ref(layout_, kRepo, "main", kNew);
  remove(layout_, plan_removal(layout_, source(), false));  // without a quantisation: Q4_K_M, as it is found in main
  EXPECT_TRUE(find_stored(layout_, source(":q8_0")));
}

TEST_F(Store, RemovalFollowsNoLinkOutOfTheStore) {
  const fs::path precious = layout_.root / "precious";
  fs::create_directories(layout_.snapshot(kRepo, kNew));
  std::ofstream(precious) << "x";
  fs::create_symlink(precious, layout_.snapshot(kRepo, kNew) / "m-Q4_K_M.gguf");
  EXPECT_EQ(remove(layout_, plan_removal(layout_, source(), false)), 0u);
  EXPECT_TRUE(fs::exists(precious));
  EXPECT_FALSE(fs::exists(layout_.repo(kRepo)));
}

// A folder of the user's that was put into the store by a link is used, never emptied.
TEST_F(Store, RemovalKeepsTheFilesOfALinkedSnapshot) {
  const fs::path mine = layout_.root / "mine";
  fs::create_directories(mine);
  std::ofstream(mine / "m-Q4_K_M.gguf") << "x";
  std::ofstream(mine / "thesis.txt") << "years";
  fs::create_directories(layout_.snapshots(kRepo));
  fs::create_directory_symlink(mine, layout_.snapshot(kRepo, kNew));
  EXPECT_TRUE(find_stored(layout_, source()));
  EXPECT_THROW(remove(layout_, plan_removal(layout_, source(), false)), Error);
  EXPECT_TRUE(fs::exists(mine / "thesis.txt"));
  EXPECT_TRUE(fs::exists(mine / "m-Q4_K_M.gguf"));
}

TEST_F(Store, RemovalWorksWithoutLinksToo) {
  fs::create_directories(layout_.snapshot(kRepo, kNew));
  std::ofstream(layout_.snapshot(kRepo, kNew) / "m-Q4_K_M.gguf") << "12345";
  EXPECT_EQ(find_stored(layout_, source())->size(), 5u);
  EXPECT_EQ(remove(layout_, plan_removal(layout_, source(), false)), 5u);
  EXPECT_FALSE(fs::exists(layout_.repo(kRepo)));
}

TEST_F(Store, WhatIsBeingPulledIsNotRemoved) {
  fs::create_directories(layout_.blobs(kRepo));
  std::ofstream(layout_.blobs(kRepo) / (digest('7') + ".carat.incomplete")) << "12345678";
  ASSERT_EQ(read_store(layout_).unfinished.size(), 1u);
  const Removal plan = plan_removal(layout_, source(), false);
  {
    const auto lock = FileLock::try_take(layout_.lock(kRepo, digest('7')));
    ASSERT_TRUE(lock);
    EXPECT_THROW(remove(layout_, plan), Error);
    EXPECT_FALSE(FileLock::try_take(layout_.lock(kRepo, digest('7'))));
  }
  remove(layout_, plan);
  EXPECT_FALSE(fs::exists(layout_.repo(kRepo)));
}

TEST_F(Store, SharedContentsGoWithTheLastLink) {
  // As huggingface_hub lays it out: CACHE/blobs/XX/HASH, a list of links beside it, a marker.
  const std::string hash = digest('c');
  const fs::path shared = layout_.root / "blobs/cc" / hash;
  fs::create_directories(shared.parent_path());
  std::ofstream(layout_.root / "blobs/.huggingface-shared-blobs") << "1\n";
  std::ofstream(shared) << std::string(50, 's');
  const auto share = [&](const std::string& repo) {
    fs::create_directories(layout_.blobs(repo));
    const fs::path blob = layout_.blob(repo, digest('1'));
    fs::create_symlink(shared.lexically_relative(blob.parent_path()), blob);
    std::ofstream(shared.string() + ".refs", std::ios::app) << blob.lexically_relative(layout_.root).string() << "\n";
    link_blob(layout_, repo, kNew, "m-Q4_K_M.gguf", digest('1'));
  };
  share(kRepo);
  share("you/model");
  EXPECT_EQ(find_stored(layout_, source())->size(), 50u);
  EXPECT_EQ(remove(layout_, plan_removal(layout_, source(), false)), 0u);
  EXPECT_TRUE(fs::exists(shared));
  const Source other = parse_hf("hf:you/model", "test");
  EXPECT_EQ(plan_removal(layout_, other, false).bytes, 50u);
  EXPECT_EQ(remove(layout_, plan_removal(layout_, other, false)), 50u);
  EXPECT_FALSE(fs::exists(shared));
}

}  // namespace
}  // namespace carat::hub
