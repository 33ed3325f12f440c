#include "chat/published_templates.h"

#include "base/hash.h"

namespace carat {
namespace {

struct Published {
  Hash128 hash;  // siphash128 with key 0
  Gemma4Revision revision;
  bool large;
};

constexpr Published kPublished[] = {
    {{0xf9dfa5b751909945, 0x29890c3e694a4eb3}, Gemma4Revision::canonical, true}, {{0x5e792e62f5481f0f, 0xd241ea2cb87a5968}, Gemma4Revision::canonical, false},
    {{0x28a02062ceacc98f, 0xf5bd9aee2171f8df}, Gemma4Revision::spring, true},    {{0xf23367bb42d09a37, 0x5e6c83cb7a69158c}, Gemma4Revision::interleaved, true},
    {{0xdc243eeead83ac93, 0x7e2bce24ad36bbaf}, Gemma4Revision::launch, false},
};

}  // namespace

std::shared_ptr<const ChatFormat> published_format(std::string_view chat_template) {
  const std::string_view text = chat_template.substr(0, chat_template.find_last_not_of(" \r\n") + 1);
  const Hash128 hash = siphash128({}, std::as_bytes(std::span(text.data(), text.size())));
  for (const Published& p : kPublished) {
    if (p.hash == hash) return gemma4_format(p.revision, p.large);
  }
  return nullptr;
}

}  // namespace carat
