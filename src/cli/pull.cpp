// carat pull: a model of the hub into the local store.
#include "cli/pull.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <optional>

#include "base/error.h"
#include "base/json.h"
#include "cli/command.h"
#include "cli/console.h"
#include "cli/interrupt.h"
#include "cli/model_name.h"
#include "cli/terminal/progress.h"

namespace carat::cli {
namespace {

struct Options {
  std::string name, revision;
  int connections = 4;
  bool quiet = false, json = false;
};

// One bar at a time: the download as a whole, or the check of a file.
class Bar {
 public:
  void show(const std::string& what, uint64_t done, uint64_t total) {
    if (!bar_ || what != what_) {
      bar_.reset();  // the old line goes before the new one comes
      bar_.emplace(what);
      what_ = what;
    }
    bar_->show(done, total);
  }
  void hide() { bar_.reset(); }

 private:
  std::optional<Progress> bar_;
  std::string what_;
};

std::string short_commit(const std::string& commit) { return commit.substr(0, 7); }

void print_path(const std::string& path) { print((stdout_is_terminal() ? terminal_safe(path) : path) + "\n"); }

int run(const Options& options) {
  const hub::Settings settings = hub::settings_from_environment();
  if (std::filesystem::path file = default_model(options.name); !file.empty()) {
    if (options.json) {
      print_json({{"name", options.name}, {"path", file.string()}});
    } else {
      print_path(file.string());
    }
    return 0;
  }
  hub::Source source = find_source(settings, options.name);
  if (!source.path.empty()) {
    fail(ErrorCode::invalid_argument, "{} stands for a file of this machine, {}, there is nothing to pull", options.name, source.path.string());
  }
  if (!options.revision.empty()) {
    if (!hub::is_revision(options.revision))
      fail(ErrorCode::invalid_argument, "'{}' is no revision, --revision, give a branch, a tag or a commit", options.revision);
    source.revision = options.revision;
  }
  const hub::PullResult result = pull_shown(settings, source, {.ask = false, .quiet = options.quiet, .connections = options.connections});
  if (options.json) {
    Json files = Json::array();
    for (const hub::StoredFile& file : result.model.files) files.push_back({{"path", file.path}, {"bytes", file.size}});
    print_json({{"name", options.name},
                {"repo", result.model.repo},
                {"commit", result.model.commit},
                {"path", result.model.path.string()},
                {"bytes", result.model.size()},
                {"downloaded_bytes", result.downloaded},
                {"files", files}});
  } else {
    print_path(result.model.path.string());
  }
  return 0;
}

Action setup(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  app.add_option("NAME", options->name, "a name such as gemma4:e2b, or hf:OWNER/REPO[:QUANT][@REVISION]")->required();
  app.add_option("--revision", options->revision, "a branch, a tag or a commit; default: main")->type_name("REV");
  app.add_option("--connections", options->connections, "connections at the same time, for one file")
      ->check(CLI::Range(1, 16))
      ->type_name("N")
      ->capture_default_str();
  app.add_flag("--quiet", options->quiet, "no bar and no remarks");
  app.add_flag("--json", options->json, "one JSON document");
  return [options] { return run(*options); };
}

}  // namespace

bool can_ask() { return stdin_is_terminal() && ::isatty(STDERR_FILENO) == 1; }

bool ask(const std::string& question, bool otherwise) {
  fmt::print(stderr, "{} [{}] ", terminal_safe(question), otherwise ? "Y/n" : "y/N");
  std::fflush(stderr);
  std::string line;
  if (!std::getline(std::cin, line)) return false;
  for (char& c : line) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return line.empty() ? otherwise : line == "y" || line == "yes";
}

hub::PullResult pull_shown(const hub::Settings& settings, const hub::Source& source, const PullShown& how) {
  std::optional<InterruptScope> interrupt(std::in_place);
  Bar bar;
  hub::PullOptions options;
  options.connections = how.connections;
  options.going_on = [&interrupt] { return !interrupt->requested(); };
  if (how.ask) {
    options.confirm = [&](const hub::PullPlan& plan) {
      interrupt.reset();  // while a question waits, Ctrl-C is an answer
      const bool yes =
          ask(fmt::format("{} is not here. Pull {} from {} ({} files)?", source.name, readable_bytes(static_cast<double>(plan.missing)), plan.repo, plan.files),
              true);
      interrupt.emplace();
      return yes;
    };
  }
  if (!how.quiet) {
    options.progress = [&bar](const hub::PullProgress& progress) {
      bar.show(progress.checking ? "checking " + progress.file : "pulling " + progress.file, progress.have, progress.bytes);
    };
    options.note = [&bar](const std::string& note) {
      bar.hide();
      fmt::print(stderr, "carat: {}\n", terminal_safe(note));
    };
  }
  hub::PullResult result = hub::pull(settings, source, options);
  bar.hide();
  if (!how.quiet && ::isatty(STDERR_FILENO) == 1) {
    fmt::print(stderr, "{}: {} files, {}, of {} at {}; {} downloaded\n", terminal_safe(source.name), result.model.files.size(),
               readable_bytes(static_cast<double>(result.model.size())), result.model.repo, short_commit(result.model.commit),
               readable_bytes(static_cast<double>(result.downloaded)));
  }
  return result;
}

const Command kPullCommand = {
    "pull", "get a model from the hub into the local store",
    "Examples:\n"
    "  carat pull gemma4:e2b\n"
    "  carat pull gemma4:26b-q8_0\n"
    "  carat pull hf:ggml-org/gemma-3-4b-it-GGUF:Q8_0@main\n\n"
    "The answer is the path of the model. A pull that was ended, in whatever way, goes on where it was when it is run again. The store is\n"
    "the Hugging Face cache (HF_HOME). HF_TOKEN gives access to private and gated models, HF_ENDPOINT names another hub,\n"
    "HF_HUB_OFFLINE=1 forbids the network. Names of your own: names.json in CARAT_HOME.",
    setup};

}  // namespace carat::cli
