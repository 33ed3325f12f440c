// carat score: log-probabilities and perplexity of what is given.
#include <CLI/CLI.hpp>
#include <cmath>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "chat/chat_format.h"
#include "cli/chat_options.h"
#include "cli/command.h"
#include "cli/console.h"
#include "cli/generate.h"
#include "cli/model_options.h"
#include "cli/token_list.h"
#include "engine/memory_plan.h"

namespace carat::cli {
namespace {

struct Options {
  ModelOptions model;
  ChatOptions chat;
  std::string text, token_ids, messages, jsonl;
  int32_t top = 0;
  bool special = false, json = false;
};

// One thing to score, as a line of --jsonl says it or the options do.
struct Item {
  std::vector<int32_t> token_ids;
  int32_t top = 0;
};

struct Scored {
  std::string json;  // one line
  std::optional<double> perplexity;
};

Scored score(Session& session, const Item& item, std::string_view where) {
  if (item.token_ids.empty()) fail(ErrorCode::invalid_argument, "there is nothing to score, {}, give at least one token", where);
  // What the alternatives take until they are printed; refused before it is tried.
  constexpr uint64_t kBytesAnAlternative = 48;  // twice in the engine's answer (8 each), and its text, which grows by doubling
  const uint64_t positions = item.token_ids.size(), available = available_memory();
  if (positions * static_cast<uint64_t>(item.top) > available / kBytesAnAlternative) {
    fail(ErrorCode::exhausted, "{} alternatives of {} tokens do not fit into memory, {}, at most {} would; or score fewer tokens at once", item.top, positions,
         where, available / kBytesAnAlternative / positions);
  }
  SamplingParams sampling;
  sampling.temperature = 0;
  sampling.max_tokens = 0;
  sampling.prompt_logprobs = item.top;
  const Generation result = generate(session, item.token_ids, sampling, [](std::string_view) {});
  if (result.finish == FinishReason::cancelled) fail(ErrorCode::cancelled, "interrupted, {}, run it again", where);

  // Written as text at once: as a tree, the alternatives of a whole vocabulary would take ten times the memory.
  Scored out;
  std::string& json = out.json;
  const auto add_list = [&json](const auto& list, auto&& add) {
    json += '[';
    bool first = true;
    for (const auto& item_of_list : list) {
      if (!first) json += ',';
      first = false;
      add(item_of_list);
    }
    json += ']';
  };
  const auto add_number = [&json](float value) {  // the shortest that is read back as this float
    if (std::isfinite(value)) {
      fmt::format_to(std::back_inserter(json), "{}", value);
    } else {
      json += "null";
    }
  };
  const auto add_top = [&](const std::optional<TokenLogprob>& entry) {
    if (!entry) {
      json += "null";
      return;
    }
    add_list(entry->top, [&](const std::pair<int32_t, float>& alternative) {
      fmt::format_to(std::back_inserter(json), "[{},", alternative.first);
      add_number(alternative.second);
      json += ']';
    });
  };
  double sum = 0;
  int64_t scored = 0;
  json += "{\"token_ids\":";
  add_list(item.token_ids, [&](int32_t id) { fmt::format_to(std::back_inserter(json), "{}", id); });
  json += ",\"logprobs\":";
  add_list(result.prompt_logprobs, [&](const std::optional<TokenLogprob>& entry) {
    if (!entry) {
      json += "null";
      return;
    }
    add_number(entry->logprob);
    sum += static_cast<double>(entry->logprob);
    ++scored;
  });
  if (item.top > 0) {
    json += ",\"top\":";
    add_list(result.prompt_logprobs, add_top);
    json += ",\"next\":";
    add_top(result.next);
  }
  if (scored > 0) out.perplexity = std::exp(-sum / static_cast<double>(scored));
  json += ",\"perplexity\":" + Json(out.perplexity ? Json(*out.perplexity) : Json(nullptr)).dump() + "}\n";
  return out;
}

int32_t vocab_size(const Session& session) { return static_cast<int32_t>(session.loaded->model->config().vocab_size); }

int32_t checked_top(const Json& value, const Session& session, std::string_view where) {
  const bool fits = value.is_number_unsigned() && value.get<uint64_t>() <= static_cast<uint64_t>(vocab_size(session));
  if (!fits) fail(ErrorCode::invalid_argument, "top is no integer from 0 to {}, {}, ask for fewer", vocab_size(session), where);
  return value.get<int32_t>();
}

constexpr JsonLimits kLimits{.max_bytes = size_t{256} << 20, .max_depth = 128};

// The chat format of the model, for conversations. Fails with invalid_argument when it has none.
std::shared_ptr<const ChatFormat> format_of(const Session& session, const Options& options) {
  auto format = chat_format(session.tokenizer(), session.loaded->model->config().hidden_size_per_layer_input > 0, options.chat);
  if (format == nullptr) fail(ErrorCode::invalid_argument, "the model has no chat format, messages, score a text or give --chat-template builtin");
  return format;
}

// Up to where the answer begins.
std::vector<int32_t> ids_of_messages(const Session& session, const ChatFormat& format, const Json& messages, std::string_view where) {
  const EncodedPrompt prompt = encode_prompt(session.tokenizer(), format.render(messages_from_json(messages, where), nullptr, {}));
  if (!prompt.media.empty()) fail(ErrorCode::unsupported, "media cannot be scored yet, {}, leave images, sound and video out", where);
  return prompt.token_ids;
}

// format: asked for when the first conversation comes.
Item item_from_line(const Session& session, const Options& options, std::shared_ptr<const ChatFormat>& format, std::string_view line, std::string_view where) {
  const Json json = parse_json(line, where, kLimits);
  if (!json.is_object() || json.contains("text") + json.contains("token_ids") + json.contains("messages") != 1) {
    fail(ErrorCode::invalid_argument, "the line is no object with one of text, token_ids, messages, {}, write {{\"text\": \"...\"}}", where);
  }
  Item item{.token_ids = {}, .top = options.top};
  bool special = options.special;
  for (const auto& [key, value] : json.items()) {
    if (key == "top") {
      item.top = checked_top(value, session, where);
    } else if (key == "special" && value.is_boolean()) {
      special = value.get<bool>();
    } else if (key != "text" && key != "token_ids" && key != "messages") {
      fail(ErrorCode::unsupported, "the key {} cannot be used, {}, known are text, token_ids, messages, top, special (true or false)", terminal_safe(key),
           where);
    }
  }
  if (json.contains("token_ids")) {
    item.token_ids = token_ids_from(json["token_ids"], where, vocab_size(session));
  } else if (json.contains("messages")) {
    if (format == nullptr) format = format_of(session, options);
    item.token_ids = ids_of_messages(session, *format, json["messages"], fmt::format("{} messages", where));
  } else {
    if (!json["text"].is_string()) fail(ErrorCode::invalid_argument, "text is no string, {}, write {{\"text\": \"...\"}}", where);
    item.token_ids = session.tokenizer().encode(json["text"].get_ref<const std::string&>(), {.add_bos = true, .parse_special = special});
  }
  return item;
}

int score_lines(const Options& options) {
  Session session = open_session(options.model);
  const std::string name = input_name(options.jsonl);
  std::shared_ptr<const ChatFormat> format;
  for_each_line(options.jsonl, [&](std::string_view line, int64_t number) {
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) return;
    const std::string where = fmt::format("{} line {}", name, number);
    print(score(session, item_from_line(session, options, format, line, where), where).json);
    flush_output();
  });
  return 0;
}

int score_one(const Options& options) {
  const bool is_text = !options.text.empty(), is_conversation = !options.messages.empty();
  const std::string& path = is_text ? options.text : is_conversation ? options.messages : options.token_ids;
  const std::string input = read_input(path), where = input_name(path);
  Json messages = is_conversation ? parse_json(input, where, kLimits) : Json();
  if (messages.is_object() && messages.contains("messages")) messages = Json(messages["messages"]);  // as conversations are saved
  Session session = open_session(options.model);
  Item item{.token_ids = {}, .top = checked_top(Json(static_cast<uint64_t>(options.top)), session, "--top")};
  if (is_text) {
    item.token_ids = session.tokenizer().encode(input, {.add_bos = true, .parse_special = options.special});
  } else if (is_conversation) {
    item.token_ids = ids_of_messages(session, *format_of(session, options), messages, where + " messages");
  } else {
    item.token_ids = parse_token_ids(input, where, vocab_size(session));
  }
  const Scored result = score(session, item, where);
  if (options.json || !stdout_is_terminal()) {
    print(result.json);
  } else {
    print(fmt::format("{} tokens, perplexity {}\n", item.token_ids.size(), result.perplexity ? fmt::format("{:.4f}", *result.perplexity) : "none (one token)"));
  }
  return 0;
}

Action setup(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  add_model_options(app, options->model);
  CLI::Option_group* input = app.add_option_group("input", "What to score, one of (-: stdin):");
  input->add_option("--text", options->text, "a text")->type_name("FILE");
  input->add_option("--token-ids", options->token_ids, "a JSON id list, used as it is")->type_name("FILE");
  input->add_option("--messages", options->messages, "a conversation: OpenAI messages, up to where the answer begins")->type_name("FILE");
  input->add_option("--jsonl", options->jsonl, "a line each: {\"text\": ...}, {\"token_ids\": ...} or {\"messages\": ...}, and optional top, special")
      ->type_name("FILE");
  input->require_option(1);
  app.add_option("--top", options->top, "add the K best alternatives of each position")->check(CLI::Range(0, 1 << 30))->type_name("K");
  app.add_flag("--special", options->special, "parse special tokens in the text");
  app.add_flag("--json", options->json, "JSON, also on a terminal");
  add_chat_options(app, options->chat);
  return [options] { return options->jsonl.empty() ? score_one(*options) : score_lines(*options); };
}

}  // namespace

const Command kScoreCommand = {"score", "log-probabilities and perplexity of a text, a token list or a conversation",
                               "Examples:\n"
                               "  carat score gemma3:270m --text notes.txt\n"
                               "  echo '[2, 818, 5279]' | carat score gemma3:270m --token-ids - --top 5\n"
                               "  carat score gemma3:270m --jsonl texts.jsonl > scores.jsonl\n\n"
                               "Result: {\"token_ids\": [...], \"logprobs\": [null, l1, ...], \"perplexity\": p}, with --top also \"top\" and \"next\".\n"
                               "logprobs[i] is the natural logarithm of the probability of token i after the tokens before it. A text gets <bos> in front;\n"
                               "token ids are used as they are. Everything is one sequence: it must fit the context.",
                               setup};

}  // namespace carat::cli
