// carat tokenize: text to ids and back.
#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "base/error.h"
#include "base/json.h"
#include "cli/command.h"
#include "cli/console.h"
#include "cli/model_name.h"
#include "cli/token_list.h"
#include "text/tokenizer.h"

namespace carat::cli {
namespace {

struct Options {
  ResolveOptions resolve;
  std::string model, text, file = "-";
  bool decode = false, no_bos = false, special = false, json = false, jsonl = false, has_text = false;
};

std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

std::vector<TokenId> encode(const Tokenizer& tokenizer, const Options& options, std::string_view text) {
  return tokenizer.encode(text, {.add_bos = !options.no_bos, .parse_special = options.special});
}

// One JSON value a line in, one a line out.
void run_lines(const Tokenizer& tokenizer, const Options& options) {
  const std::string name = input_name(options.file);
  for_each_line(options.file, [&](std::string_view line, int64_t number) {
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) return;
    const std::string where = fmt::format("{} line {}", name, number);
    if (options.decode) {
      print(dump(tokenizer.decode(parse_token_ids(line, where, tokenizer.vocab_size()), options.special)) + "\n");
    } else {
      const Json text = parse_json(line, where, {.max_bytes = size_t{256} << 20});
      if (!text.is_string()) fail(ErrorCode::invalid_argument, "the line holds no JSON string, {}, write each text as \"...\"", where);
      print(dump(encode(tokenizer, options, text.get_ref<const std::string&>())) + "\n");
    }
  });
}

void run_whole(const Tokenizer& tokenizer, const Options& options) {
  const std::string input = options.has_text ? options.text : read_input(options.file);
  const std::string name = options.has_text ? "--text" : input_name(options.file);
  if (options.decode) {
    const std::string text = tokenizer.decode(parse_token_ids(input, name, tokenizer.vocab_size()), options.special);
    if (options.json) return print_json({{"text", text}});
    print(stdout_is_terminal() ? terminal_safe(text) + "\n" : text);
    return;
  }
  const std::vector<TokenId> ids = encode(tokenizer, options, input);
  if (!options.json) return print(dump(ids) + "\n");
  Json pieces = Json::array();
  for (const TokenId id : ids) pieces.push_back(std::string(tokenizer.piece(id)));
  print_json({{"token_ids", ids}, {"pieces", pieces}});
}

Action setup(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  app.add_option("MODEL", options->model, "the model, or a file with a vocabulary only")->required();
  add_resolve_options(app, options->resolve);
  CLI::Option* file = app.add_option("FILE", options->file, "the text (with --decode: the id list); - or nothing: stdin");
  CLI::Option* text = app.add_option("--text", options->text, "this text instead of a file")->type_name("TEXT");
  CLI::Option* jsonl = app.add_flag("--jsonl", options->jsonl, "a JSON string a line to a JSON id list a line");
  app.add_flag("--decode", options->decode, "the other way: ids to text");
  app.add_flag("--no-bos", options->no_bos, "no <bos> in front");
  app.add_flag("--special", options->special, "parse special tokens in the text; with --decode: show them");
  app.add_flag("--json", options->json, "one JSON document");
  text->excludes(file)->excludes(jsonl);
  return [options, text] {
    options->has_text = text->count() > 0;
    const auto tokenizer = Tokenizer::load(resolve_model(options->model, options->resolve));
    if (options->jsonl) {
      run_lines(*tokenizer, *options);
    } else {
      run_whole(*tokenizer, *options);
    }
    return 0;
  };
}

}  // namespace

const Command kTokenizeCommand = {"tokenize", "text to token ids and back",
                                  "Examples:\n"
                                  "  carat tokenize gemma3:270m --text 'Hello world'\n"
                                  "  carat tokenize gemma3:270m notes.txt > ids.json\n"
                                  "  carat tokenize gemma3:270m ids.json --decode\n"
                                  "  carat tokenize gemma3:270m --jsonl < texts.jsonl\n\n"
                                  "<bos> comes first unless --no-bos is given. Special tokens in the text are ordinary text unless --special is given:\n"
                                  "text of strangers cannot speak as the system.",
                                  setup};

}  // namespace carat::cli
