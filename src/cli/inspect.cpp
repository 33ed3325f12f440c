// carat inspect: what a model file holds.
#include <CLI/CLI.hpp>
#include <memory>

#include "cli/command.h"
#include "cli/console.h"
#include "cli/inspect_report.h"
#include "cli/model_name.h"

namespace carat::cli {
namespace {

struct Options {
  std::string model;
  ResolveOptions resolve;
  bool json = false;
};

Action setup(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  app.add_option("MODEL", options->model, "a path, or a name such as gemma3:270m")->required();
  add_resolve_options(app, options->resolve);
  app.add_flag("--json", options->json, "one JSON document");
  return [options] {
    const Json report = inspect_model(resolve_model(options->model, options->resolve));
    if (options->json) {
      print_json(report);
    } else {
      print(inspect_text(report));
    }
    return 0;
  };
}

}  // namespace

const Command kInspectCommand = {"inspect", "what a model file holds, and what is wrong with it",
                                 "Examples:\n"
                                 "  carat inspect gemma3:270m\n"
                                 "  carat inspect model.gguf --json | jq .totals\n\n"
                                 "Shown are the config as Carat understands it, the metadata (long arrays shortened), every tensor with type and shape,\n"
                                 "totals by type, and problems. Shapes are in PyTorch's order: the last number is the one that runs fastest.",
                                 setup};

}  // namespace carat::cli
