#pragma once
// Pulling as a user sees it: the question, a bar with rate and time left on a terminal, lines about what went wrong, Ctrl-C.
#include <string>

#include "hub/pull.h"

namespace carat::cli {

// Whether a question can be asked: stdin and stderr are a terminal.
bool can_ask();
// Asks on stderr and reads an answer from stdin. An empty line counts as `otherwise`, anything but y, yes as no.
bool ask(const std::string& question, bool otherwise);

struct PullShown {
  bool ask = false;    // before the first byte
  bool quiet = false;  // neither bar nor lines
  int connections = 4;
};

// Fails as hub::pull does. Ctrl-C ends with cancelled, in a state that the next pull goes on from.
hub::PullResult pull_shown(const hub::Settings& settings, const hub::Source& source, const PullShown& how);

}  // namespace carat::cli
