// carat rm: a model out of the local store.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "base/error.h"
#include "base/json.h"
#include "cli/command.h"
#include "cli/console.h"
#include "cli/model_name.h"
#include "cli/pull.h"
#include "cli/terminal/progress.h"
#include "hub/removal.h"
#include "hub/settings.h"

namespace carat::cli {
namespace {

struct Options {
  std::string name, revision;
  bool yes = false, json = false;
};

int run(const Options& options) {
  const hub::Settings settings = hub::settings_from_environment();
  const hub::Layout layout{settings.cache};
  const std::filesystem::path own = default_model(options.name);
  hub::Source source;
  if (own.empty()) source = find_source(settings, options.name);
  if (const auto& file = own.empty() ? source.path : own; !file.empty()) {
    fail(ErrorCode::invalid_argument, "{} is a file outside of the store, {}, remove it yourself", options.name, file.string());
  }
  if (!options.revision.empty()) {
    if (!hub::is_revision(options.revision))
      fail(ErrorCode::invalid_argument, "'{}' is no revision, --revision, give a branch, a tag or a commit", options.revision);
    source.revision = options.revision;
  }
  const bool one_revision = !options.revision.empty() || source.revision != "main";
  const hub::Removal plan = hub::plan_removal(layout, source, one_revision);
  if (!options.yes) {
    const std::string what = fmt::format("{}: {} of {}", options.name, readable_bytes(static_cast<double>(plan.bytes)), plan.repo);
    if (!can_ask()) fail(ErrorCode::invalid_argument, "nothing was removed, {}, give --yes (or CARAT_YES=1) to remove it without being asked", what);
    if (!ask("Remove " + what + "?", false)) fail(ErrorCode::cancelled, "not removed, {}, as you wished", options.name);
  }
  const uint64_t bytes = hub::remove(layout, plan);
  if (options.json) {
    print_json({{"name", options.name}, {"repo", plan.repo}, {"snapshots", plan.commits}, {"bytes", bytes}});
  } else {
    print(fmt::format("{}: {} freed\n", terminal_safe(options.name), readable_bytes(static_cast<double>(bytes))));
  }
  return 0;
}

Action setup(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  app.add_option("NAME", options->name, "as carat list shows it")->required();
  app.add_option("--revision", options->revision, "only in the snapshot of this branch, tag or commit; default: in all")->type_name("REV");
  app.add_flag("--yes", options->yes, "without asking");
  app.add_flag("--json", options->json, "one JSON document");
  return [options] { return run(*options); };
}

}  // namespace

const Command kRmCommand = {"rm", "remove a model from the local store",
                            "Examples:\n"
                            "  carat rm gemma4:e2b\n"
                            "  carat rm hf:ggml-org/gemma-3-4b-it-GGUF:Q8_0 --yes\n\n"
                            "Contents that another model or revision uses stay. With the last model of a repository goes all that the cache holds of it, and\n"
                            "what was left of a pull that did not end.",
                            setup};

}  // namespace carat::cli
