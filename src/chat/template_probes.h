#pragma once
// Conversations that tell the known formats, and changes of them, apart.
#include <string>
#include <vector>

#include "chat/chat_format.h"
#include "chat/message.h"

namespace carat {

struct TemplateProbe {
  std::string name;  // for people
  std::vector<Message> messages;
  Json tools;
  RenderOptions options;
};

// Made once; the first call takes a moment. Thread-safe.
const std::vector<TemplateProbe>& template_probes(bool gemma4);

}  // namespace carat
