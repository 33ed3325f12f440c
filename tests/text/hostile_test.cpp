// Vocabularies that are wrong on purpose: each is refused with an Error that names the file and what is wrong in it.
#include <gtest/gtest.h>

#include <fstream>
#include <limits>

#include "base/error.h"
#include "formats/gguf_write.h"
#include "text/vocabularies.h"

namespace carat::test {
namespace {

std::filesystem::path temp_file(const std::string& end) {
  const auto* info = testing::UnitTest::GetInstance()->current_test_info();
  return std::filesystem::path(testing::TempDir()) / ("carat_text_" + std::to_string(::getpid()) + "_" + info->name() + end);
}

// Loads, and expects the refusal to hold `what` and the file's name.
void expect_refused(const std::filesystem::path& path, ErrorCode code, const std::string& what) {
  try {
    Tokenizer::load(path);
    ADD_FAILURE() << "accepted; expected: " << what;
  } catch (const Error& e) {
    const std::string message = e.what();
    EXPECT_EQ(to_string(e.code()), to_string(code)) << message;
    EXPECT_NE(message.find(what), std::string::npos) << message << "\nexpected in it: " << what;
    EXPECT_NE(message.find(path.filename().string()), std::string::npos) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  }
  std::filesystem::remove(path);
}

std::filesystem::path put_json(const std::string& text) {
  const auto path = temp_file(".json");
  std::ofstream(path, std::ios::binary) << text;
  return path;
}
void refuse_json(const std::string& text, const std::string& what, ErrorCode code = ErrorCode::corrupt) { expect_refused(put_json(text), code, what); }

// A good small file with one of its parts replaced.
struct JsonParts {
  std::string vocab = R"({"<bos>":0,"<unk>":1,"a":2,"b":3,"ab":4,"<0x41>":5})";
  std::string merges = R"(["a b"])";
  std::string added = R"([{"id":0,"content":"<bos>","special":true}])";
  std::string type = "\"BPE\"";
  std::string text() const {
    return "{\"added_tokens\":" + added + ",\"model\":{\"type\":" + type + ",\"byte_fallback\":true,\"vocab\":" + vocab + ",\"merges\":" + merges + "}}";
  }
};

TEST(HostileJson, TheGoodFileIsGood) {
  const auto path = put_json(JsonParts{}.text());
  const TokenizerPtr tokenizer = Tokenizer::load(path);
  EXPECT_EQ(tokenizer->encode("abba"), (Ids{0, 4, 3, 2}));
  EXPECT_EQ(tokenizer->encode("A"), (Ids{0, 5}));
  std::filesystem::remove(path);
}

TEST(HostileJson, NoJson) {
  for (const std::string text : {"", "{", "[1,2", "nonsense", "{\"model\":{\"vocab\":{\"a\":0}", "\xFF\xFE", "{\"model\":\"\\ud800\"}"})
    refuse_json(text, "not valid JSON");
  refuse_json(std::string(100000, '['), "not valid JSON");
  std::string deep = JsonParts{}.text();
  deep.insert(1, "\"x\":" + std::string(5000, '[') + std::string(5000, ']') + ",");
  refuse_json(deep, "not valid JSON");
}

TEST(HostileJson, PartsMissingOrOfAnotherKind) {
  refuse_json("{}", "model.vocab");
  refuse_json("[]", "model.vocab");
  refuse_json("1", "model.vocab");
  refuse_json("null", "model.vocab");
  refuse_json(R"({"model":{"merges":[]}})", "model.vocab");
  refuse_json(R"({"model":{"vocab":{"a":0}}})", "model.merges");
  for (const char* value : {"null", "3", "\"x\"", "[]"}) refuse_json(JsonParts{.vocab = value}.text(), "model.vocab");
  for (const char* value : {"null", "3", "\"x\"", "{}"}) refuse_json(JsonParts{.merges = value}.text(), "model.merges");
  refuse_json(JsonParts{.vocab = "{}", .merges = "[]", .added = "[]"}.text(), "vocabulary of 0 pieces");
  refuse_json(JsonParts{.type = "\"Unigram\""}.text(), "Unigram", ErrorCode::unsupported);
}

TEST(HostileJson, Ids) {
  refuse_json(JsonParts{.vocab = R"({"a":-1,"b":3,"ab":4})"}.text(), "-1");
  refuse_json(JsonParts{.vocab = R"({"a":2,"b":2,"ab":4})"}.text(), "token id 2 is given twice");
  refuse_json(JsonParts{.added = R"([{"id":2,"content":"<bos>","special":true}])"}.text(), "token id 2 is given twice");
  for (const char* id : {"1.5", "\"2\"", "null", "true", "18446744073709551615", "99999999999999999999999", "[2]"}) {
    refuse_json(JsonParts{.vocab = std::string(R"({"b":3,"ab":4,"a":)") + id + "}"}.text(), std::string_view(id).size() > 20 ? "" : "model.vocab");
  }
  for (const char* id : {"100000", "2147483647", "2147483648", "4294967296", "9223372036854775807"}) {
    refuse_json(JsonParts{.vocab = std::string(R"({"b":3,"ab":4,"a":)") + id + "}"}.text(), "scattered");
    refuse_json(JsonParts{.added = std::string(R"([{"content":"<bos>","special":true,"id":)") + id + "}]"}.text(), "scattered");
  }
  refuse_json(JsonParts{.added = R"([{"id":-5,"content":"<bos>","special":true}])"}.text(), "-5");
  for (const char* added : {R"([{"content":"<bos>"}])", R"([{"id":0}])", "[3]", "[null]", R"([{"id":0,"content":7}])", R"([{"id":0.5,"content":"x"}])"}) {
    refuse_json(JsonParts{.added = added}.text(), "added_tokens");
  }
}

TEST(HostileJson, Merges) {
  for (const char* merge : {"\"ab\"", "\"\"", "\" \"", "\"a \"", "\" a\"", "\"a\"", "[\"a\"]", "[\"a\",\"b\",\"c\"]", "[\"a\",3]", "[]", "3", "null", "{}"}) {
    refuse_json(JsonParts{.merges = std::string("[") + merge + "]"}.text(), "merge");
  }
  refuse_json(JsonParts{.merges = R"(["a b","a x"])"}.text(), "merge 1");
  refuse_json(JsonParts{.merges = R"(["x b"])"}.text(), "merge 0");
  refuse_json(JsonParts{.merges = R"(["b a"])"}.text(), "merge 0");
  // Text must not be able to become a special token.
  refuse_json(JsonParts{.vocab = R"({"<bos>":0,"<":1,"bos>":2})", .merges = R"(["< bos>"])"}.text(), "special");
}

TEST(HostileJson, ByteTokens) {
  for (const char* byte : {"<0x-1>", "<0x 1>", "<0x+1>", "<0xG0>", "<0x0x>", "<0x..>"}) {
    refuse_json(JsonParts{.vocab = std::string(R"({"<bos>":0,"a":2,"b":3,"ab":4,")") + byte + "\":5}"}.text(), "piece 5");
  }
}

// Special texts are looked for at every place of a text: what they cost is bounded.
TEST(HostileJson, SpecialTexts) {
  refuse_json(JsonParts{.added = R"([{"id":7,"special":true,"content":")" + std::string(2000, 'x') + "\"}]"}.text(), "special token 7");
  std::string added = "[";
  for (int id = 10; id < 2000; ++id)
    added += R"({"id":)" + std::to_string(id) + R"(,"special":true,"content":")" + std::to_string(id) + std::string(1000, 'x') + "\"},";
  added.back() = ']';
  refuse_json(JsonParts{.added = added}.text(), "special tokens");
}

TEST(HostileJson, LongPieces) { refuse_json(JsonParts{.vocab = R"({"<bos>":0,"a":2,"b":3,"ab":4,")" + std::string(1 << 20, 'x') + "\":5}"}.text(), "piece 5"); }

// The order of the entries means nothing, holes are tokens that stand for nothing, and what is not known is not minded.
TEST(HostileJson, OddButGood) {
  std::string vocab = "{";
  for (int id = 69999; id > 4; --id) vocab += "\"w" + std::to_string(id) + "\":" + std::to_string(id) + ",";
  vocab += R"("ab":4,"b":3,"a":2,"<bos>":0})";
  auto path = put_json(JsonParts{.vocab = vocab}.text());
  EXPECT_EQ(Tokenizer::load(path)->encode("ab"), (Ids{0, 4}));
  path = put_json(JsonParts{.vocab = R"({"<bos>":0,"a":20,"b":30,"ab":40})", .merges = R"([["a","b"],["a","b"]])"}.text());
  TokenizerPtr tokenizer = Tokenizer::load(path);
  EXPECT_EQ(tokenizer->vocab_size(), 41);
  EXPECT_EQ(tokenizer->encode("ab"), (Ids{0, 40}));
  EXPECT_EQ(tokenizer->decode({1, 2, 40, 39}), "ab");
  EXPECT_FALSE(tokenizer->find("").has_value());
  std::filesystem::remove(path);
}

// Added tokens: special ones only where they are asked for, though their text be one character of any text; the others in any text.
TEST(HostileJson, AddedTokens) {
  JsonParts parts{.merges = "[]"};
  parts.added = R"([{"id":2,"content":"a","special":true},{"id":3,"content":"b","special":false},{"id":9,"content":"zz","special":false}])";
  const auto path = put_json(parts.text());
  const TokenizerPtr tokenizer = Tokenizer::load(path);
  EXPECT_EQ(tokenizer->encode("aAbzz", kParsed), (Ids{2, 5, 3, 9}));
  EXPECT_EQ(tokenizer->encode("aAbzz", kText), (Ids{1, 5, 3, 9}));
  EXPECT_EQ(tokenizer->decode({2, 5, 3, 9}), "Abzz");
  std::filesystem::remove(path);
}

TEST(HostileJson, CutAnywhere) {
  const std::string good = read_text_file(text_data("tiny_tokenizer.json"), 1 << 20);
  for (size_t n = 0; n + 2 < good.size(); n += 97) refuse_json(good.substr(0, n), "");
}

// The same for GGUF files.
struct GgufParts {
  std::string model = "gemma4";
  std::vector<std::string> tokens = {"<bos>", "<unk>", "a", "b", "ab", "<0x41>"};
  std::vector<int32_t> kinds = {3, 2, 1, 1, 1, 6};
  std::vector<std::string> merges = {"a b"};
  std::vector<float> scores = {0, 0, -2, -3, -1, 0};
  int64_t bos = 0, eos = 0;
  std::vector<int32_t> suppress = {};
  std::string without = {};  // a key that is left out

  std::filesystem::path put() const {
    GgufWriter w;
    const auto add = [&](const std::string& key, const auto& value) {
      if (key == without) return;
      if constexpr (requires { w.add("tokenizer.ggml." + key, value); }) {
        w.add("tokenizer.ggml." + key, value);
      } else {
        w.add_array("tokenizer.ggml." + key, value);
      }
    };
    w.add("general.architecture", "gemma4");
    add("model", std::string_view(model));
    add("tokens", tokens);
    add("token_type", kinds);
    add("merges", merges);
    add("scores", scores);
    add("bos_token_id", bos);
    add("eos_token_id", eos);
    if (!suppress.empty()) add("suppress_tokens", suppress);
    const auto path = temp_file(".gguf");
    w.write(path);
    return path;
  }
};
void refuse_gguf(const GgufParts& parts, const std::string& what, ErrorCode code = ErrorCode::corrupt) { expect_refused(parts.put(), code, what); }

TEST(HostileGguf, TheGoodFilesAreGood) {
  for (const char* model : {"gemma4", "llama"}) {
    const auto path = GgufParts{.model = model}.put();
    EXPECT_EQ(Tokenizer::load(path)->encode("abba"), (Ids{0, 4, 3, 2}));
    EXPECT_EQ(Tokenizer::load(path)->encode("A"), (Ids{0, 5}));
    std::filesystem::remove(path);
  }
}

TEST(HostileGguf, KeysMissing) {
  refuse_gguf({.without = "model"}, "tokenizer.ggml.model", ErrorCode::not_found);
  refuse_gguf({.without = "tokens"}, "tokenizer.ggml.tokens");
  refuse_gguf({.without = "token_type"}, "tokenizer.ggml.token_type");
  refuse_gguf({.without = "merges"}, "tokenizer.ggml.merges");
  refuse_gguf({.model = "llama", .without = "scores"}, "tokenizer.ggml.scores");
  for (const char* model : {"gpt2", "bert", "", "Gemma4", "none"}) refuse_gguf({.model = model}, "tokenizer.ggml.model", ErrorCode::unsupported);
}

TEST(HostileGguf, LengthsOfLists) {
  refuse_gguf({.tokens = {}, .kinds = {}, .merges = {}}, "vocabulary of 0");
  refuse_gguf({.kinds = {3, 2, 1, 1, 1}}, "token_type has 5 entries for 6");
  refuse_gguf({.kinds = {3, 2, 1, 1, 1, 6, 1}}, "token_type has 7 entries for 6");
  refuse_gguf({.model = "llama", .scores = {0, 0, 0}}, "3 scores for 6");
  refuse_gguf({.model = "llama", .scores = {0, 0, 0, 0, 0, 0, 0}}, "7 scores for 6");
}

TEST(HostileGguf, Values) {
  for (const int32_t kind : {0, 7, -1, 1000000}) refuse_gguf({.kinds = {3, 2, 1, kind, 1, 6}}, "token_type is " + std::to_string(kind) + " for token 3");
  refuse_gguf({.model = "llama", .scores = {0, 0, 0, std::numeric_limits<float>::quiet_NaN(), 0, 0}}, "piece 3 is not a number");
  for (const int64_t id : {int64_t{-1}, int64_t{6}, int64_t{1} << 31, int64_t{1} << 32, std::numeric_limits<int64_t>::min()}) {
    refuse_gguf({.bos = id}, "bos_token_id is " + std::to_string(id));
    refuse_gguf({.eos = id}, "eos_token_id is " + std::to_string(id));
  }
  refuse_gguf({.suppress = {6}}, "suppress_tokens names 6");
  refuse_gguf({.suppress = {0, -1}}, "suppress_tokens names -1");
  for (const char* byte : {"<0x-1>", "<0x1>", "<0x100>", "A", "", "<0xG0>"}) {
    refuse_gguf({.tokens = {"<bos>", "<unk>", "a", "b", "ab", byte}}, "piece 5");
  }
  refuse_gguf({.tokens = {"<bos>", "<unk>", "a", "b", "ab", "<0x41>", std::string(1 << 20, 'x')}, .kinds = {3, 2, 1, 1, 1, 6, 1}}, "piece 6");
}

TEST(HostileGguf, Merges) {
  for (const char* merge : {"ab", "", " ", "a ", " a", "a"}) refuse_gguf({.merges = {"a b", merge}}, "merge 1");
  for (const char* merge : {"a x", "x b", "b a", "a a"}) refuse_gguf({.merges = {"a b", merge}}, "merge 1");
  refuse_gguf({.tokens = {"ab", "<unk>", "a", "b", "-", "<0x41>"}}, "merge 0");  // what it makes is special
  refuse_gguf({.tokens = {"-", "ab", "a", "b", "+", "<0x41>"}}, "merge 0");
}

// Scores that are infinite or all the same give an order all the same; the leftmost pair goes first.
TEST(HostileGguf, OddButGood) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  auto path = GgufParts{.model = "llama", .tokens = {"<bos>", "<unk>", "a", "b", "ab", "ba"}, .kinds = {3, 2, 1, 1, 1, 1}, .scores = {0, 0, 0, 0, 0, 0}}.put();
  EXPECT_EQ(Tokenizer::load(path)->encode("aba", kText), (Ids{4, 2}));
  path = GgufParts{.model = "llama", .tokens = {"<bos>", "<unk>", "a", "b", "ab", "ba"}, .kinds = {3, 2, 1, 1, 1, 1}, .scores = {kInf, 0, 0, 0, -kInf, kInf}}
             .put();
  EXPECT_EQ(Tokenizer::load(path)->encode("aba", kText), (Ids{2, 5}));
  // Pieces of any bytes, a text twice, no byte tokens: what cannot be written is <unk>.
  path = GgufParts{.tokens = {"<bos>", "<unk>", "a", "b", "ab", "\xFF\xC3"}, .kinds = {3, 2, 1, 1, 1, 1}}.put();
  EXPECT_EQ(Tokenizer::load(path)->encode("ab\xFF\xC3z", kText), (Ids{4, 1, 1, 1}));
  EXPECT_EQ(Tokenizer::load(path)->decode({5}), "\uFFFD\uFFFD");
  path = GgufParts{.tokens = {"<bos>", "<unk>", "a", "a", "ab", "b"}, .kinds = {3, 2, 1, 1, 1, 1}}.put();
  EXPECT_EQ(Tokenizer::load(path)->encode("ab", kText), (Ids{4}));
  std::filesystem::remove(path);
}

TEST(HostilePaths, SayWhatIsMissing) {
  const auto folder = temp_file("_folder");
  std::filesystem::create_directories(folder);
  expect_refused(folder, ErrorCode::not_found, "tokenizer.json");
  expect_refused(folder / "nothing.json", ErrorCode::not_found, "nothing.json");
  expect_refused(folder / "nothing.gguf", ErrorCode::not_found, "nothing.gguf");
}

}  // namespace
}  // namespace carat::test
