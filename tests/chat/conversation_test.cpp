#include "chat/conversation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/error.h"

namespace carat {
namespace {

// A small model with random weights: it babbles, but always the same.
class Conversations : public ::testing::Test {
 protected:
  void SetUp() override {
    LoadOptions load;
    load.num_threads = 1;
    loaded_ = load_model((std::filesystem::path(CARAT_SOURCE_DIR) / "tests/golden/models/tiny-e2b-Q4_K_M.gguf").string(), load);
    EngineOptions options;
    options.ctx = 512;
    options.max_num_seqs = 1;
    engine_ = std::make_unique<Engine>(*loaded_, options);
  }

  std::unique_ptr<Conversation> talk(ConversationOptions options = {}) {
    if (options.sampling.max_tokens < 0) options.sampling.max_tokens = 16;
    options.sampling.temperature = 0;
    return std::make_unique<Conversation>(*engine_, loaded_->tokenizer, gemma4_format(Gemma4Revision::canonical, false), std::move(options));
  }

  TokenId id(std::string_view text) const { return loaded_->tokenizer->find(text).value(); }

  // A question whose prompt ends within a thought: what a tool said, with thinking on.
  static void ask_within_a_thought(Conversation& conversation) {
    conversation.add_user("What time is it?");
    Message call;
    call.role = "assistant";
    call.tool_calls.push_back({.id = "1", .name = "now", .arguments = Json::object()});
    conversation.add(call);
    conversation.add_tool_result(call.tool_calls[0], "noon");
  }

  std::unique_ptr<LoadedModel> loaded_;
  std::unique_ptr<Engine> engine_;
};

TEST_F(Conversations, EventsJoinedAreTheMessageAndItIsKept) {
  const auto conversation = talk();
  conversation->add_user("Hello");
  std::string content, reasoning;
  AnswerObserver observer;
  observer.on_event = [&](const ChatEvent& event) { (event.kind == ChatEvent::Kind::content ? content : reasoning) += event.text; };
  const Answer answer = conversation->answer(observer);
  EXPECT_EQ(answer.end, AnswerEnd::length);
  EXPECT_EQ(answer.token_ids.size(), 16u);
  EXPECT_FALSE(content.empty());
  EXPECT_EQ(answer.message.content.text, content);
  EXPECT_EQ(answer.message.reasoning, reasoning);
  ASSERT_EQ(conversation->messages().size(), 2u);
  EXPECT_EQ(conversation->messages()[1].content.text, content);
  EXPECT_EQ(
      answer.prompt_tokens, 0 + [&] {
        const auto again = talk();
        again->add_user("Hello");
        return again->prompt_tokens();
      }());
}

TEST_F(Conversations, ALaterQuestionReadsOnlyWhatIsNew) {
  const auto conversation = talk();
  conversation->options().system = std::string(300, 's');
  conversation->add_user("Hello");
  EXPECT_EQ(conversation->answer({}).cached_tokens, 0);
  conversation->add_user("And now?");
  const Answer second = conversation->answer({});
  EXPECT_GT(second.cached_tokens, 250);

  // The same history in an engine that has seen none of it gives the same answer.
  EngineOptions options;
  options.ctx = 512;
  options.max_num_seqs = 1;
  engine_ = std::make_unique<Engine>(*loaded_, options);
  const auto fresh = talk();
  fresh->options().system = conversation->options().system;
  for (size_t i = 0; i + 1 < conversation->messages().size(); ++i) fresh->add(conversation->messages()[i]);
  const Answer same = fresh->answer({});
  EXPECT_EQ(same.cached_tokens, 0);
  EXPECT_EQ(same.token_ids, second.token_ids);
}

TEST_F(Conversations, ABudgetClosesTheThoughtAndTheAnswerGoesOn) {
  ConversationOptions options;
  options.think = true;
  options.sampling.max_tokens = 40;
  options.sampling.logprobs = 0;
  const auto free = talk(options);
  ask_within_a_thought(*free);
  const Answer unlimited = free->answer({});
  ASSERT_EQ(std::find(unlimited.token_ids.begin(), unlimited.token_ids.begin() + 9, id("<channel|>")), unlimited.token_ids.begin() + 9)
      << "the case is none: the model closes its thought early";

  options.thought_budget = 9;
  const auto limited = talk(options);
  ask_within_a_thought(*limited);
  const Answer answer = limited->answer({});
  ASSERT_EQ(answer.token_ids.size(), 40u);
  EXPECT_TRUE(std::equal(answer.token_ids.begin(), answer.token_ids.begin() + 9, unlimited.token_ids.begin()));
  EXPECT_EQ(answer.token_ids[9], id("<channel|>"));
  EXPECT_FALSE(answer.message.reasoning.empty());
  EXPECT_FALSE(answer.message.content.text.empty());
  EXPECT_EQ(answer.end, AnswerEnd::length);
  ASSERT_EQ(answer.logprobs.size(), answer.token_ids.size());
  EXPECT_EQ(answer.logprobs[9].id, id("<channel|>"));
  EXPECT_TRUE(std::isnan(answer.logprobs[9].logprob)) << "it was not drawn";

  options.thought_budget = 0;
  const auto none = talk(options);
  ask_within_a_thought(*none);
  const Answer thoughtless = none->answer({});
  EXPECT_EQ(thoughtless.token_ids[0], id("<channel|>"));
  EXPECT_EQ(thoughtless.message.reasoning, "");
  EXPECT_FALSE(thoughtless.message.content.text.empty());
  EXPECT_GT(thoughtless.first_token_seconds, 0);
}

TEST_F(Conversations, AStopTextEndsTheContentAlone) {
  const auto free = talk();
  free->add_user("Hello");
  const std::string content = free->answer({}).message.content.text;
  ASSERT_GT(content.size(), 8u);
  ConversationOptions options;
  options.sampling.stop = {content.substr(4, 3)};
  const auto stopped = talk(options);
  stopped->add_user("Hello");
  std::string told;
  AnswerObserver observer;
  observer.on_event = [&](const ChatEvent& event) { told += event.text; };
  const Answer answer = stopped->answer(observer);
  EXPECT_EQ(answer.end, AnswerEnd::stop);
  EXPECT_EQ(answer.message.content.text, content.substr(0, content.find(options.sampling.stop[0])));
  EXPECT_EQ(told, answer.message.content.text);
}

TEST_F(Conversations, ACancelledAnswerIsKeptAsFarAsItCame) {
  const auto conversation = talk();
  conversation->add_user("Hello");
  int steps = 0;
  AnswerObserver observer;
  observer.cancelled = [&] { return ++steps == 5; };
  const Answer answer = conversation->answer(observer);
  EXPECT_EQ(answer.end, AnswerEnd::cancelled);
  EXPECT_GE(answer.token_ids.size(), 1u);
  EXPECT_LT(answer.token_ids.size(), 16u);
  EXPECT_EQ(conversation->messages().size(), 2u);
  EXPECT_EQ(engine_->stats().running, 0);
  EXPECT_EQ(conversation->take_back(), "Hello");
  EXPECT_TRUE(conversation->messages().empty());
}

TEST_F(Conversations, CancelledBeforeAnythingCameTheTurnsStayInOrder) {
  EngineOptions options;
  options.ctx = 512;
  options.max_num_seqs = 1;
  options.prefill_chunk = 8;
  engine_ = std::make_unique<Engine>(*loaded_, options);
  const auto conversation = talk();
  conversation->add_user("A question that takes several steps to be read.");
  AnswerObserver observer;
  observer.cancelled = [] { return true; };
  const Answer answer = conversation->answer(observer);
  EXPECT_EQ(answer.end, AnswerEnd::cancelled);
  EXPECT_TRUE(answer.token_ids.empty());
  conversation->add_user("Another one.");
  EXPECT_NO_THROW(gemma3_format()->render(conversation->messages(), nullptr, {})) << "user and model take turns there";
  EXPECT_EQ(conversation->answer({}).token_ids.size(), 16u);
}

TEST_F(Conversations, AQuestionInPartsIsTakenBackAsItsText) {
  const auto conversation = talk();
  conversation->from_json(Json::parse(R"([{"role":"user","content":[{"type":"text","text":"What is "},{"type":"text","text":"this?"}]},
                                          {"role":"assistant","content":"A test."}])"));
  EXPECT_EQ(conversation->take_back(), "What is this?");
  EXPECT_TRUE(conversation->messages().empty());
  for (const char* question : {R"({"role":"user","content":[{"type":"image"},{"type":"text","text":"What is this?"}]})", R"({"role":"user","content":null})"}) {
    conversation->from_json(Json::array({Json::parse(question), {{"role", "assistant"}, {"content", "A test."}}}));
    EXPECT_EQ(conversation->take_back(), "");
    EXPECT_EQ(conversation->messages().size(), 2u) << "a question that text cannot ask again stays: " << question;
  }
}

TEST_F(Conversations, WhatFailsLeavesTheHistoryAndTheEngineAlone) {
  const auto conversation = talk();
  conversation->add_user(std::string(4000, 'x'));
  EXPECT_THROW(conversation->answer({}), Error) << "longer than the context";
  EXPECT_EQ(conversation->messages().size(), 1u);
  conversation->clear();
  conversation->add_user("Hello");
  AnswerObserver observer;
  observer.on_event = [](const ChatEvent&) { throw std::runtime_error("the reader went away"); };
  EXPECT_THROW(conversation->answer(observer), std::runtime_error);
  EXPECT_EQ(conversation->messages().size(), 1u);
  EXPECT_EQ(engine_->stats().running, 0);
  EXPECT_EQ(conversation->answer({}).token_ids.size(), 16u) << "and the next one is answered";
}

// "Let me look." and then a call: the next prompt goes on from there, it does not put the text behind the result and end the turn.
TEST_F(Conversations, TextBeforeACallStaysBeforeIt) {
  const auto said = [&](const char* text) {
    auto conversation = talk();
    conversation->add_user("What time is it?");
    Message call;
    call.role = "assistant";
    call.content = {.kind = Content::Kind::text, .text = text, .parts = {}, .value = {}};
    call.tool_calls.push_back({.id = "1", .name = "now", .arguments = Json::object()});
    conversation->add(call);
    conversation->add_tool_result(call.tool_calls[0], "noon");
    return conversation;
  };
  const auto with_text = said("Let me look.");
  EXPECT_EQ(with_text->to_json()["messages"].size(), 3u) << "it is kept as one message";
  const std::vector<TokenId> text = loaded_->tokenizer->encode("Let me look.", {.add_bos = false, .parse_special = false});
  const int32_t longer = with_text->prompt_tokens() - said("")->prompt_tokens();
  EXPECT_GT(longer, 0);
  EXPECT_LE(longer, static_cast<int32_t>(text.size()) + 1) << "the text alone came to it: no end of the turn";
}

TEST_F(Conversations, SavedAndReadAgainItIsTheSame) {
  const auto conversation = talk();
  conversation->options().system = "Be brief.";
  ask_within_a_thought(*conversation);
  conversation->answer({});
  const Json saved = conversation->to_json();
  const auto other = talk();
  other->from_json(saved);
  EXPECT_EQ(other->to_json(), saved);
  EXPECT_EQ(other->options().system, "Be brief.");
  EXPECT_EQ(other->prompt_tokens(), conversation->prompt_tokens());
  other->from_json(saved["messages"]);
  EXPECT_EQ(other->to_json(), saved) << "a bare list";
  EXPECT_THROW(other->from_json(Json::parse(R"({"messages":[{"role":"user"},{"role":7}]})")), Error);
  EXPECT_THROW(other->from_json(Json::parse(R"({"turns":[]})")), Error);
  EXPECT_EQ(other->to_json(), saved) << "what cannot be read changes nothing";
}

}  // namespace
}  // namespace carat
