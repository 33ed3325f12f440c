#pragma once
// A chat template of somebody else's, run by minijinja (rust/template) under limits, as transformers sets Jinja up. What a person or a tool has said stays text
// through it: see docs/chat.md, "Templates of others".
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "chat/chat_format.h"
#include "text/tokenizer.h"

namespace carat {

inline constexpr size_t kMaxTemplateBytes = size_t{1} << 20;

struct TemplateOutput {
  std::string text;
  std::string error;  // not empty: it failed, and this is why, in one line
};
// The template's text for each set of variables. Fails with invalid_argument (it does not compile; it is too long) or unsupported (carat-template is
// not there).
std::vector<TemplateOutput> run_template(std::string_view chat_template, const std::vector<Json>& variables);

// What a template is told of a conversation: {"messages", "tools", "bos_token", "add_generation_prompt", ...}. Media parts have Hugging Face's form.
Json template_variables(std::span<const Message> messages, const Json& tools, const RenderOptions& options);

// The format of a template. render() fails with invalid_argument when the template refuses, exceeds a limit, shows other media than were given, or would make
// a control token out of what somebody has said; name() is "jinja". Fails with invalid_argument when it does not compile, and unsupported.
std::shared_ptr<const ChatFormat> jinja_format(std::string chat_template, const Tokenizer& tokenizer);

}  // namespace carat
