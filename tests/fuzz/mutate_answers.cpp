// Spoils good answers of models, and the tools whose schemas type their arguments, and parses them. There is no error to be had: every answer is a message.
//
//   mutate_answers SEED COUNT [--from N]
//
// A case depends on SEED and its number alone; --from N with COUNT 1 repeats one.
#include <fmt/core.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstring>
#include <exception>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/utf8.h"
#include "chat/response_parser.h"
#include "fuzz/mutate.h"
#include "fuzz/rng.h"

namespace carat::fuzz {
namespace {

constexpr unsigned kSecondsPerCase = 10;
std::array<char, 64> current_case{};

void on_signal(int signal) {
  static_cast<void>(!::write(2, "\nHANG or CRASH in ", 18));
  static_cast<void>(!::write(2, current_case.data(), std::strlen(current_case.data())));
  static_cast<void>(!::write(2, "\n", 1));
  if (signal == SIGALRM) ::_exit(3);
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

constexpr std::string_view kAnswers[] = {
    "<|channel>thought\nI'm\nthinking\n<channel|>Hello, world!<turn|>",
    "<|channel>thought<channel|>Hi<|channel>thought\n\n<channel|><channel|>",
    "<|channel><|channel>thought\na<|channel>analysis\nb<channel|>c",
    "Let me see.<|tool_call>call:f{s:<|\"|>a \"b\" {c}\n<|\"|>,i:3,n:-1.5e10,b:true,e:red,z:null}<tool_call|><|tool_response>",
    "<|tool_call>call:f{l:[<|\"|>x<|\"|>,1,[true,{k:<|\"|><|\"|>}]],o:{p:{q:{r:1}}},any:<|\"|>5<|\"|>}<tool_call|><|tool_call>call:g{}<tool_call|>",
    "<|tool_call> call: f { \"s\" : \"a\\\"\\u00e9\\ud83d\\ude00\" , i : \"3\", b : True, e : red, l : [1, 2,], s:None }<tool_call|>",
    "<|channel>thought\nneed f<|tool_call>call:f{ref:{ref:{ref:{i:1}}},i:1e400,n:9223372036854775808,s:007}<tool_call|>日本語 😀<eos>",
};
constexpr std::string_view kTools = R"([{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{
  "s":{"type":"string"},"i":{"type":"integer","nullable":true},"n":{"type":["number","null"]},"b":{"type":"boolean"},"e":{"type":"string","enum":["red","1"]},
  "l":{"type":"array","items":{"anyOf":[{"type":"string"},{"type":"array","prefixItems":[{"type":"string"}]}]}},
  "o":{"type":"object","properties":{"p":{"type":"object"}},"required":["p"],"additionalProperties":{"type":"string"}},
  "any":{"oneOf":[{"const":5},{"type":"integer"}]},"ref":{"$ref":"#/$defs/node"}},
  "$defs":{"node":{"type":"object","properties":{"ref":{"$ref":"#/$defs/node"},"i":{"type":"string"}}}}}}}])";

// Ids swapped, dropped, doubled, moved, drawn anew; parts of other answers.
std::vector<TokenId> spoilt(const std::vector<std::vector<TokenId>>& good, int32_t vocab, Rng& rng) {
  std::vector<TokenId> ids = rng.pick(good);
  for (size_t n = rng.below(8); n > 0; --n) {
    const size_t at = rng.below(ids.size() + 1), length = std::min(rng.below(12), ids.size() - at);
    const auto begin = ids.begin() + static_cast<std::ptrdiff_t>(at), end = begin + static_cast<std::ptrdiff_t>(length);
    const std::vector<TokenId>& other = rng.pick(good);
    switch (rng.below(6)) {
      case 0: ids.erase(begin, end); break;
      case 1: {
        const std::vector<TokenId> part(begin, end);
        for (size_t times = rng.chance(20) ? 500 : 1; times > 0; --times) ids.insert(ids.begin() + static_cast<std::ptrdiff_t>(at), part.begin(), part.end());
        break;
      }
      case 2: ids.insert(begin, rng.pick(other)); break;
      case 3: ids.insert(begin, other.begin() + static_cast<std::ptrdiff_t>(rng.below(other.size())), other.end()); break;
      case 4: ids.insert(begin, static_cast<TokenId>(rng.below(static_cast<size_t>(vocab) + 2)) - 1); break;
      default:
        if (length > 1) std::swap(*begin, *(end - 1));
    }
  }
  return ids;
}

Json spoilt_tools(Rng& rng) {
  if (rng.chance(4)) return nullptr;
  try {
    return parse_json(mutate_json(kTools, rng), "tools");
  } catch (const Error&) {
    return parse_json(kTools, "tools");
  }
}

int run(uint64_t seed, uint64_t count, uint64_t from) {
  const auto tokenizer = Tokenizer::load(std::filesystem::path(CARAT_SOURCE_DIR) / "tests/text/data/tiny_tokenizer.json");
  std::vector<std::vector<TokenId>> good;
  for (const std::string_view text : kAnswers) good.push_back(tokenizer->encode(text, {.add_bos = false, .parse_special = true}));
  uint64_t calls = 0, complete = 0, typed = 0;
  double slowest = 0;
  for (uint64_t number = from; number < from + count; ++number) {
    Rng rng(seed, number);
    const std::string name = fmt::format("case {} of seed {}", number, seed);
    current_case[name.copy(current_case.data(), current_case.size() - 1)] = '\0';
    const std::vector<TokenId> ids = spoilt(good, tokenizer->vocab_size(), rng),
                               prompt = rng.chance(4) ? spoilt(good, tokenizer->vocab_size(), rng) : std::vector<TokenId>();
    ParserOptions options;
    options.tools = spoilt_tools(rng);
    options.parallel_tool_calls = !rng.chance(8);
    options.markers_as_content = rng.chance(16);
    if (rng.chance(4)) options.max_call_bytes = rng.below(200);
    const bool has_tools = !options.tools.is_null();
    const auto start = std::chrono::steady_clock::now();
    ::alarm(kSecondsPerCase);
    ResponseParser parser(*tokenizer, !rng.chance(16), prompt, std::move(options));
    std::vector<ChatEvent> events;
    for (const TokenId id : ids) parser.push(id, events);
    parser.finish(rng.chance(2), events);
    ::alarm(0);
    slowest = std::max(slowest, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    for (const ChatEvent& event : events) {
      const std::string text = event.kind == ChatEvent::Kind::tool_call ? event.call.name + event.call.arguments.dump() : event.text;
      if (text.empty() || !utf8_valid(text)) fail(ErrorCode::internal, "{}: an event is empty or not UTF-8", name);
    }
    const ParsedMessage& message = parser.message();
    calls += message.tool_calls.size();
    typed += has_tools ? message.tool_calls.size() : 0;
    complete += message.complete ? 1 : 0;
  }
  fmt::print("{} answers, {} of them complete, {} calls, {} with tools; slowest {:.3f} s\n", count, complete, calls, typed, slowest);
  return 0;
}

}  // namespace
}  // namespace carat::fuzz

int main(int argc, char** argv) {
  for (const int signal : {SIGALRM, SIGSEGV, SIGABRT, SIGFPE, SIGBUS}) std::signal(signal, carat::fuzz::on_signal);
  try {
    const std::vector<std::string> arguments(argv + 1, argv + argc);
    if (arguments.size() != 2 && !(arguments.size() == 4 && arguments[2] == "--from")) throw std::runtime_error("usage: mutate_answers SEED COUNT [--from N]");
    return carat::fuzz::run(std::stoull(arguments[0]), std::stoull(arguments[1]), arguments.size() == 4 ? std::stoull(arguments[3]) : 0);
  } catch (const std::exception& e) {
    fmt::print(stderr, "FINDING in {}: {}\n", carat::fuzz::current_case.data(), e.what());
    return 1;
  }
}
