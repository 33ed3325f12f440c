#pragma once
// The chat on a terminal: a prompt, the answer as it comes, commands that begin with a slash, tools that run when the user says so.
#include <filesystem>
#include <memory>
#include <string>

#include "chat/conversation.h"
#include "cli/model_options.h"
#include "cli/terminal/answer_view.h"
#include "cli/tool_box.h"

namespace carat::cli {

struct ChatLoopOptions {
  std::string model;   // what the user wrote for MODEL, for the banner
  bool stats = false;  // figures after each answer
  AnswerLook look;
  ToolBox tools;                 // their programs; the conversation's options hold their declarations
  SamplingParams sampling;       // of a model without a chat format; a conversation has its own
  bool special = false;          // the same: parse special tokens in what is typed
  int32_t repetition_limit = 0;  // the same: see RepetitionGuard
  std::filesystem::path home;    // CARAT_HOME, for history and conversations/last.json; empty: nothing is kept
};

// Until /bye, Ctrl-D, Ctrl-C twice, or the end of stdin; gives the exit status. conversation null: the model has no chat format, each message is continued.
// What goes wrong with a question or a command is told, and the chat goes on; fails with io when stdout takes no answer.
int run_chat_loop(Session& session, std::unique_ptr<Conversation> conversation, ChatLoopOptions options);

}  // namespace carat::cli
