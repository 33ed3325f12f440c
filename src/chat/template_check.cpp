// Which template is it? A published one is known by its text; else it is found by what it prints: comments, white space between tags and the order of macros do not matter, a changed word does.
#include <fmt/format.h>

#include <array>

#include "base/error.h"
#include "chat/jinja_template.h"
#include "chat/published_templates.h"
#include "chat/template_probes.h"

namespace carat {
namespace {

constexpr size_t kMaxDifferences = 8;

struct Known {
  std::shared_ptr<const ChatFormat> format;
  std::vector<TemplateOutput> prints;  // for each probe
};

TemplateOutput print(const ChatFormat& format, const TemplateProbe& probe) {
  try {
    return {.text = format.render(probe.messages, probe.tools, probe.options).text(), .error = ""};
  } catch (const Error& error) {
    return {.text = "", .error = error.what()};
  }
}

bool same(const TemplateOutput& a, const TemplateOutput& b) { return a.error.empty() == b.error.empty() && a.text == b.text; }

std::string excerpt(std::string_view text, size_t at) {
  constexpr size_t before = 16, length = 48;
  const size_t begin = at < before ? 0 : at - before;
  return Json(std::string(text.substr(begin, length))).dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string difference(const TemplateProbe& probe, const TemplateOutput& known, const TemplateOutput& foreign) {
  if (!known.error.empty()) return fmt::format("{}: it prints a prompt where the known one refuses", probe.name);
  if (!foreign.error.empty()) return fmt::format("{}: it refuses: {}", probe.name, foreign.error);
  size_t at = 0;
  while (at < known.text.size() && at < foreign.text.size() && known.text[at] == foreign.text[at]) ++at;
  return fmt::format("{}: at byte {} it prints {}, the known one {}", probe.name, at, excerpt(foreign.text, at), excerpt(known.text, at));
}

std::vector<std::shared_ptr<const ChatFormat>> known_formats(bool gemma4) {
  if (!gemma4) return {gemma3_format()};
  std::vector<std::shared_ptr<const ChatFormat>> out;
  for (const Gemma4Revision revision : {Gemma4Revision::canonical, Gemma4Revision::spring, Gemma4Revision::interleaved, Gemma4Revision::launch}) {
    for (const bool large : {true, false}) out.push_back(gemma4_format(revision, large));
  }
  return out;
}

void compare(std::string_view chat_template, bool gemma4, TemplateCheck& check) {
  const std::vector<TemplateProbe>& probes = template_probes(gemma4);
  std::vector<Json> variables;
  for (const TemplateProbe& probe : probes) variables.push_back(template_variables(probe.messages, probe.tools, probe.options));
  const std::vector<TemplateOutput> foreign = run_template(chat_template, variables);

  Known nearest;
  size_t most = 0;
  for (const auto& format : known_formats(gemma4)) {
    Known known{.format = format, .prints = {}};
    size_t equal = 0;
    for (size_t i = 0; i < probes.size(); ++i) {
      known.prints.push_back(print(*format, probes[i]));
      if (same(known.prints[i], foreign[i])) ++equal;
    }
    if (equal == probes.size()) {
      check.format = format;
      return;
    }
    if (nearest.format == nullptr || equal > most) {
      most = equal;
      nearest = std::move(known);
    }
  }
  check.differences.push_back(fmt::format("nearest is {}: {} of {} conversations print the same", nearest.format->name(), most, probes.size()));
  for (size_t i = 0; i < probes.size() && check.differences.size() <= kMaxDifferences; ++i) {
    if (!same(nearest.prints[i], foreign[i])) check.differences.push_back(difference(probes[i], nearest.prints[i], foreign[i]));
  }
}

}  // namespace

TemplateCheck check_template(std::string_view chat_template) {
  TemplateCheck check;
  if (chat_template.empty()) return check;
  check.has_template = true;
  check.format = published_format(chat_template);
  if (check.format != nullptr) return check;
  const bool gemma4 = chat_template.find("<|turn>") != std::string_view::npos;
  if (!gemma4 && chat_template.find("<start_of_turn>") == std::string_view::npos) {
    check.differences.emplace_back("it prints neither <|turn> nor <start_of_turn>: it is for another family of models");
    return check;
  }
  try {
    compare(chat_template, gemma4, check);
  } catch (const Error& error) {
    check.differences.emplace_back(error.what());
  }
  return check;
}

}  // namespace carat
