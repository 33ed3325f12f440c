// carat doctor: what this machine has and lacks for running models, and what to do about it.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "cli/command.h"
#include "cli/console.h"
#include "cli/doctor_report.h"

namespace carat::cli {
namespace {

struct Options {
  bool json = false, no_measure = false;
};

Action setup(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  app.add_flag("--no-measure", options->no_measure, "do not measure how fast memory and arithmetic are (about a second)");
  app.add_flag("--json", options->json, "one JSON document");
  return [options] {
    const Json report = examine_machine(!options->no_measure);
    if (options->json) {
      print_json(report);
    } else {
      print(doctor_text(report));
    }
    return 0;
  };
}

}  // namespace

const Command kDoctorCommand = {"doctor", "what this machine has and lacks",
                                "Examples:\n"
                                "  carat doctor\n"
                                "  carat doctor --no-measure --json | jq .advice\n\n"
                                "Shown are processor, memory, limits, where models are kept and which are here, and the parts that are missing with the line\n"
                                "that installs them. The speeds are measured in about a second with all threads: an impression, not a benchmark.",
                                setup};

}  // namespace carat::cli
