#include "hub/names.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "base/error.h"

namespace carat::hub {
namespace {

namespace fs = std::filesystem;

template <typename Fn>
std::string error_of(Fn&& fn, ErrorCode code) {
  try {
    fn();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "nothing failed";
  return "";
}

TEST(Names, WhatIsLeftOutMeansTunedAndQ4KM) {
  const NameTable names;
  for (const char* text : {"gemma4:e2b", "GEMMA4:E2B", "gemma4:e2b-it", "gemma4:e2b-q4_K_M", "Gemma4:e2b-IT-Q4_k_m"}) {
    const Source source = names.find(text);
    EXPECT_EQ(source.repo, "ggml-org/gemma-4-E2B-it-GGUF") << text;
    EXPECT_EQ(source.quant, "Q4_K_M") << text;
    EXPECT_EQ(source.want, Want::quantised) << text;
    EXPECT_EQ(source.revision, "main") << text;
    EXPECT_EQ(source.name, text);
  }
}

TEST(Names, TheTableSaysWhereEachIs) {
  const NameTable names;
  const auto at = [&](const char* name) {
    const Source source = names.find(name);
    return source.repo + " " + (source.want == Want::folder ? "folder" : source.quant);
  };
  EXPECT_EQ(at("gemma4:e4b-q8_0"), "ggml-org/gemma-4-E4B-it-GGUF Q8_0");
  EXPECT_EQ(at("gemma4:26b"), "ggml-org/gemma-4-26B-A4B-it-GGUF Q4_K_M");
  EXPECT_EQ(at("gemma4:31b-q4_K_M"), "ggml-org/gemma-4-31B-it-GGUF Q4_K_M");
  EXPECT_EQ(at("gemma4:12b"), "bartowski/gemma-4-12B-it-GGUF Q4_K_M");
  EXPECT_EQ(at("gemma4:e2b-qat"), "google/gemma-4-E2B-it-qat-q4_0-gguf Q4_0");
  EXPECT_EQ(at("gemma4:26b-it-qat"), "google/gemma-4-26B-A4B-it-qat-q4_0-gguf Q4_0");
  EXPECT_EQ(at("gemma4:31b-bf16"), "google/gemma-4-31B-it folder");
  EXPECT_EQ(at("gemma3:4b"), "ggml-org/gemma-3-4b-it-GGUF Q4_K_M");
  EXPECT_EQ(at("gemma3:27b-ud-q4_k_xl"), "ggml-org/gemma-3-27b-it-GGUF UD-Q4_K_XL");
}

TEST(Names, ARevisionStandsAtTheEnd) {
  EXPECT_EQ(NameTable().find("gemma4:e2b-q8_0@v1.0").revision, "v1.0");
  EXPECT_EQ(parse_hf("hf:me/model@refs/pr/1", "").revision, "refs/pr/1");
  for (const char* text : {"hf:me/model:Q8_0@dev", "hf:me/model@dev:q8_0", "HF:me/model:q8_0@dev"}) {
    const Source source = parse_hf(text, "");
    EXPECT_EQ(source.repo + " " + source.quant + " " + source.revision, "me/model Q8_0 dev") << text;
  }
}

TEST(Names, AFileOrTheFolderMayBeNamed) {
  const Source file = parse_hf("hf:me/model:sub/Model-x.gguf", "");
  EXPECT_EQ(file.want, Want::file);
  EXPECT_EQ(file.quant, "sub/Model-x.gguf");
  EXPECT_EQ(parse_hf("hf:me/model:safetensors", "").want, Want::folder);
  EXPECT_EQ(parse_hf("hf:me/model", "").want, Want::any);
}

TEST(Names, WhatCannotBeANameIsRefused) {
  for (const char* text : {"hf:",        "hf:model",    "hf:a/b/c",   "hf:../etc",      "hf:a/..",          "hf:a/b..c",
                           "hf:a--b/c",  "hf:/a",       "hf:a/",      "hf:a/b:",        "hf:a/b@",          "hf:a/b:x:y",
                           "hf:a/b@x@y", "hf:a/b@../x", "hf:a/b@/x",  "hf:a/b@.hidden", "hf:a/b:../x.gguf", "hf:a/b c",
                           "hf:a/b.git", "hf:.a/b",     "hf:a/b?x=1", "hf:a\n/b"}) {
    error_of([&] { parse_hf(text, "MODEL"); }, ErrorCode::invalid_argument);
  }
  for (const char* text : {"gemma4:", ":e2b", "gemma4:-it", "gemma4:e2b/..", "ge mma:1b", "gemma4:e2b@", "gemma4:e2b@..", "gemma4:e2b:q8_0"}) {
    error_of([&] { NameTable().find(text); }, ErrorCode::invalid_argument);
  }
  error_of([] { parse_hf("hf:a/" + std::string(100'000, 'b'), "MODEL"); }, ErrorCode::invalid_argument);
}

TEST(Names, AnUnknownNameListsItsFamily) {
  const std::string message = error_of([] { NameTable().find("gemma4:7b"); }, ErrorCode::not_found);
  EXPECT_NE(message.find("gemma4:e2b, gemma4:e4b, gemma4:12b, gemma4:26b, gemma4:31b"), std::string::npos) << message;
  EXPECT_NE(message.find("names.json"), std::string::npos) << message;
  error_of([] { NameTable().find("gemma4:e2b-pt"); }, ErrorCode::not_found);
  error_of([] { NameTable().find("llama:8b"); }, ErrorCode::not_found);
}

TEST(Names, LookLikeOne) {
  for (const char* text : {"gemma4:e2b", "hf:a/b", "HF:a/b:x@y", "mine:x@refs/pr/1"}) EXPECT_TRUE(looks_like_a_name(text)) << text;
  for (const char* text : {"model.gguf", "dir/gemma4:e2b", "./x:y", "", ":", "a b:c"}) EXPECT_FALSE(looks_like_a_name(text)) << text;
}

class UserNames : public ::testing::Test {
 protected:
  void SetUp() override {
    home_ = fs::temp_directory_path() / ("carat_names_" + std::to_string(::getpid()));
    fs::create_directories(home_);
  }
  void TearDown() override { fs::remove_all(home_); }
  NameTable load(std::string_view json) {
    std::ofstream(home_ / "names.json") << json;
    return NameTable::load(home_);
  }
  fs::path home_;
};

TEST_F(UserNames, ExtendAndReplaceTheTable) {
  const NameTable names =
      load(R"({"gemma4:e2b": "hf:me/better-GGUF@v2", "mine:small-pt": "hf:me/base:Q8_0", "mine:small-pt-bf16": "hf:me/base-folder:safetensors",
    "mine:local": "models/x.gguf", "mine:far": "/data/y.gguf"})");
  EXPECT_EQ(names.find("gemma4:e2b-q6_k").repo, "me/better-GGUF");
  EXPECT_EQ(names.find("gemma4:e2b-q6_k").quant, "Q6_K");
  EXPECT_EQ(names.find("gemma4:e2b").want, Want::any);
  EXPECT_EQ(names.find("gemma4:e2b").revision, "v2");
  EXPECT_EQ(names.find("gemma4:e4b").repo, "ggml-org/gemma-4-E4B-it-GGUF");
  EXPECT_EQ(names.find("mine:small-pt").quant, "Q8_0");
  EXPECT_EQ(names.find("mine:small-pt-bf16").want, Want::folder);
  error_of([&] { names.find("mine:small-pt-q4_0"); }, ErrorCode::not_found);  // the entry is for Q8_0
  error_of([&] { names.find("mine:small"); }, ErrorCode::not_found);          // it is the pre-trained one
  EXPECT_EQ(names.find("Mine:Local").path, home_ / "models/x.gguf");
  EXPECT_EQ(names.find("mine:far").path, "/data/y.gguf");
  EXPECT_EQ(names.local().size(), 2u);
}

TEST_F(UserNames, ErrorsNameTheFileAndTheKey) {
  const std::string file = (home_ / "names.json").string();
  for (const char* json : {"[]", "{", "{\"a:b\": 1, \"a:b\": 2}", "\"x\""})
    EXPECT_NE(error_of([&] { load(json); }, ErrorCode::corrupt).find(file), std::string::npos);
  for (const char* json :
       {R"({"bad": "hf:a/b"})", R"({"bad:x": 1})", R"({"bad:x": ""})", R"({"bad:x": "hf:a"})", R"({"bad:x@main": "hf:a/b"})", R"({"bad:x/y": "hf:a/b"})"}) {
    const std::string message = error_of([&] { load(json); }, ErrorCode::invalid_argument);
    EXPECT_NE(message.find(file), std::string::npos) << message;
    EXPECT_NE(message.find("\"bad"), std::string::npos) << message;
  }
  error_of([&] { load(std::string(2 << 20, ' ')); }, ErrorCode::exhausted);
}

TEST_F(UserNames, TheShortestNameIsFoundAgain) {
  const NameTable names = load(R"({"tiny:x": "hf:me/tiny:Q8_0", "e:f": "hf:me/folder:safetensors"})");
  EXPECT_EQ(names.name_of("ggml-org/gemma-4-E2B-it-GGUF", "Q4_K_M"), "gemma4:e2b");
  EXPECT_EQ(names.name_of("ggml-org/gemma-4-E2B-it-GGUF", "Q8_0"), "gemma4:e2b-q8_0");
  EXPECT_EQ(names.name_of("google/gemma-4-E2B-it-qat-q4_0-gguf", "Q4_0"), "gemma4:e2b-qat");
  EXPECT_EQ(names.name_of("google/gemma-4-E2B-it", ""), "gemma4:e2b-bf16");
  EXPECT_EQ(names.name_of("me/tiny", "Q8_0"), "tiny:x");
  EXPECT_EQ(names.name_of("me/tiny", "Q4_0"), "");
  EXPECT_EQ(names.name_of("me/folder", ""), "e:f");
  EXPECT_EQ(names.name_of("someone/else", "Q4_K_M"), "");
  for (const char* name : {"gemma4:e2b", "gemma4:e2b-q8_0", "gemma4:e2b-qat", "tiny:x"}) {
    const Source source = names.find(name);
    EXPECT_EQ(names.name_of(source.repo, source.quant), name);
  }
}

TEST_F(UserNames, AnEntryForTheDefaultIsMeantByTheShortName) {
  const NameTable names =
      load(R"({"mine:x-it-q4_k_m": "hf:me/x:m-Q4_K_M.gguf", "gemma4:e2b-q4_k_m": "hf:me/better", "mine:y-q4_k_m": "b.gguf", "mine:y": "a.gguf"})");
  EXPECT_EQ(names.find("mine:x").repo, "me/x");
  error_of([&] { names.find("mine:x-q8_0"); }, ErrorCode::not_found);
  EXPECT_EQ(names.find("gemma4:e2b").repo, "me/better") << "before what is built in";
  EXPECT_EQ(names.find("gemma4:e2b-q8_0").repo, "ggml-org/gemma-4-E2B-it-GGUF");
  EXPECT_EQ(names.find("mine:y").path, home_ / "a.gguf") << "what is written exactly comes first";
  EXPECT_EQ(names.find("mine:y-q4_k_m").path, home_ / "b.gguf");
  EXPECT_FALSE(names.lookup("mine:z"));
  EXPECT_FALSE(names.lookup("no name"));
}

TEST_F(UserNames, ATableThatCannotBeReadIsNotAnEmptyOne) {
  EXPECT_FALSE(NameTable::load(home_ / "nowhere").lookup("mine:x"));
  for (const char* target : {"names.json", "nowhere"}) {  // a loop; nothing
    fs::create_symlink(target, home_ / "names.json");
    EXPECT_THROW(NameTable::load(home_), Error) << target;
    fs::remove(home_ / "names.json");
  }
}

}  // namespace
}  // namespace carat::hub
