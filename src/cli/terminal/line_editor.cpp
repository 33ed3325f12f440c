// The only file that knows libedit.
#include "cli/terminal/line_editor.h"

#include <fmt/core.h>
#include <histedit.h>
#include <termios.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <deque>
#include <iostream>
#include <optional>
#include <utility>

#include "base/error.h"
#include "cli/console.h"
#include "cli/terminal/display_width.h"
#include "cli/terminal/edit_units.h"
#include "cli/terminal/history_file.h"
#include "cli/terminal/key_reader.h"
#include "cli/terminal/multiline.h"
#include "cli/terminal/style.h"
#include "cli/terminal/terminal_guard.h"
#include "cli/terminal/unit_output.h"

namespace carat::cli {
namespace {

// A character that no key makes: it calls on_event(), which does what is due. C1 controls that come from outside are dropped.
constexpr wchar_t kEventKey = 0x80;
constexpr wchar_t kLiteral = 0x01;  // around what takes no columns in a prompt
constexpr uint32_t kCtrlD = 4, kCtrlZ = 26;

// Where the library's prompt goes: stdout belongs to the answer, unless nothing else is a terminal. -1: there is none to edit on.
int editing_output() {
  if (!stdin_is_terminal()) return -1;
  for (const int fd : {STDERR_FILENO, STDOUT_FILENO}) {
    if (is_capable_terminal(fd)) return fd;
  }
  return -1;
}

}  // namespace

class LineEditor::Editing {
 public:
  Editing(int out_fd, LineEditorOptions options);
  ~Editing();
  Editing(const Editing&) = delete;
  Editing& operator=(const Editing&) = delete;

  TypedLine read(std::string_view prompt, bool keep);
  void forget_typed() { keys_.forget(); }

 private:
  struct Action {
    enum class Kind : uint8_t { insert, mark, to_end, move, table, resize, finish };
    Kind kind;
    std::wstring text = {};  // insert
    std::string shown = {};  // table
    uint32_t code = 0;
    int by = 0;
  };

  static Editing& self(EditLine* editor) {
    void* data = nullptr;
    ::el_wget(editor, EL_CLIENTDATA, &data);
    return *static_cast<Editing*>(data);
  }
  static int on_read(EditLine* editor, wchar_t* out) { return self(editor).next_character(out); }
  static wchar_t* on_prompt(EditLine* editor) { return self(editor).prompt_.data(); }
  static unsigned char on_event(EditLine* editor, wint_t) { return self(editor).do_action(); }
  static unsigned char on_up(EditLine* editor, wint_t) { return self(editor).vertical(-1); }
  static unsigned char on_down(EditLine* editor, wint_t) { return self(editor).vertical(+1); }
  static unsigned char on_complete(EditLine* editor, wint_t) { return self(editor).complete(); }

  void bind_keys();
  int next_character(wchar_t* out);
  bool character(uint32_t code, wchar_t* out);
  unsigned char do_action();
  unsigned char add_mark(uint32_t code);
  unsigned char vertical(int direction);
  unsigned char history(int direction);
  unsigned char complete();
  void replace(const std::wstring& units);
  void leave(TypedLine::Kind kind);
  void remember(const std::string& text);
  std::wstring_view line() const;
  size_t cursor() const;

  const int out_fd_;
  LineEditorOptions options_;
  HistoryFile history_;
  EditUnits units_;
  KeyReader keys_{STDIN_FILENO};
  std::unique_ptr<TerminalGuard> guard_;  // while a line is read
  std::wstring prompt_;
  std::deque<Action> actions_;
  TypedLine::Kind kind_ = TypedLine::Kind::text;
  size_t place_ = 0;    // in history_.entries(); its size: the line being written
  std::wstring draft_;  // that line, while another one is shown
  UnitOutput out_{out_fd_, units_};
  EditLine* editor_ = nullptr;
  HistoryW* searched_ = nullptr;  // the same entries for the library's search
};

LineEditor::Editing::Editing(int out_fd, LineEditorOptions options) : out_fd_(out_fd), options_(std::move(options)), history_(options_.history) {
  const Utf8Locale locale;
  editor_ = ::el_init_fd("carat", stdin, out_.file(), stderr, STDIN_FILENO, out_fd_, STDERR_FILENO);
  searched_ = ::history_winit();
  check(editor_ != nullptr && searched_ != nullptr, "the line editor could not be made");
  ::el_wset(editor_, EL_CLIENTDATA, this);
  ::el_wset(editor_, EL_SIGNAL, 0);
  ::el_wset(editor_, EL_EDITOR, L"emacs");
  ::el_wset(editor_, EL_PROMPT_ESC, on_prompt, kLiteral);
  ::el_wset(editor_, EL_GETCFN, on_read);
  ::el_wset(editor_, EL_HIST, history_w, searched_);
  // Ctrl-C, Ctrl-Z and Ctrl-\ are bytes while editing.
  ::el_wset(editor_, EL_SETTY, L"-d", L"-isig", nullptr);
  HistEventW event;
  ::history_w(searched_, &event, H_SETSIZE, static_cast<int>(HistoryFile::kMaxEntries));
  ::history_w(searched_, &event, H_SETUNIQUE, 1);
  for (const std::string& entry : history_.entries()) ::history_w(searched_, &event, H_ENTER, units_.units(entry).c_str());
  bind_keys();
}

LineEditor::Editing::~Editing() {
  ::el_end(editor_);
  ::history_wend(searched_);
}

void LineEditor::Editing::bind_keys() {
  ::el_wset(editor_, EL_ADDFN, L"carat-event", L"what is due", on_event);
  ::el_wset(editor_, EL_ADDFN, L"carat-up", L"the line above, or the entry before", on_up);
  ::el_wset(editor_, EL_ADDFN, L"carat-down", L"the line below, or the entry after", on_down);
  ::el_wset(editor_, EL_ADDFN, L"carat-complete", L"completes a command or a file's name", on_complete);
  constexpr std::pair<const wchar_t*, const wchar_t*> keys[] = {
      {L"^I", L"carat-complete"},     {L"^P", L"carat-up"},           {L"^N", L"carat-down"},
      {L"\\e[A", L"carat-up"},        {L"\\e[B", L"carat-down"},      {L"\\eOA", L"carat-up"},
      {L"\\eOB", L"carat-down"},      {L"^R", L"em-inc-search-prev"}, {L"\\e[3~", L"ed-delete-next-char"},
      {L"\\e[1;5C", L"em-next-word"}, {L"\\e[1;5D", L"ed-prev-word"}, {L"\\e[H", L"ed-move-to-beg"},
      {L"\\e[F", L"ed-move-to-end"},  {L"\\eOH", L"ed-move-to-beg"},  {L"\\eOF", L"ed-move-to-end"},
      {L"\\e[1~", L"ed-move-to-beg"}, {L"\\e[4~", L"ed-move-to-end"}, {L"^W", L"ed-delete-prev-word"},
  };
  for (const auto& [key, function] : keys) ::el_wset(editor_, EL_BIND, key, function, nullptr);
  ::el_source(editor_, nullptr);  // ~/.editrc, if there is one
  const wchar_t event[] = {kEventKey, 0};
  ::el_wset(editor_, EL_BIND, event, L"carat-event", nullptr);
}

TypedLine LineEditor::Editing::read(std::string_view prompt, bool keep) {
  const Utf8Locale locale;
  const std::wstring plain = units_.units(prompt);
  const std::string look = styles_wanted(out_fd_) ? style_begin(style::prompt) : "";
  if (look.empty() || plain.size() < 2) {
    prompt_ = plain;
  } else {
    const auto literal = [](std::string_view text) { return kLiteral + std::wstring(text.begin(), text.end()) + kLiteral; };
    prompt_ = literal(look) + plain.substr(0, plain.size() - 1) + literal(kStyleEnd) + plain.back();
  }
  kind_ = TypedLine::Kind::text;
  actions_.clear();
  place_ = history_.entries().size();
  guard_ = std::make_unique<TerminalGuard>(STDIN_FILENO, out_fd_);
  ::el_wset(editor_, EL_PREP_TERM, 1);  // before the prompt: what is typed from then on is echoed by the library alone
  int count = 0;
  const wchar_t* typed = ::el_wgets(editor_, &count);
  if (typed == nullptr && kind_ == TypedLine::Kind::text) kind_ = TypedLine::Kind::end;
  std::wstring_view units = typed == nullptr || count <= 0 ? std::wstring_view() : std::wstring_view(typed, static_cast<size_t>(count));
  if (kind_ == TypedLine::Kind::text && units.ends_with(L'\n')) units.remove_suffix(1);  // Enter itself
  TypedLine result{kind_, units_.text(units)};
  if (kind_ != TypedLine::Kind::text) out_.put(kind_ == TypedLine::Kind::interrupted ? "^C\n" : "\n");
  std::fflush(out_.file());
  // Ctrl-C right after Enter is a byte still, but meant for what comes next.
  const bool interrupted = kind_ == TypedLine::Kind::text && keys_.take_interrupt();
  guard_.reset();
  if (interrupted) ::raise(SIGINT);
  if (keep && kind_ == TypedLine::Kind::text) remember(result.text);
  return result;
}

void LineEditor::Editing::remember(const std::string& text) {
  if (!history_.add(text)) fmt::print(stderr, "carat: warning: the history could not be written, {}\n", terminal_safe(options_.history.string()));
  if (history_.entries().empty() || history_.entries().back() != text) return;
  HistEventW event;
  ::history_w(searched_, &event, H_ENTER, units_.units(text).c_str());
}

std::wstring_view LineEditor::Editing::line() const {
  const LineInfoW* info = ::el_wline(editor_);
  return {info->buffer, static_cast<size_t>(info->lastchar - info->buffer)};
}

size_t LineEditor::Editing::cursor() const {
  const LineInfoW* info = ::el_wline(editor_);
  return static_cast<size_t>(info->cursor - info->buffer);
}

// Called by the library for its next character.
int LineEditor::Editing::next_character(wchar_t* out) {
  for (;;) {
    if (!actions_.empty()) {
      *out = kEventKey;
      return 1;
    }
    guard_->remember_editing_modes();
    Key key = keys_.next(guard_->wake_fd());
    switch (key.kind) {
      case Key::Kind::character:
        if (character(key.code, out)) return 1;
        break;
      case Key::Kind::enter: {
        const std::string text = units_.text(line());
        if (!message_goes_on(text)) {
          *out = L'\n';
          return 1;
        }
        if (text.ends_with('\\')) actions_.push_back({.kind = Action::Kind::to_end});
        actions_.push_back({.kind = Action::Kind::insert, .text = L"\n"});
        break;
      }
      case Key::Kind::newline: actions_.push_back({.kind = Action::Kind::insert, .text = L"\n"}); break;
      case Key::Kind::paste: actions_.push_back({.kind = Action::Kind::insert, .text = units_.units(key.text)}); break;
      case Key::Kind::interrupt: leave(TypedLine::Kind::interrupted); break;
      case Key::Kind::wake:
        guard_->drain_wakes();
        actions_.push_back({.kind = Action::Kind::resize});
        break;
      case Key::Kind::end: kind_ = TypedLine::Kind::end; return -1;
    }
  }
}

// True: the library gets a character; false: nothing comes of it, or an action.
bool LineEditor::Editing::character(uint32_t code, wchar_t* out) {
  if (code == 0 || (code >= 0x80 && code < 0xa0)) return false;
  if (code == kCtrlD && line().empty()) {
    leave(TypedLine::Kind::end);
    return false;
  }
  if (code == kCtrlZ) {
    ::raise(SIGTSTP);
    return false;
  }
  if (character_width(code) == 0) {
    actions_.push_back({.kind = Action::Kind::mark, .code = code});
    return false;
  }
  *out = units_.unit(code);
  return true;
}

void LineEditor::Editing::leave(TypedLine::Kind kind) {
  kind_ = kind;
  actions_.push_back({.kind = Action::Kind::to_end});
  actions_.push_back({.kind = Action::Kind::finish});
}

unsigned char LineEditor::Editing::do_action() {
  if (actions_.empty()) return CC_NORM;
  const Action action = std::move(actions_.front());
  actions_.pop_front();
  switch (action.kind) {
    case Action::Kind::insert: ::el_winsertstr(editor_, action.text.c_str()); return CC_REFRESH;
    case Action::Kind::mark: return add_mark(action.code);
    case Action::Kind::to_end: ::el_cursor(editor_, static_cast<int>(line().size() - cursor())); return CC_REFRESH;
    case Action::Kind::move: ::el_cursor(editor_, action.by); return CC_REFRESH;
    case Action::Kind::table:
      out_.put(action.shown);
      ::el_wset(editor_, EL_REFRESH);
      return CC_NORM;
    case Action::Kind::resize: {
      ::el_resize(editor_);
      out_.put("\r\x1b[J");
      ::el_wset(editor_, EL_REFRESH);
      return CC_NORM;
    }
    case Action::Kind::finish: return CC_NEWLINE;
  }
  return CC_NORM;
}

unsigned char LineEditor::Editing::add_mark(uint32_t code) {
  const size_t at = cursor();
  const wchar_t before = at == 0 ? L'\0' : line()[at - 1];
  const wchar_t joined = units_.with_mark(before, code);
  if (joined == 0) return CC_ERROR;
  if (at > 0 && before >= 0x20) ::el_deletestr(editor_, 1);
  const wchar_t text[] = {joined, 0};
  ::el_winsertstr(editor_, text);
  return CC_REFRESH;
}

// Within a message of several lines to the line above or below, at its ends through the history.
unsigned char LineEditor::Editing::vertical(int direction) {
  const std::optional<size_t> target = place_above_or_below(line(), cursor(), direction);
  if (!target) return history(direction);
  ::el_cursor(editor_, static_cast<int>(*target) - static_cast<int>(cursor()));
  return CC_REFRESH;
}

unsigned char LineEditor::Editing::history(int direction) {
  const std::vector<std::string>& entries = history_.entries();
  if (direction < 0 ? place_ == 0 : place_ == entries.size()) return CC_ERROR;
  if (place_ == entries.size()) draft_ = line();
  place_ = direction < 0 ? place_ - 1 : place_ + 1;
  replace(place_ == entries.size() ? draft_ : units_.units(entries[place_]));
  return CC_REFRESH;
}

void LineEditor::Editing::replace(const std::wstring& units) {
  ::el_cursor(editor_, static_cast<int>(line().size() - cursor()));
  ::el_deletestr(editor_, static_cast<int>(line().size()));
  ::el_winsertstr(editor_, units.c_str());
}

unsigned char LineEditor::Editing::complete() {
  if (!options_.complete) return CC_ERROR;
  const size_t at = cursor();
  const std::string before = units_.text(line().substr(0, at));
  const Completion completion = options_.complete(before);
  const std::string typed = before.substr(std::min(completion.start, before.size()));
  const std::string common = common_beginning(completion.candidates);
  if (common.size() > typed.size() && common.starts_with(typed)) {
    ::el_winsertstr(editor_, units_.units(common.substr(typed.size())).c_str());
    return CC_REFRESH;
  }
  if (completion.candidates.size() < 2) return CC_ERROR;
  const std::string table = candidate_table(completion.candidates, terminal_columns(out_fd_));
  const int back = static_cast<int>(at) - static_cast<int>(line().size());
  actions_.push_back({.kind = Action::Kind::to_end});
  actions_.push_back({.kind = Action::Kind::table, .shown = "\n" + table});
  if (back != 0) actions_.push_back({.kind = Action::Kind::move, .by = back});
  return CC_NORM;
}

LineEditor::LineEditor(LineEditorOptions options) {
  const int out_fd = editing_output();
  if (out_fd >= 0 && Utf8Locale::available()) editing_ = std::make_unique<Editing>(out_fd, std::move(options));
}

LineEditor::~LineEditor() = default;

TypedLine LineEditor::read(std::string_view prompt, bool keep) { return editing_ ? editing_->read(prompt, keep) : read_plain(prompt); }

void LineEditor::forget_typed() {
  if (editing_) {
    editing_->forget_typed();
  } else if (stdin_is_terminal()) {
    ::tcflush(STDIN_FILENO, TCIFLUSH);  // lines of a terminal come one at a time: none waits in std::cin
  }
}

TypedLine LineEditor::read_plain(std::string_view prompt) {
  TypedLine result;
  const bool asks = stdin_is_terminal();
  std::string line;
  for (bool first = true;; first = false) {
    if (asks) std::cerr << (first ? prompt : std::string_view("... ")) << std::flush;
    if (!std::getline(std::cin, line)) {
      if (first) result.kind = TypedLine::Kind::end;
      return result;
    }
    if (result.text.size() + line.size() > kMaxLineBytes) {
      fail(ErrorCode::exhausted, "the message is longer than {} MiB, standard input, give it in a file", kMaxLineBytes >> 20);
    }
    result.text += (first ? "" : "\n") + line;
    if (!message_goes_on(result.text)) return result;
  }
}

}  // namespace carat::cli
