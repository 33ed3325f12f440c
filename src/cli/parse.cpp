// carat parse: generated ids to a message.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "chat/message.h"
#include "chat/response_parser.h"
#include "cli/command.h"
#include "cli/console.h"
#include "cli/model_name.h"
#include "cli/token_list.h"

namespace carat::cli {
namespace {

struct Options {
  ResolveOptions resolve;
  std::string model, token_ids, jsonl, tools, prompt_ids;
  bool json = false;
};

// One answer to parse.
struct Item {
  std::vector<int32_t> token_ids, prompt_ids;
  Json tools;
};

void print_parsed(const Tokenizer& tokenizer, Item item) {
  ResponseParser parser(tokenizer, ResponseParser::has_markers(tokenizer), item.prompt_ids, {.tools = std::move(item.tools)});
  std::vector<ChatEvent> events;
  for (const int32_t id : item.token_ids) {
    parser.push(id, events);
    events.clear();
  }
  parser.finish(false, events);
  const ParsedMessage& message = parser.message();
  Json calls = Json::array();
  for (const ToolCall& call : message.tool_calls) calls.push_back({{"name", call.name}, {"arguments", call.arguments}});
  print_json({{"content", message.content}, {"reasoning", message.reasoning}, {"tool_calls", calls}, {"complete", message.complete}});
}

Item item_from_line(const Tokenizer& tokenizer, const Item& defaults, std::string_view line, const std::string& where) {
  constexpr JsonLimits limits{.max_bytes = size_t{256} << 20, .max_depth = 128};
  const Json json = parse_json(line, where, limits);
  Item item = defaults;
  if (!json.is_object()) {
    item.token_ids = token_ids_from(json, where, tokenizer.vocab_size());
    return item;
  }
  for (const auto& [key, value] : json.items()) {
    const std::string place = fmt::format("{} {}", where, key);
    if (key == "token_ids") {
      item.token_ids = token_ids_from(value, place, tokenizer.vocab_size());
    } else if (key == "prompt_ids") {
      item.prompt_ids = token_ids_from(value, place, tokenizer.vocab_size());
    } else if (key == "tools") {
      item.tools = tools_from_json(value, place);
    } else {
      fail(ErrorCode::unsupported, "the key {} cannot be used, {}, known are token_ids, prompt_ids, tools", terminal_safe(key), where);
    }
  }
  if (!json.contains("token_ids"))
    fail(ErrorCode::invalid_argument, "token_ids is missing, {}, write the line as {{\"token_ids\": [2, 9259]}} or [2, 9259]", where);
  return item;
}

int run(const Options& options) {
  const auto files = {options.token_ids, options.jsonl, options.tools, options.prompt_ids};
  if (std::count(files.begin(), files.end(), "-") > 1)
    fail(ErrorCode::invalid_argument, "stdin is named twice, in the options of carat parse, give one of them a file");
  const auto tokenizer = Tokenizer::load(resolve_model(options.model, options.resolve));
  const auto ids_of = [&](const std::string& file) { return parse_token_ids(read_input(file), input_name(file), tokenizer->vocab_size()); };
  Item item;
  if (!options.tools.empty()) item.tools = tools_from_json(parse_json(read_input(options.tools), input_name(options.tools)), input_name(options.tools));
  if (!options.prompt_ids.empty()) item.prompt_ids = ids_of(options.prompt_ids);
  if (options.jsonl.empty()) {
    item.token_ids = ids_of(options.token_ids);
    print_parsed(*tokenizer, std::move(item));
    return 0;
  }
  for_each_line(options.jsonl, [&](std::string_view line, int64_t number) {
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) return;
    print_parsed(*tokenizer, item_from_line(*tokenizer, item, line, fmt::format("{} line {}", input_name(options.jsonl), number)));
  });
  return 0;
}

Action setup(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  app.add_option("MODEL", options->model, "the model, or a file with a vocabulary only")->required();
  add_resolve_options(app, options->resolve);
  CLI::Option_group* input = app.add_option_group("input", "What to parse, one of (-: stdin):");
  input->add_option("--token-ids", options->token_ids, "the generated ids as a JSON list")->type_name("FILE");
  input->add_option("--jsonl", options->jsonl, "a list, or {\"token_ids\":[...],\"prompt_ids\":[...],\"tools\":[...]}, a line; a message a line")
      ->type_name("FILE");
  input->require_option(1);
  app.add_option("--tools", options->tools, "OpenAI tool list: arguments become what its schemas say")->type_name("FILE");
  app.add_option("--prompt-ids", options->prompt_ids, "the ids before the answer: does it begin inside a thought?")->type_name("FILE");
  app.add_flag("--json", options->json, "the same: the answer is JSON in any case");
  return [options] { return run(*options); };
}

}  // namespace

const Command kParseCommand = {"parse", "generated token ids to a message",
                               "Examples:\n"
                               "  carat parse gemma4:e2b --token-ids answer.json\n"
                               "  carat run gemma4:e2b --json 'Hi' | jq -c .token_ids | carat parse gemma4:e2b --token-ids -\n"
                               "  carat parse gemma4:e2b --jsonl answers.jsonl --tools tools.json\n\n"
                               "The answer is {\"content\",\"reasoning\",\"tool_calls\":[{\"name\",\"arguments\"}],\"complete\"}. complete says that the ids\n"
                               "hold the end of the turn, with no thought and no call left open.",
                               setup};

}  // namespace carat::cli
