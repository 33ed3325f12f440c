#include "base/error.h"
#include "base/utf8.h"
#include "chat/response_parser.h"
#include "fuzz/rng.h"
#include "fuzz/targets.h"

namespace carat::fuzz {

// A spoilt vocabulary may mean anything by its markers: by none, by one id twice, by ids of any kind. Answers are parsed all the same.
void parse_answers(const std::filesystem::path& path) {
  const auto tokenizer = Tokenizer::load(path);
  const auto vocab = static_cast<size_t>(tokenizer->vocab_size());
  std::vector<TokenId> likely = tokenizer->encode("<|channel>thought\nx<channel|>y<|tool_call>call:f{a:<|\"|>b<|\"|>,c:[1]}<tool_call|><|tool_response><turn|>",
                                                  {.add_bos = false, .parse_special = true});
  const std::vector<TokenId> prompt = likely;
  Rng rng(vocab, likely.size());
  std::vector<ChatEvent> events;
  for (const bool gemma4 : {true, false}) {
    ResponseParser parser(*tokenizer, gemma4, prompt);
    for (int i = 0; i < 300; ++i) parser.push(likely.empty() || rng.chance(3) ? static_cast<TokenId>(rng.below(vocab)) : rng.pick(likely), events);
    parser.finish(true, events);
    for (const ChatEvent& event : events) check(utf8_valid(event.text + event.call.name), "an event of an answer is not UTF-8");
  }
}

}  // namespace carat::fuzz
