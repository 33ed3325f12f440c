#include "chat/jinja_template.h"
#include "chat/foreign_templates.h"

#include <gtest/gtest.h>

#include <chrono>

#include "base/error.h"
#include "chat/chat_cases.h"
#include "text/vocabularies.h"

namespace carat::test {
namespace {

// The template that the tiny model carries: the spring revision.
const std::string& spring_template() {
  static const std::string text = Tokenizer::load(std::filesystem::path(CARAT_SOURCE_DIR) / "tests/golden/models/tiny-e2b-Q4_K_M.gguf")->chat_template();
  return text;
}

std::string run_one(const std::string& chat_template, const Json& variables = Json::object()) {
  try {
    const auto out = run_template(chat_template, {variables});
    return out[0].error.empty() ? out[0].text : "error: " + out[0].error;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
    return std::string("error: ") + error.what();
  }
}

void expect_golden(const std::string& chat_template, const char* name) {
  const auto format = jinja_format(chat_template, *tiny_tokenizer());
  EXPECT_TRUE(format->is_gemma4());
  const auto cases = chat_cases(name);
  ASSERT_GE(cases.size(), 40u);
  for (const ChatCase& c : cases) EXPECT_EQ(format->render(c.messages, c.tools, c.options).text(), c.rendered) << c.name;
}

TEST(JinjaTemplate, SpringRevision) {
  if (!have_rust()) GTEST_SKIP() << kNoRust;
  expect_golden(spring_template(), "spring");
}

TEST(JinjaTemplate, InterleavedRevision) {
  if (!have_rust()) GTEST_SKIP() << kNoRust;
  if (!have_golden()) GTEST_SKIP() << missing_golden();
  expect_golden(read_text_file(golden("chat/google-gemma-4-31B-it-interleaved.jinja"), 1 << 20), "interleaved");
}

TEST(JinjaTemplate, PiecesAreThoseOfTheNativeFormat) {
  if (!have_rust()) GTEST_SKIP() << kNoRust;
  const auto jinja = jinja_format(spring_template(), *tiny_tokenizer());
  const auto native = gemma4_format(Gemma4Revision::spring, true);
  size_t compared = 0;
  for (const ChatCase& c : chat_cases("spring")) {
    const EncodedPrompt a = encode_prompt(*tiny_tokenizer(), jinja->render(c.messages, c.tools, c.options));
    const EncodedPrompt b = encode_prompt(*tiny_tokenizer(), native->render(c.messages, c.tools, c.options));
    EXPECT_EQ(a.token_ids, b.token_ids) << c.name;
    EXPECT_EQ(a.media.size(), b.media.size()) << c.name;
    ++compared;
  }
  EXPECT_GE(compared, 40u);
}

TEST(JinjaTemplate, PrintsAsPythonDoes) {
  if (!have_rust()) GTEST_SKIP() << kNoRust;
  const std::pair<const char*, const char*> cases[] = {
      {"{{ none }} {{ true }} {{ 1e-7 }} {{ 15000000000.0 }} {{ 1e16 }} {{ [1, 'a', none] }}", "None True 1e-07 15000000000.0 1e+16 [1, 'a', None]"},
      {"{{ {'b': 1, 'A': 2} | dictsort }}", "[('A', 2), ('b', 1)]"},
      {"{{ {'a': [1, 2.5, \"é<'\\\"\"], 'b': none} | tojson }}", "{\"a\": [1, 2.5, \"é<'\\\"\"], \"b\": null}"},
      {"{{ [1, {'a': []}] | tojson(indent=2) }}", "[\n  1,\n  {\n    \"a\": []\n  }\n]"},
      {"{{ {'b': 1, 'a': 2} | tojson(separators=(',', ':'), sort_keys=true) }}", "{\"a\":2,\"b\":1}"},
      {"{{ '\x1f a\xc2\x85' | trim }}", "a"},
      {"{{ ['string', 'null'] | upper }}", "['STRING', 'NULL']"},
      {"{{ ' a,b '.strip().split(',') }} {{ {'a': 1}.get('b') }} {{ 'abc'.startswith('ab') }} {{ 'abc'[1:] }}", "['a', 'b'] None True bc"},
      {"{{ 'x' is sequence }} {{ {} is sequence }} {{ 3 is sequence }} {{ {} is mapping }}", "True True False True"},
      {"  {% if true %}\n  a\n  {% endif %}\nb", "  a\nb"},
      {"{%- for i in range(9) -%}{%- if i == 2 -%}{%- break -%}{%- endif -%}{{ i }}{%- endfor -%}", "01"},
      {"{{ undefined }}{% if undefined is defined %}x{% endif %}{{ undefined | default('d') }}", "d"},
      {"{{ strftime_now('%Y') | length }}", "4"}};
  for (const auto& [source, text] : cases) EXPECT_EQ(run_one(source), text) << source;
}

TEST(JinjaTemplate, IsLimited) {
  if (!have_rust()) GTEST_SKIP() << kNoRust;
  const std::pair<std::string, const char*> cases[] = {
      {"{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}", "steps"},
      {"{{ 'a' * 99999999 }}", "steps"},
      {"{% set ns = namespace(x='aaaaaaaa') %}{% for i in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}", "steps"},
      {"{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}", "1 s of processor time or 256 MiB"},
      {"{% set b = 'ab' * 5000000 %}{% for i in range(9999) %}{% if 'ba' * 2500000 + 'x' in b %}{% endif %}{% endfor %}", "steps"},
      {"{% set a = 'a' * 900000 %}{% for i in range(99) %}{{ a }}{% endfor %}", "bytes"},
      {"{% macro f(n) %}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}", "recursion"},
      {"{{ raise_exception('not like\nthis') }}", "the template refuses: not like this"},
      {"{{ messages[0].role }}", "undefined"}};
  for (const auto& [source, reason] : cases) {
    const auto begin = std::chrono::steady_clock::now();
    const std::string out = run_one(source);
    EXPECT_EQ(out.substr(0, 7), "error: ") << source;
    EXPECT_NE(out.find(reason), std::string::npos) << source << ": " << out;
    EXPECT_EQ(out.find('\n'), std::string::npos);
    EXPECT_LT(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count(), 8.0) << source;
  }
}

TEST(JinjaTemplate, ReachesNothingButItsInputs) {
  if (!have_rust()) GTEST_SKIP() << kNoRust;
  for (const char* source :
       {"{% include 'x' %}", "{% import 'x' as y %}", "{% extends 'x' %}", "{% from 'x' import y %}", "{% if %}", "{{ a", "{{ x | nonesuch }}"}) {
    EXPECT_EQ(run_one(source).substr(0, 7), "error: ") << source;
  }
  EXPECT_THROW(run_template("{{ " + std::string(5000, '(') + "1" + std::string(5000, ')') + " }}", {}), Error);
  EXPECT_THROW(run_template(std::string(kMaxTemplateBytes + 1, 'x'), {}), Error);
  EXPECT_EQ(run_one("{{ ''.__class__ }}{{ ''.__class__.__mro__ }}").substr(0, 7), "error: ");
}

// Each spells control tokens in another way: as it is, in halves that the template joins, cut out of a longer text, put together around a word.
TEST(JinjaTemplate, WhatSomebodySaysNeverBecomesAControlToken) {
  if (!have_rust()) GTEST_SKIP() << kNoRust;
  const Tokenizer& tokenizer = *tiny_tokenizer();
  const std::string frame_begin = "{{ bos_token }}{% for m in messages %}<|turn>{{ m.role }}\n", frame_end = "<turn|>\n{% endfor %}";
  const std::string templates[] = {
      frame_begin + "{{ m.content }}" + frame_end,
      frame_begin + "{% for p in m.content.split('/') %}{{ p }}{% endfor %}" + frame_end,
      frame_begin + "{{ m.content[1:] }}{{ m.content | upper | lower }}{{ m.content | replace('_', '') }}{{ m.content | reverse }}" + frame_end,
      frame_begin + "{{ {m.content: m.content} | tojson }}{{ [m.content] | join('|') }}" + frame_end,
      frame_begin + "<{{ m.content }}><|{{ m.content }}>{{ '<' ~ m.content ~ '|>' }}" + frame_end,
  };
  const char* texts[] = {"<|turn>", "<|tu/rn>",  "x<|turn>y", "<|tu_rn>", ">nrut|<",
                         "bos",     "turn",      "turn|",     "|turn",    "<bos>",
                         "<|\"|>",  "<|image|>", "<<|turn>>", "|think|",  "\xf3\xb0\x80\x80<|turn>"};
  size_t rendered = 0, refused = 0;
  for (const std::string& source : templates) {
    const auto format = jinja_format(source, tokenizer);
    for (const char* text : texts) {
      Prompt prompt;
      try {
        prompt = format->render(user(text), nullptr, {});
      } catch (const Error& error) {
        EXPECT_NE(std::string(error.what()).find("makes control tokens out of"), std::string::npos) << error.what();
        ++refused;
        continue;
      }
      ++rendered;
      std::string controls;
      for (const TokenId id : encode_prompt(tokenizer, prompt).token_ids) {
        if (tokenizer.kind(id) == TokenKind::control || tokenizer.kind(id) == TokenKind::user_defined) controls += tokenizer.piece(id);
      }
      EXPECT_EQ(controls, "<bos><|turn><turn|>") << source << " " << text;
      if (&source == &templates[0]) {
        EXPECT_EQ(prompt.text(), "<bos><|turn>user\n" + std::string(text) + "<turn|>\n");
      }
    }
  }
  EXPECT_GE(rendered, 60u);
  EXPECT_GE(refused, 4u);
}

TEST(JinjaTemplate, NeverMakesControlTokensOfToolsEither) {
  if (!have_rust()) GTEST_SKIP() << kNoRust;
  const Tokenizer& tokenizer = *tiny_tokenizer();
  const auto format = jinja_format(spring_template(), tokenizer);
  const auto controls = [&](const std::string& word) {
    const Json value{{word, {word, {{"k", word}}}}};
    const Json tools = tools_from_json(
        Json::array({{{"name", "f"},
                      {"description", word},
                      {"parameters", {{"type", "object"}, {"properties", {{word, {{"type", "string"}, {"enum", {word}}}}}}, {"required", {word}}}}}}));
    std::vector<Message> all = messages_from_json(
        Json::array({{{"role", "user"}, {"content", word}},
                     {{"role", "assistant"}, {"reasoning_content", word}, {"tool_calls", {{{"id", "1"}, {"function", {{"name", "f"}, {"arguments", value}}}}}}},
                     {{"role", "tool"}, {"tool_call_id", "1"}, {"content", word}},
                     {{"role", "assistant"}, {"content", word + " x"}}}));
    std::string out;
    for (const TokenId id : encode_prompt(tokenizer, format->render(all, tools, {})).token_ids) {
      if (tokenizer.kind(id) == TokenKind::control || tokenizer.kind(id) == TokenKind::user_defined) out += tokenizer.piece(id);
    }
    return out;
  };
  const std::string expected = controls("word");
  for (TokenId id = 0; id < tokenizer.vocab_size(); ++id) {
    if (tokenizer.kind(id) != TokenKind::control && tokenizer.kind(id) != TokenKind::user_defined) continue;
    EXPECT_EQ(controls(std::string(tokenizer.piece(id))), expected) << tokenizer.piece(id);
  }
}

TEST(JinjaTemplate, MediaGoWhereTheTemplateShowsThem) {
  if (!have_rust()) GTEST_SKIP() << kNoRust;
  const std::string shown =
      "{% for m in messages %}{% for p in m.content %}{% if p.type == 'image' %}<|image|>{% elif p.type == 'audio' %}<|audio|>{% else %}{{ p.text }}{% endif "
      "%}{% endfor %}{% endfor %}";
  const auto all = messages(
      R"([{"role":"user","content":[{"type":"text","text":"<|image|>"},{"type":"audio","n":1},{"type":"image_url","image_url":{"url":"u"}},{"type":"image","n":2}]}])");
  std::string sources;
  for (const PromptPiece& piece : jinja_format(shown, *tiny_tokenizer())->render(all, nullptr, {}).pieces) {
    if (piece.kind == PromptPiece::Kind::media) sources += piece.source.dump();
  }
  EXPECT_EQ(sources, R"({"type":"audio","n":1}{"type":"image_url","image_url":{"url":"u"}}{"type":"image","n":2})");
  EXPECT_THROW(jinja_format("{{ messages[0].role }}", *tiny_tokenizer())->render(all, nullptr, {}), Error);
  EXPECT_THROW(jinja_format("<|image|>", *tiny_tokenizer())->render(user("x"), nullptr, {}), Error);
}

}  // namespace
}  // namespace carat::test
