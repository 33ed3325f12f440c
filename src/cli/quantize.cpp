// carat quantize: write a GGUF of another type, with the error it made.
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <fstream>
#include <memory>
#include <set>

#include "base/error.h"
#include "base/output_file.h"
#include "cli/command.h"
#include "cli/console.h"
#include "cli/interrupt.h"
#include "cli/model_options.h"
#include "cli/quantize_text.h"
#include "cli/terminal/progress.h"
#include "quant/divergence.h"
#include "quant/importance.h"
#include "quant/quant_report.h"
#include "quant/quantise.h"

namespace carat::cli {
namespace {

namespace fs = std::filesystem;

struct Options {
  std::string in, out, type;
  ResolveOptions resolve;
  std::vector<std::string> tensor_types;
  std::string calibrate, kl_text, report;
  int threads = 0;
  bool packed = false, dry_run = false, json = false;
};

std::string type_choices() {
  std::string names;
  for (const quant::Recipe& r : quant::all_recipes()) names += (names.empty() ? "" : ",") + std::string(r.name);
  return "{" + names + "}";
}

std::string known_type(std::string& text) {
  try {
    quant::find_recipe(text);
    return {};
  } catch (const Error& error) {
    return terminal_safe(error.what());
  }
}

quant::TypeOverride override_from(const std::string& text) {
  const size_t equals = text.rfind('=');
  if (equals == std::string::npos || equals == 0)
    fail(ErrorCode::invalid_argument, "'{}' is no PATTERN=TYPE, --tensor-type, write it as ffn_down=q6_k", terminal_safe(text));
  return {text.substr(0, equals), quant::find_type(text.substr(equals + 1))};
}

// A file that is there is replaced if it is a GGUF; anything else was not meant.
void check_output(const quant::Source& source, const fs::path& out) {
  struct stat status{};
  if (::stat(out.c_str(), &status) != 0) return;
  if (!S_ISREG(status.st_mode))
    fail(ErrorCode::invalid_argument, "OUT is no file that can be written, {}, give the name of a .gguf file", terminal_safe(out.string()));
  std::set<std::string> inputs;
  for (const quant::SourceTensor& t : source.tensors)
    if (t.from) inputs.insert(t.from->file->name());
  for (const std::string& in : inputs) {
    std::error_code error;
    if (fs::equivalent(in, out, error)) fail(ErrorCode::invalid_argument, "OUT is IN, {}, give another name", terminal_safe(out.string()));
  }
  std::array<char, 4> start{};
  std::ifstream(out, std::ios::binary).read(start.data(), start.size());
  if (status.st_size > 0 && std::string_view(start.data(), start.size()) != "GGUF")
    fail(ErrorCode::invalid_argument, "OUT is there and is no GGUF, {}, give another name or remove it", terminal_safe(out.string()));
}

// Hours of work should not end at a report that cannot be put anywhere.
void check_report(const std::string& report) {
  const fs::path folder = fs::path(report).parent_path();
  std::error_code error;
  if (!folder.empty() && !fs::is_directory(folder, error))
    fail(ErrorCode::not_found, "there is no such folder, --report, {}, make it or name another", terminal_safe(folder.string()));
}

class Run {
 public:
  explicit Run(const Options& options) : o_(options) {}

  int run() {
    const auto start = std::chrono::steady_clock::now();
    const quant::Recipe& recipe = quant::find_recipe(o_.type);
    std::vector<quant::TypeOverride> overrides;
    for (const std::string& text : o_.tensor_types) overrides.push_back(override_from(text));
    const fs::path in = resolve_model(o_.in, o_.resolve);
    const quant::Source source = quant::Source::open(in);
    check_output(source, o_.out);
    check_report(o_.report);
    const quant::Plan plan = quant::make_plan(source, recipe, overrides, !o_.calibrate.empty(), o_.packed);
    report_.input = o_.in, report_.output = o_.out, report_.type = recipe.name;
    report_.bytes_before = source.checkpoint->file_bytes();
    report_.plan = &plan;
    if (!o_.dry_run) {
      quant::check_space(plan, o_.out);
      texts(source, in);
    }
    warn(source, plan);
    if (o_.dry_run) return finish(true);
    const quant::Importance importance = calibrate(source);
    {
      Progress progress("quantizing");
      quant::QuantiseOptions options;
      options.num_threads = o_.threads;
      options.importance = importance.empty() ? nullptr : &importance;
      options.progress = [&](uint64_t done, uint64_t total) { progress.show(done, total); };
      options.going_on = going_on();
      report_.results = quant::quantise(source, plan, recipe, o_.out, options);
    }
    report_.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    measure(source);
    return finish(false);
  }

 private:
  std::function<bool()> going_on() const {
    return [this] { return !interrupt_.requested(); };
  }

  static void warn(const quant::Source& source, const quant::Plan& plan) {
    if (source.left_out > 0) fmt::print(stderr, "carat: note: the text model is written; {} tensors of the vision and audio towers are not\n", source.left_out);
    const bool again = std::any_of(plan.tensors.begin(), plan.tensors.end(),
                                   [](const quant::PlannedTensor& t) { return is_quantised(t.source->dtype) && is_quantised(t.type.type) && !t.copied(); });
    if (again)
      fmt::print(stderr,
                 "carat: warning: the model is quantised already, and what it lost stays lost; the new file is worse than one made from the original\n");
    else if (source.quantised && std::any_of(plan.tensors.begin(), plan.tensors.end(), [](const quant::PlannedTensor& t) { return !t.copied(); }))
      fmt::print(stderr, "carat: warning: the model is quantised already: the new file is larger where it is written out, not better\n");
  }

  // What calibrating and measuring need to read, and whether the model fits into memory, before anything is written.
  void texts(const quant::Source& source, const fs::path& in) {
    if (o_.calibrate.empty() && o_.kl_text.empty()) return;
    QuantizeText text(source, in, o_.threads);
    bos_ = text.bos();
    if (!o_.calibrate.empty()) calibration_ = text.encode(o_.calibrate);
    if (!o_.kl_text.empty()) {
      held_out_ = text.encode(o_.kl_text);
    } else {
      held_out_ = split_held_out(calibration_);
    }
  }

  quant::Importance calibrate(const quant::Source& source) {
    if (o_.calibrate.empty()) return {};
    Progress progress("calibrating");
    report_.calibration_tokens = static_cast<int64_t>(calibration_.size());
    return quant::collect_importance(source.checkpoint, calibration_, bos_, running(progress));
  }

  void measure(const quant::Source& source) {
    if (held_out_.size() < 2) return;
    Progress progress("comparing");
    report_.divergence =
        quant::measure_divergence(source.checkpoint, Checkpoint::open(o_.out), held_out_, bos_, fs::path(o_.out).parent_path(), running(progress));
  }

  quant::RunOptions running(Progress& progress) const {
    quant::RunOptions options;
    options.num_threads = o_.threads;
    options.running = [&progress](uint64_t done, uint64_t total) { progress.show(done, total); };
    options.going_on = going_on();
    return options;
  }

  int finish(bool each_tensor) {
    const Json json = quant::report_json(report_);
    if (!o_.report.empty()) {
      const std::string text = json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
      write_file_atomically(o_.report, std::as_bytes(std::span(text)));
    }
    if (o_.json) {
      print_json(json);
    } else {
      print(terminal_safe(quant::report_text(report_, each_tensor)));
    }
    return 0;
  }

  const Options& o_;
  InterruptScope interrupt_;
  quant::QuantReport report_;
  std::vector<int32_t> calibration_, held_out_;
  int32_t bos_ = -1;
};

Action setup(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  app.add_option("IN", options->in, "what to convert: a path, or a name such as gemma3:270m")->required();
  app.add_option("OUT", options->out, "the GGUF to write; one of that name is replaced when the new one is whole");
  add_resolve_options(app, options->resolve);
  app.add_option("--type", options->type, "the type, or mixture of types, of the new file")
      ->required()
      ->check(CLI::Validator(known_type, type_choices()))
      ->type_name("TYPE");
  app.add_option("--tensor-type", options->tensor_types, "another type for tensors whose name matches, ffn_down=q6_k for example; may be repeated")
      ->type_name("PATTERN=TYPE")
      ->allow_extra_args(false);
  app.add_flag("--packed", options->packed, "matrices in the order they are multiplied in: a model that starts without packing, for Carat only");
  app.add_option("--calibrate", options->calibrate, "run the model over this text, and spend the bits on what matters there")->type_name("FILE");
  app.add_option("--kl-text", options->kl_text, "compare the predictions of both files on this text; default: the last tenth of the one to calibrate on")
      ->type_name("FILE");
  app.add_option("--report", options->report, "the report as JSON, to a file")->type_name("FILE");
  app.add_option("--threads", options->threads, "default: physical cores")->check(CLI::Range(0, 1024))->type_name("N");
  app.add_flag("--dry-run", options->dry_run, "say what the file would be, and write nothing; OUT may be left out");
  app.add_flag("--json", options->json, "the report as one JSON document");
  app.final_callback([options] {
    if (options->out.empty() && !options->dry_run) throw CLI::RequiredError("OUT");
  });
  return [options] { return Run(*options).run(); };
}

}  // namespace

const Command kQuantizeCommand = {"quantize", "write a GGUF of another type, with the error it made",
                                  "Examples:\n"
                                  "  carat quantize gemma3:270m small.gguf --type q4_0\n"
                                  "  carat quantize folder model.gguf --type q4_k_m --calibrate notes.txt --report report.json\n"
                                  "  carat quantize model.gguf --type q5_k_m --dry-run\n"
                                  "  carat quantize model.gguf fast.gguf --type keep --packed\n\n"
                                  "IN may be a GGUF of any type or a Hugging Face folder. Mixtures (q4_k_m and so on) give each tensor the type that "
                                  "llama.cpp's llama-quantize gives it. What\n"
                                  "counts as error is the root mean square of the differences over that of the weights. With a text the KL divergence between "
                                  "both files' predictions is measured.",
                                  setup};

}  // namespace carat::cli
