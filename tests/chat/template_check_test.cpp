#include <gtest/gtest.h>

#include <chrono>
#include <fstream>

#include "base/error.h"
#include "chat/chat_cases.h"
#include "chat/foreign_templates.h"
#include "chat/jinja_template.h"
#include "chat/published_templates.h"
#include "text/vocabularies.h"

namespace carat::test {
namespace {

TokenizerPtr tiny_e2b() { return Tokenizer::load(std::filesystem::path(CARAT_SOURCE_DIR) / "tests/golden/models/tiny-e2b-Q4_K_M.gguf"); }

std::string name_of(const std::string& chat_template) {
  const TemplateCheck check = check_template(chat_template);
  EXPECT_TRUE(check.has_template);
  EXPECT_EQ(check.differences.empty(), check.format != nullptr);
  return check.format == nullptr ? "" : check.format->name();
}

std::string replaced(std::string text, const std::string& what, const std::string& with) {
  const size_t at = text.find(what);
  EXPECT_NE(at, std::string::npos) << what;
  return at == std::string::npos ? text : text.replace(at, what.size(), with);
}

std::string all_replaced(std::string text, const std::string& what, const std::string& with) {
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + with.size())) text.replace(at, what.size(), with);
  return text;
}

std::string without_comments(std::string text) {
  for (size_t at; (at = text.find("{#")) != std::string::npos;) text.erase(at, text.find("#}", at) + 2 - at);
  return text;
}

TEST(TemplateCheck, KnowsATemplateByWhatItPrints) {
  if (!have_rust()) GTEST_SKIP() << kNoRust;
  const std::string spring = tiny_e2b()->chat_template();
  EXPECT_EQ(name_of(spring), "gemma4 (spring, large)");
  ASSERT_NE(without_comments(spring), spring);
  EXPECT_EQ(name_of(without_comments(spring)), "gemma4 (spring, large)");
  EXPECT_EQ(name_of(all_replaced(spring, "\n    ", "\n")), "gemma4 (spring, large)");
  EXPECT_EQ(name_of(all_replaced(spring, "ns_turn", "renamed")), "gemma4 (spring, large)");
  EXPECT_EQ(name_of(replaced(spring, "{%- if not enable_thinking | default(false) -%}", "{%- if false -%}")), "gemma4 (spring, small)");
  if (have_golden()) {
    EXPECT_EQ(name_of(read_text_file(golden("chat/google-gemma-4-31B-it-interleaved.jinja"), 1 << 20)), "gemma4 (interleaved, large)");
  }
}

// Without running it: also where templates cannot be run. What it prints is compared as well, with a text that differs by a comment.
TEST(TemplateCheck, KnowsPublishedTemplatesByTheirText) {
  const std::string spring = tiny_e2b()->chat_template();
  ASSERT_NE(published_format(spring), nullptr);
  EXPECT_EQ(published_format(spring)->name(), "gemma4 (spring, large)");
  EXPECT_EQ(published_format(spring + "\n")->name(), "gemma4 (spring, large)");
  EXPECT_EQ(published_format(spring + "x"), nullptr);
  EXPECT_EQ(published_format(""), nullptr);
  EXPECT_EQ(check_template(spring).format->name(), "gemma4 (spring, large)");
  if (have_rust()) {
    EXPECT_EQ(name_of("{# a comment #}" + spring), "gemma4 (spring, large)");
  }
}

// Templates that are not here: a folder of files named like the format they have to be taken for ("gemma4 (canonical, small).jinja").
TEST(TemplateCheck, KnowsTheTemplatesOfAFolder) {
  if (!have_rust()) GTEST_SKIP() << kNoRust;
  const char* folder = std::getenv("CARAT_TEMPLATES");
  if (folder == nullptr) GTEST_SKIP() << "no folder of templates is named in CARAT_TEMPLATES";
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string text = read_text_file(entry.path(), 1 << 20);
    EXPECT_EQ(name_of("{# a comment #}" + text), entry.path().stem());
    const auto published = published_format(text);
    EXPECT_TRUE(published == nullptr || published->name() == entry.path().stem()) << entry.path();
  }
}

TEST(TemplateCheck, SaysWhereAnotherTemplateDiffers) {
  if (!have_rust()) GTEST_SKIP() << kNoRust;
  const std::string spring = tiny_e2b()->chat_template();
  const TemplateCheck check = check_template(replaced(spring, "'<|turn>model\\n'", "'<|turn>model: '"));
  EXPECT_EQ(check.format, nullptr);
  ASSERT_GE(check.differences.size(), 2u);
  EXPECT_LE(check.differences.size(), 9u);
  EXPECT_NE(check.differences[0].find("nearest is gemma4 (spring, large)"), std::string::npos) << check.differences[0];
  EXPECT_NE(check.differences[1].find("one question: at byte 39 it prints"), std::string::npos) << check.differences[1];
  EXPECT_NE(check.differences[1].find("model: "), std::string::npos) << check.differences[1];
  for (const char* source : {"{{ messages[0].content }}", "<|turn>{% if %}", "<start_of_turn>{{ messages[0].content }}"}) {
    const TemplateCheck foreign = check_template(source);
    EXPECT_EQ(foreign.format, nullptr) << source;
    EXPECT_FALSE(foreign.differences.empty()) << source;
  }
  EXPECT_FALSE(check_template("").has_template);
}

TEST(TemplateCheck, KnowsGemma3) {
  if (!have_rust()) GTEST_SKIP() << kNoRust;
  const std::string source =
      "{{ bos_token }}{% set ns = namespace(prefix='', at=0) %}{% for m in messages %}{% if loop.first and m.role == 'system' %}{% set ns.prefix = m.content + "
      "'\\n\\n' %}{% else %}"
      "{% if (m.role == 'user') != (ns.at % 2 == 0) %}{{ raise_exception('take turns') }}{% endif %}<start_of_turn>{{ 'model' if m.role == 'assistant' else "
      "m.role }}\n{{ ns.prefix }}"
      "{% set ns.prefix = '' %}{% set ns.at = ns.at + 1 %}{% if m.content is string %}{{ m.content | trim }}{% else %}{% for p in m.content %}{{ p.text | trim "
      "if p.type == 'text' else '<start_of_image>' }}{% endfor %}{% endif %}"
      "<end_of_turn>\n{% endif %}{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}";
  EXPECT_EQ(name_of(source), "gemma3") << check_template(source).differences[1];
  EXPECT_EQ(name_of(replaced(source, "| trim", "")), "");
}

TEST(TemplateCheck, IsQuick) {
  if (!have_rust()) GTEST_SKIP() << kNoRust;
  const std::string spring = tiny_e2b()->chat_template();
  check_template(spring);
  double best = 1;
  for (int i = 0; i < 5; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    check_template(spring);
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  RecordProperty("milliseconds", std::to_string(best * 1e3));
  if (std::getenv("CARAT_SANITIZED") == nullptr) {
    EXPECT_LT(best, 0.020);
  }
}

std::string chosen(const Tokenizer& tokenizer, const FormatChoice& choice, std::string* note = nullptr) {
  const auto format = choose_format(tokenizer, choice, note);
  return format == nullptr ? "" : format->name();
}

class NoTemplate : public Tokenizer {
 public:
  explicit NoTemplate(TokenizerPtr inner, std::string chat_template = "") : inner_(std::move(inner)) { chat_template_ = std::move(chat_template); }
  std::vector<TokenId> encode(std::string_view text, const EncodeOptions& options) const override { return inner_->encode(text, options); }
  int32_t vocab_size() const override { return inner_->vocab_size(); }
  TokenKind kind(TokenId id) const override { return inner_->kind(id); }
  std::string_view piece(TokenId id) const override { return inner_->piece(id); }
  std::optional<TokenId> find(std::string_view text) const override { return inner_->find(text); }

 private:
  TokenizerPtr inner_;
};

TEST(ChooseFormat, WithoutATemplateGoesByTheVocabulary) {
  const NoTemplate four(tiny_tokenizer());
  std::string note = "old";
  EXPECT_EQ(chosen(four, {}, &note), "gemma4 (canonical, large)");
  EXPECT_EQ(note, "");
  EXPECT_EQ(chosen(four, {.chat_template = "", .per_layer_embeddings = true}), "gemma4 (canonical, small)");
  EXPECT_EQ(chosen(four, {.chat_template = "builtin", .per_layer_embeddings = true}), "gemma4 (canonical, small)");
  EXPECT_THROW(chosen(four, {.chat_template = "model", .per_layer_embeddings = false}), Error);
  EXPECT_THROW(chosen(four, {.chat_template = "/nonesuch.jinja", .per_layer_embeddings = false}), Error);
  if (missing_gemma3().empty()) {
    EXPECT_EQ(chosen(*gemma3_tokenizer(), {}), "");
    EXPECT_EQ(chosen(*gemma3_tokenizer(), {.chat_template = "builtin", .per_layer_embeddings = false}), "gemma3");
  }
}

TEST(ChooseFormat, TakesTheModelsOwnTemplateWhenItIsKnown) {
  if (!have_rust()) GTEST_SKIP() << kNoRust;
  std::string note;
  EXPECT_EQ(chosen(*tiny_e2b(), {.chat_template = "", .per_layer_embeddings = true}, &note), "gemma4 (spring, large)");
  EXPECT_EQ(note, "");
  EXPECT_EQ(chosen(*tiny_e2b(), {.chat_template = "model", .per_layer_embeddings = true}), "gemma4 (spring, large)");
  const NoTemplate changed(tiny_tokenizer(), replaced(tiny_e2b()->chat_template(), "'<|turn>model\\n'", "'<|turn>model: '"));
  EXPECT_EQ(chosen(changed, {}, &note), "gemma4 (canonical, large)");
  EXPECT_NE(note.find("nearest is gemma4 (spring, large)"), std::string::npos) << note;
  EXPECT_EQ(chosen(changed, {.chat_template = "model", .per_layer_embeddings = false}), "jinja");
  const auto path = std::filesystem::path(testing::TempDir()) / "template_check_test.jinja";
  std::ofstream(path) << "{{ messages[0].content }}";
  EXPECT_EQ(chosen(changed, {.chat_template = path.string(), .per_layer_embeddings = false}), "jinja");
  std::ofstream(path) << "{% if %}";
  EXPECT_THROW(chosen(changed, {.chat_template = path.string(), .per_layer_embeddings = false}), Error);
  std::ofstream(path) << tiny_e2b()->chat_template();
  EXPECT_EQ(chosen(changed, {.chat_template = path.string(), .per_layer_embeddings = false}), "gemma4 (spring, large)");
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace carat::test
