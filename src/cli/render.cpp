// carat render: conversations to prompts.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <string>

#include "base/error.h"
#include "base/json.h"
#include "chat/chat_format.h"
#include "cli/chat_model.h"
#include "cli/chat_options.h"
#include "cli/command.h"
#include "cli/console.h"
#include "cli/model_name.h"

namespace carat::cli {
namespace {

constexpr JsonLimits kLimits{.max_bytes = size_t{256} << 20, .max_depth = 128};

struct Options {
  ResolveOptions resolve;
  std::string model, messages, jsonl, tools;
  ChatOptions chat;
  bool think = false, no_think = false, no_generation_prompt = false, preserve_thinking = false, json = false;
};

// One conversation to render.
struct Item {
  std::vector<Message> messages;
  Json tools;
  RenderOptions options;
};

void print_prompt(const ChatModel& model, const Item& item, bool json) {
  const Prompt prompt = model.format->render(item.messages, item.tools, item.options);
  if (json) {
    const Json out{{"prompt", prompt.text()}, {"token_ids", encode_prompt(*model.tokenizer, prompt).token_ids}};
    print_json(out);
  } else {
    print(stdout_is_terminal() ? terminal_safe(prompt.text()) : prompt.text());
  }
}

bool flag(const Json& value, const std::string& where) {
  if (!value.is_boolean()) fail(ErrorCode::invalid_argument, "this is neither true nor false, {}, write one of them", where);
  return value.get<bool>();
}

Item item_from_line(const Item& defaults, std::string_view line, const std::string& where) {
  const Json json = parse_json(line, where, kLimits);
  if (!json.is_object() || !json.contains("messages")) {
    fail(ErrorCode::invalid_argument, "the line is no object with messages, {}, write {{\"messages\": [...]}}", where);
  }
  Item item = defaults;
  for (const auto& [key, value] : json.items()) {
    const std::string place = fmt::format("{} {}", where, key);
    if (key == "messages") {
      item.messages = messages_from_json(value, place);
    } else if (key == "tools") {
      item.tools = tools_from_json(value, place);
    } else if (key == "think") {
      item.options.enable_thinking.reset();
      if (!value.is_null()) item.options.enable_thinking = flag(value, place);
    } else if (key == "preserve_thinking") {
      item.options.preserve_thinking = flag(value, place);
    } else if (key == "add_generation_prompt") {
      item.options.add_generation_prompt = flag(value, place);
    } else {
      fail(ErrorCode::unsupported, "the key {} cannot be used, {}, known are messages, tools, think, preserve_thinking, add_generation_prompt",
           terminal_safe(key), where);
    }
  }
  return item;
}

// A list of messages, or an object that holds one, as conversations are saved.
std::vector<Message> messages_of(const std::string& file) {
  const std::string where = input_name(file);
  const Json json = parse_json(read_input(file), where, kLimits);
  return messages_from_json(json.is_object() && json.contains("messages") ? json["messages"] : json, where + " messages");
}

int run(const Options& options) {
  const auto files = {options.messages, options.jsonl, options.tools};
  if (std::count(files.begin(), files.end(), "-") > 1) {
    fail(ErrorCode::invalid_argument, "stdin is named twice, in the options of carat render, give one of them a file");
  }
  Item item;
  item.options.add_generation_prompt = !options.no_generation_prompt;
  item.options.preserve_thinking = options.preserve_thinking;
  if (options.think || options.no_think) item.options.enable_thinking = options.think;
  if (!options.tools.empty())
    item.tools = tools_from_json(parse_json(read_input(options.tools), input_name(options.tools), kLimits), input_name(options.tools));
  if (options.jsonl.empty()) item.messages = messages_of(options.messages);
  const ChatModel model = load_chat_model(resolve_model(options.model, options.resolve), options.chat);
  if (options.jsonl.empty()) {
    print_prompt(model, item, options.json);
    return 0;
  }
  for_each_line(options.jsonl, [&](std::string_view line, int64_t number) {
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) return;
    print_prompt(model, item_from_line(item, line, fmt::format("{} line {}", input_name(options.jsonl), number)), true);
    flush_output();
  });
  return 0;
}

Action setup(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  app.add_option("MODEL", options->model, "the model, or a file with a vocabulary only")->required();
  add_resolve_options(app, options->resolve);
  CLI::Option_group* input = app.add_option_group("input", "What to render, one of (-: stdin):");
  input->add_option("--messages", options->messages, "OpenAI messages, a JSON list")->type_name("FILE");
  input
      ->add_option("--jsonl", options->jsonl,
                   "a line each: {\"messages\":...} and optional tools, think, preserve_thinking, add_generation_prompt; a line of JSON for each")
      ->type_name("FILE");
  input->require_option(1);
  app.add_option("--tools", options->tools, "OpenAI tool list")->type_name("FILE");
  CLI::Option* think = app.add_flag("--think", options->think, "let the model think first");
  app.add_flag("--no-think", options->no_think, "no thinking (the default)")->excludes(think);
  app.add_flag("--preserve-thinking", options->preserve_thinking, "keep earlier turns' thoughts in front of their calls");
  app.add_flag("--no-generation-prompt", options->no_generation_prompt, "end behind the last message, not where the answer begins");
  app.add_flag("--json", options->json, "{\"prompt\":...,\"token_ids\":[...]}");
  add_chat_options(app, options->chat);
  return [options] { return run(*options); };
}

}  // namespace

const Command kRenderCommand = {
    "render", "a conversation to the prompt that the model gets",
    "Examples:\n"
    "  echo '[{\"role\":\"user\",\"content\":\"Hi\"}]' | carat render gemma4:e2b --messages -\n"
    "  carat render gemma4:e2b --messages talk.json --tools tools.json --think --json\n"
    "  carat render gemma4:e2b --jsonl talks.jsonl > prompts.jsonl\n\n"
    "The prompt is printed as it is, without a newline at its end. What messages and tools say never becomes a control token: with\n"
    "--json the ids show it. carat inspect tells which chat template the model's file holds.",
    setup};

}  // namespace carat::cli
