// The door: finds the command, has its options parsed, runs it, and turns every failure into one line and an exit status.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cstdio>
#include <new>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "base/error.h"
#include "cli/command.h"
#include "cli/console.h"
#include "cli/help.h"
#include "cli/interrupt.h"
#include "cli/suggest.h"

namespace carat::cli {
namespace {

constexpr int kDone = 0, kFailed = 1, kWrongUsage = 2, kInterrupted = 130;

// Named in the plan; they get a better answer than "unknown".
constexpr std::array<std::string_view, 5> kPlanned = {"serve", "finetune", "merge", "eval", "routes"};

int report(std::string_view message, int status) {
  std::string line = terminal_safe(message);
  for (char& c : line) {
    if (c == '\n' || c == '\t') c = ' ';
  }
  fmt::print(stderr, "carat: error: {}\n", line);
  return status;
}

std::string overview() {
  std::string text = "carat runs Gemma models on this machine.\n\nUsage: carat COMMAND MODEL [options]\n\nCommands:\n";
  for (const Command* command : all_commands()) text += fmt::format("  {:<10} {}\n", command->name, command->summary);
  text +=
      "\nMODEL is a path to a .gguf file (the first part of a split one), a folder with config.json,\n"
      "*.safetensors and tokenizer.json, a name such as gemma4:e2b or hf:OWNER/REPO (carat pull gets it),\n"
      "or gemma3:270m (the model that ./dev run gets).\n\n"
      "carat COMMAND --help says more. The answer goes to stdout, everything else to stderr. Exit status:\n"
      "0 done, 1 it could not be done, 2 wrong usage, 130 interrupted.\n";
  return text;
}

// Every option is also a variable: --max-tokens is CARAT_MAX_TOKENS. A flag on the command line wins.
void bind_environment(CLI::App& app) {
  for (CLI::Option* option : app.get_options()) {
    if (option->get_lnames().empty() || option == app.get_help_ptr()) continue;
    std::string name = "CARAT_" + option->get_lnames().front();
    for (char& c : name) c = c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    option->envname(name);
  }
  for (CLI::App* group : app.get_subcommands([](CLI::App*) { return true; })) bind_environment(*group);
}

std::vector<std::string> option_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) names.insert(names.end(), option->get_lnames().begin(), option->get_lnames().end());
  for (const CLI::App* group : app.get_subcommands([](const CLI::App*) { return true; })) {
    const std::vector<std::string> more = option_names(*group);
    names.insert(names.end(), more.begin(), more.end());
  }
  return names;
}

// "; did you mean --temperature?" for the first option that is not known; "": there is nothing to suggest.
std::string suggestion(const CLI::App& app) {
  for (const std::string& word : app.remaining()) {
    if (!word.starts_with("--")) continue;
    const std::string meant = nearest_word(std::string_view(word).substr(2, word.find('=') - 2), option_names(app));
    return meant.empty() ? "" : fmt::format("; did you mean --{}?", meant);
  }
  return "";
}

int run_command(const Command& command, int argc, char** argv) {
  CLI::App app(std::string(command.summary), fmt::format("carat {}", command.name));
  app.set_help_flag("-h,--help", "print this help");
  app.footer(std::string(command.notes));
  app.formatter(help_formatter());
  const Action action = command.setup(app);
  bind_environment(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    print(app.help());
    flush_output();
    return kDone;
  } catch (const CLI::ParseError& error) {
    return report(fmt::format("{}{}, in the arguments of carat {}, see carat {} --help", error.what(), suggestion(app), command.name, command.name),
                  kWrongUsage);
  }
  const int status = action();
  flush_output();
  return status;
}

int dispatch(int argc, char** argv) {
  const std::string_view name = argc > 1 ? argv[1] : "";
  if (name == "help" && argc == 3) {  // carat help run: carat run --help
    std::string flag = "--help";
    std::array<char*, 3> words = {argv[0], argv[2], flag.data()};
    return dispatch(3, words.data());
  }
  if (name == "--help" || name == "-h" || name == "help") {
    print(overview());
    flush_output();
    return kDone;
  }
  if (name == "--version") {
    print(fmt::format("carat {}\n", CARAT_VERSION));
    flush_output();
    return kDone;
  }
  if (name.empty()) {
    fmt::print(stderr, "{}", overview());
    return kWrongUsage;
  }
  for (const Command* command : all_commands()) {
    if (command->name == name) return run_command(*command, argc - 1, argv + 1);
  }
  for (const std::string_view planned : kPlanned) {
    if (planned == name) return report(fmt::format("the command is not there yet, {}, see carat --help for those that are", name), kWrongUsage);
  }
  std::vector<std::string> names;
  for (const Command* command : all_commands()) names.emplace_back(command->name);
  const std::string meant = nearest_word(name, names);
  return report(fmt::format("there is no such command, {}, {}see carat --help", name, meant.empty() ? "" : fmt::format("did you mean {}? ", meant)),
                kWrongUsage);
}

}  // namespace
}  // namespace carat::cli

int main(int argc, char** argv) {
  using namespace carat;
  cli::open_standard_files();
  cli::install_signal_handlers();
  try {
    return cli::dispatch(argc, argv);
  } catch (const Error& error) {
    return cli::report(error.what(), error.code() == ErrorCode::cancelled ? cli::kInterrupted : cli::kFailed);
  } catch (const std::bad_alloc&) {
    return cli::report("there is not enough memory, in this process, give it more or take a smaller model or --ctx", cli::kFailed);
  } catch (const std::system_error& error) {
    return cli::report(fmt::format("the system refused what is needed: {}, in this process, give it more memory or fewer --threads", error.what()),
                       cli::kFailed);
  } catch (const std::exception& error) {
    return cli::report(fmt::format("internal: {}, unexpected, please report it with the command you ran", error.what()), cli::kFailed);
  }
}
