#include "cli/model_name.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "base/error.h"

namespace carat::cli {
namespace {

namespace fs = std::filesystem;

class ModelName : public ::testing::Test {
 protected:
  void SetUp() override {
    home_ = fs::temp_directory_path() / ("carat_model_name_" + std::to_string(::getpid()));
    fs::create_directories(home_ / "models");
    ::setenv("CARAT_HOME", home_.c_str(), 1);
    ::setenv("HF_HOME", home_.c_str(), 1);
    ::setenv("HF_HUB_OFFLINE", "1", 1);  // no test asks the network
  }
  void TearDown() override {
    fs::remove_all(home_);
    for (const char* name : {"CARAT_HOME", "HF_HOME", "HF_HUB_OFFLINE"}) ::unsetenv(name);
  }
  static ErrorCode code_of(const std::string& model) {
    try {
      resolve_model(model);
    } catch (const Error& error) {
      return error.code();
    }
    ADD_FAILURE() << model << " was found";
    return ErrorCode::internal;
  }
  fs::path home_;
};

TEST_F(ModelName, AnExistingPathIsTakenAsItIs) {
  std::ofstream(home_ / "gemma4:e2b") << "x";  // even if it looks like a name
  EXPECT_EQ(resolve_model((home_ / "gemma4:e2b").string()), home_ / "gemma4:e2b");
  EXPECT_EQ(resolve_model(home_.string()), home_);
}

TEST_F(ModelName, TheDefaultModelIsFoundUnderTheHome) {
  const fs::path file = home_ / "models" / "gemma-3-270m-q4_k_m.gguf";
  std::ofstream(file) << "x";
  for (const char* name : {"gemma3:270m", "GEMMA3:270M", "gemma3:270m-pt", "gemma3:270m-q4_K_M", "gemma3:270m-pt-q4_k_m"})
    EXPECT_EQ(resolve_model(name), file) << name;
}

TEST_F(ModelName, AUsersNameStandsForAFile) {
  std::ofstream(home_ / "names.json") << R"({"mine:x": "models/x.gguf", "mine:gone": "nowhere.gguf"})";
  std::ofstream(home_ / "models" / "x.gguf") << "x";
  EXPECT_EQ(resolve_model("Mine:X"), home_ / "models/x.gguf");
  EXPECT_EQ(code_of("mine:gone"), ErrorCode::not_found);
}

TEST_F(ModelName, AUserMayGiveTheDefaultModelsNameToAnother) {
  std::ofstream(home_ / "models" / "gemma-3-270m-q4_k_m.gguf") << "x";
  std::ofstream(home_ / "models" / "mine.gguf") << "x";
  std::ofstream(home_ / "names.json") << R"({"gemma3:270m": "models/mine.gguf"})";
  EXPECT_EQ(resolve_model("gemma3:270m"), home_ / "models/mine.gguf");
  EXPECT_TRUE(default_model("gemma3:270m").empty());
  EXPECT_EQ(resolve_model("gemma3:270m-pt"), home_ / "models/gemma-3-270m-q4_k_m.gguf");
}

TEST_F(ModelName, WhatIsInTheStoreNeedsNoNetwork) {
  const fs::path snapshot = home_ / "hub/models--ggml-org--gemma-4-E2B-it-GGUF/snapshots" / std::string(40, 'a');
  fs::create_directories(snapshot);
  std::ofstream(snapshot / "gemma-4-E2B-it-Q4_K_M.gguf") << "x";
  EXPECT_EQ(resolve_model("gemma4:e2b"), snapshot / "gemma-4-E2B-it-Q4_K_M.gguf");
  EXPECT_EQ(resolve_model("hf:ggml-org/gemma-4-E2B-it-GGUF:q4_k_m"), snapshot / "gemma-4-E2B-it-Q4_K_M.gguf");
  EXPECT_EQ(code_of("gemma4:e2b-q8_0"), ErrorCode::not_found);
}

TEST_F(ModelName, WhatIsNotHereSaysWhy) {
  EXPECT_EQ(code_of("gemma4:e2b"), ErrorCode::not_found);
  EXPECT_EQ(code_of("gemma3:270m-it"), ErrorCode::not_found);
  EXPECT_EQ(code_of("hf:owner/repository:Q8_0"), ErrorCode::not_found);
  EXPECT_EQ(code_of("hf:owner"), ErrorCode::invalid_argument);
  EXPECT_EQ(code_of("nowhere.gguf"), ErrorCode::not_found);
  EXPECT_EQ(code_of(""), ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace carat::cli
