#include <gtest/gtest.h>

#include "base/error.h"
#include "chat/chat_cases.h"

namespace carat::test {
namespace {

TEST(Gemma3Format, TakesTurns) {
  const auto format = gemma3_format();
  EXPECT_EQ(text_of(*format, R"([{"role":"user","content":" Hi "}])"), "<bos><start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\n");
  EXPECT_EQ(
      text_of(*format,
              R"([{"role":"system","content":"Be nice."},{"role":"user","content":"a"},{"role":"assistant","content":" b "},{"role":"user","content":"c"}])"),
      "<bos><start_of_turn>user\nBe "
      "nice.\n\na<end_of_turn>\n<start_of_turn>model\nb<end_of_turn>\n<start_of_turn>user\nc<end_of_turn>\n<start_of_turn>model\n");
  EXPECT_EQ(text_of(*format, R"([{"role":"user","content":"a"},{"role":"assistant","content":"b"}])",
                    {.add_generation_prompt = false, .enable_thinking = false, .preserve_thinking = false}),
            "<bos><start_of_turn>user\na<end_of_turn>\n<start_of_turn>model\nb<end_of_turn>\n");
  EXPECT_EQ(text_of(*format, R"([{"role":"user","content":[{"type":"image"},{"type":"text","text":" what? "}]}])"),
            "<bos><start_of_turn>user\n<start_of_image>what?<end_of_turn>\n<start_of_turn>model\n");
}

TEST(Gemma3Format, RefusesWhatItHasNoWordsFor) {
  const auto format = gemma3_format();
  for (const char* json : {R"([{"role":"assistant","content":"b"}])", R"([{"role":"user","content":"a"},{"role":"user","content":"b"}])",
                           R"([{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"assistant","content":"c"}])",
                           R"([{"role":"user","content":"a"},{"role":"system","content":"b"},{"role":"system","content":"b"}])",
                           R"([{"role":"user","content":[{"type":"audio"}]}])",
                           R"([{"role":"user","content":"a"},{"role":"assistant","content":"","tool_calls":[{"function":{"name":"f"}}]}])"}) {
    EXPECT_THROW(text_of(*format, json), Error) << json;
  }
  EXPECT_THROW(format->render(user("x"), tools_from_json(Json::array({{{"name", "f"}}})), {}), Error);
  EXPECT_THROW(text_of(*format, R"([{"role":"user","content":"a"}])", {.add_generation_prompt = true, .enable_thinking = true, .preserve_thinking = false}),
               Error);
}

}  // namespace
}  // namespace carat::test
