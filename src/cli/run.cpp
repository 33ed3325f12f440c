// carat run: an answer to a prompt, or a conversation line by line on a terminal. No chat format yet: the model continues text.
#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "cli/command.h"
#include "cli/console.h"
#include "cli/generate.h"
#include "cli/model_options.h"
#include "cli/sampling_options.h"
#include "cli/token_list.h"

namespace carat::cli {
namespace {

constexpr int kInterrupted = 130;

struct Options {
  ModelOptions model;
  SamplingOptions sampling;
  std::vector<std::string> prompt;
  std::string token_ids;
  bool raw = false, special = false, json = false, stats = false;
};

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

// What is on stdin comes first, then the words of the command line. The newline that ends stdin is not part of the text.
std::string prompt_text(const Options& options) {
  const std::string words = joined(options.prompt);
  if (stdin_is_terminal()) return words;
  std::string text = read_input("-");
  if (text.ends_with('\n')) text.pop_back();
  if (text.empty() || words.empty()) return text + words;
  return text + "\n" + words;
}

std::vector<int32_t> prompt_ids(const Session& session, const Options& options, std::string_view text) {
  const Tokenizer& tokenizer = session.tokenizer();
  if (!options.raw && !tokenizer.chat_template().empty()) {
    fail(ErrorCode::unsupported, "this model has a chat format, which Carat does not speak yet, {}, give --raw to let it continue the text as it is",
         terminal_safe(options.model.model));
  }
  return tokenizer.encode(text, {.add_bos = true, .parse_special = options.special});
}

int answer(Session& session, const Options& options, std::vector<int32_t> ids) {
  SamplingParams sampling = sampling_params(options.sampling, session.loaded->model->config());
  const Generation result = generate(session, std::move(ids), sampling, [&](std::string_view text) {
    if (options.json) return;
    print(stdout_is_terminal() ? terminal_safe(text) : text);
    flush_output();
  });
  if (options.json) {
    print_json(generation_json(result));
  } else if (!result.text.ends_with('\n')) {
    print("\n");
  }
  flush_output();
  if (options.stats) print_stats(session, result);
  return result.finish == FinishReason::cancelled ? kInterrupted : 0;
}

int converse(Session& session, const Options& options) {
  std::cerr << "Each line is continued by the model. /stats turns figures after each answer on and off, /bye ends. Ctrl-C stops an answer.\n";
  Options each = options;
  std::string line;
  while (std::cerr << "> " << std::flush, std::getline(std::cin, line)) {
    if (line == "/bye") break;
    if (line == "/stats") {
      each.stats = !each.stats;
      std::cerr << (each.stats ? "figures after each answer: on\n" : "figures after each answer: off\n");
      continue;
    }
    if (line.empty()) continue;
    if (line.front() == '/') {
      std::cerr << "there is no such command here yet: /stats, /bye\n";
      continue;
    }
    try {
      answer(session, each, prompt_ids(session, each, line));
    } catch (const Error& error) {
      std::cerr << "carat: error: " << terminal_safe(error.what()) << "\n";
    }
  }
  return 0;
}

int run(const Options& options) {
  const bool has_ids = !options.token_ids.empty();
  if (!has_ids && options.prompt.empty() && stdin_is_terminal()) {
    Session session = open_session(options.model);
    return converse(session, options);
  }
  // Inputs are read before the model is loaded: what is wrong with them shows at once.
  const std::string input = has_ids ? read_input(options.token_ids) : prompt_text(options);
  if (!has_ids && input.empty()) fail(ErrorCode::invalid_argument, "the prompt is empty, PROMPT and standard input, give a text to continue");
  Session session = open_session(options.model);
  const auto vocab_size = static_cast<int32_t>(session.loaded->model->config().vocab_size);
  return answer(session, options, has_ids ? parse_token_ids(input, input_name(options.token_ids), vocab_size) : prompt_ids(session, options, input));
}

Action setup(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  add_model_options(app, options->model);
  CLI::Option* prompt = app.add_option("PROMPT", options->prompt, "the text to continue (words are joined by blanks)");
  app.add_option("--token-ids", options->token_ids, "a file with the prompt as a JSON id list, used as it is; -: stdin")->type_name("FILE")->excludes(prompt);
  app.add_flag("--raw", options->raw, "no chat format: continue the prompt as it is (the default for a model that has none)");
  app.add_flag("--special", options->special, "parse special tokens such as <start_of_turn> in the prompt");
  app.add_flag("--json", options->json, "one JSON document");
  app.add_flag("--stats", options->stats, "figures on stderr: tokens, tokens/s, time to first token, memory");
  add_sampling_options(app, options->sampling);
  return [options] { return run(*options); };
}

}  // namespace

const Command kRunCommand = {"run", "continue a text: one answer, or line by line on a terminal",
                             "Examples:\n"
                             "  carat run gemma3:270m 'The capital of France is' --temperature 0 -n 32\n"
                             "  carat run gemma3:270m --stats --seed 7 'Once upon a time'\n"
                             "  cat notes.txt | carat run gemma3:270m 'In short:'\n"
                             "  echo '[2, 818, 5279]' | carat run gemma3:270m --token-ids - --json --logprobs 5\n\n"
                             "With a PROMPT, or when stdin is not a terminal, there is one answer: stdin comes first (its last newline left off), then\n"
                             "PROMPT. Chat formats are not there yet: a model that has one needs --raw. Sampling that is not given comes from the\n"
                             "model's generation_config, else it is temperature 1.0, top-k 64, top-p 0.95.",
                             setup};

}  // namespace carat::cli
