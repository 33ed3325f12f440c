#pragma once
// Keeps what people and tools say apart from what a template says, through a template that sees both as strings.
//
// The characters that control tokens begin and end with ("<" and ">") are replaced, in everything a conversation holds, by characters of private use that
// nothing in it or in the template uses. Whatever the template then does with the text, it holds no control token; in the output the characters are put back
// after the control tokens were taken out. In the strict form the ASCII letters and digits are replaced too: a control token that a template puts together
// around somebody's word ("<" + name + ">") is missing in that output, and so found out.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "text/tokenizer.h"
#include "text/vocab.h"

namespace carat {

// The control tokens of a vocabulary, by their spelling: those that a prompt's text may become.
class ControlTexts {
 public:
  explicit ControlTexts(const Tokenizer& tokenizer);
  // The longest control token at the front of `text`; 0: none.
  size_t match(std::string_view text) const { return texts_.match(text).second; }
  bool begins(char c) const { return texts_.begins(static_cast<uint8_t>(c)); }
  const std::vector<uint32_t>& edges() const { return edges_; }  // characters that one begins or ends with, ascending

 private:
  SpecialTexts texts_;
  std::vector<uint32_t> edges_;
};

class TextGuard {
 public:
  // variables: of template_variables(). Fails with unsupported when all characters of private use are taken.
  TextGuard(const ControlTexts& controls, std::string_view chat_template, const Json& variables);

  // The variables with what people and tools say in them replaced. Members and values that are the conversation's own form stay as they are.
  Json guarded(const Json& variables, bool strict) const;
  // Puts the characters back.
  std::string restored(std::string_view text) const;

 private:
  enum class Place : uint8_t { structure, function, free };
  std::string replaced(std::string_view text, bool strict) const;
  Json replaced(const Json& value, Place place, bool strict) const;

  const std::vector<uint32_t>& edges_;
  uint32_t base_ = 0;  // of the characters of private use
};

}  // namespace carat
