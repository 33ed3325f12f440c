#pragma once
// Reading what a person types: with editing, history, completion and messages of several lines on a terminal, plain lines elsewhere.
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "cli/terminal/completion.h"

namespace carat::cli {

struct LineEditorOptions {
  std::filesystem::path history;  // a HistoryFile; empty: for this run only
  Completer complete;             // may be empty
};

struct TypedLine {
  enum class Kind : uint8_t {
    text,         // text: as it was typed, see typed_message()
    interrupted,  // Ctrl-C: what stood there is gone; text: what that was
    end,          // Ctrl-D on an empty line, or stdin has ended
  };
  Kind kind = Kind::text;
  std::string text;
};

// Emacs keys (or vi's, by ~/.editrc), arrows, Ctrl-R to search, Tab to complete. Enter goes to the next line where message_goes_on(), Alt-Enter always does; a
// pasted text is part of the message, however many lines it has. One at a time; read() restores the terminal whatever happens.
class LineEditor {
 public:
  static constexpr size_t kMaxLineBytes = size_t{4} << 20;  // of plain input; more fails with exhausted

  explicit LineEditor(LineEditorOptions options);
  ~LineEditor();
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  // Shows the prompt (of printable characters) on stderr, or on stdout if only that is a terminal. keep false: the line is no part of the history.
  // A Ctrl-C typed right after Enter is raised as SIGINT before it returns.
  TypedLine read(std::string_view prompt, bool keep = true);
  // For a question whose answer must follow it: what was typed before, which meant something else, is dropped. Does nothing where stdin is no terminal.
  void forget_typed();

 private:
  class Editing;
  TypedLine read_plain(std::string_view prompt);

  std::unique_ptr<Editing> editing_;  // null: plain lines
};

}  // namespace carat::cli
