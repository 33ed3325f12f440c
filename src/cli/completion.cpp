// carat completion: what a shell needs to complete a command line, and the manual page, both made from the options that the commands declare.
#include "cli/completion.h"

#include <CLI/CLI.hpp>
#include <memory>

#include "base/json.h"
#include "cli/command.h"
#include "cli/console.h"

namespace carat::cli {
namespace {

struct Options {
  std::string shell;
  bool json = false;
};

std::string script_for(const std::string& shell) {
  const std::vector<TableCommand> table = command_table();
  if (shell == "bash") return bash_completion(table);
  if (shell == "zsh") return zsh_completion(table);
  return shell == "fish" ? fish_completion(table) : man_page(table);
}

Action setup(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  app.add_option("SHELL", options->shell, "bash, zsh or fish; man: the manual page")->required()->check(CLI::IsMember({"bash", "zsh", "fish", "man"}));
  app.add_flag("--json", options->json, "the text in a JSON document");
  return [options] {
    const std::string text = script_for(options->shell);
    if (options->json) {
      print_json({{"for", options->shell}, {"text", text}});
    } else {
      print(text);
    }
    return 0;
  };
}

}  // namespace

const Command kCompletionCommand = {"completion", "completion for bash, zsh or fish; the manual page",
                                    "Examples:\n"
                                    "  source <(carat completion bash)                        this shell\n"
                                    "  carat completion bash > ~/.local/share/bash-completion/completions/carat\n"
                                    "  carat completion zsh > \"${fpath[1]}/_carat\"\n"
                                    "  carat completion fish > ~/.config/fish/completions/carat.fish\n"
                                    "  carat completion man | man -l -",
                                    setup};

}  // namespace carat::cli
