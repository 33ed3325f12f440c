#pragma once
// Random text that looks for trouble: scripts mixed without spaces, runs of white space, special strings whole and cut, emoji sequences, any valid character.
#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace carat::test {

// Written out here, so that a mistake in base/utf8 cannot hide behind itself.
inline void append_character(uint32_t c, std::string& out) {
  const auto put = [&](uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (c < 0x80) return put(c);
  if (c < 0x800) return put(0xC0 + c / 64), put(0x80 + c % 64);
  if (c < 0x10000) return put(0xE0 + c / 4096), put(0x80 + c / 64 % 64), put(0x80 + c % 64);
  put(0xF0 + c / 262144), put(0x80 + c / 4096 % 64), put(0x80 + c / 64 % 64), put(0x80 + c % 64);
}

class RandomText {
 public:
  explicit RandomText(uint64_t seed) : random_(seed) {}

  uint32_t below(uint32_t n) { return static_cast<uint32_t>(random_() % n); }
  uint32_t between(uint32_t low, uint32_t high) { return low + below(high - low + 1); }

  // Any character but the mark that vocabularies write for a space (text that holds it does not come back: it is a space afterwards).
  uint32_t any_character() {
    uint32_t c = 0;
    do {
      c = below(8) == 0 ? below(0x110000) : below(0x3000);
    } while ((c >= 0xD800 && c < 0xE000) || c == 0x2581);
    return c;
  }

  // About `parts` parts of a few characters each. Valid UTF-8.
  std::string text(uint32_t parts) {
    std::string out;
    for (uint32_t i = 0; i < parts; ++i) part(out);
    return out;
  }

 private:
  void run(std::string_view what, uint32_t longest, std::string& out) {
    for (uint32_t n = between(1, longest); n > 0; --n) out += what;
  }
  void letters(uint32_t low, uint32_t high, std::string& out) {
    for (uint32_t n = between(1, 8); n > 0; --n) append_character(between(low, high), out);
  }
  void part(std::string& out) {
    static const std::vector<std::string_view> kWords = {
        "the",  "of",     " and",       " in",        "ing",    "tion", "Hello",      " world", "er",   "un",    "http://", "www.", ".com",   "return",
        " = ",  "()",     "();\n",      "});",        "==",     "->",   "#include <", "self.",  "    ", "'s",    "n't",     "...",  "---",    "==========",
        "****", "//////", "0123456789", "3.14159",    "> </",   "></",  " a",         "aaaa",   "eee",  "th",    "str",     "ß",    "über",   "été",
        "和",   "的",     "日本",       "こんにちは", "한국어", "สวัสดี", "ภาษาไทย",    "ក្រុម",    "नमस्ते", "हिन्दी", "مرحبا",   "שלום", "Привет", "γειά"};
    static const std::vector<std::string_view> kSpecial = {"<|turn>",
                                                           "<turn|>",
                                                           "<|turn",
                                                           "turn|>",
                                                           "<bos>",
                                                           "<eos>",
                                                           "<pad>",
                                                           "<unk>",
                                                           "<mask>",
                                                           "<|tool_call>",
                                                           "<tool_call|>",
                                                           "<|\"|>",
                                                           "<|channel>",
                                                           "<channel|>",
                                                           "<|think|>",
                                                           "<|image|>",
                                                           "<|image>",
                                                           "<image|>",
                                                           "<|audio|>",
                                                           "<|video|>",
                                                           "<start_of_turn>",
                                                           "<end_of_turn>",
                                                           "<start_of_image>",
                                                           "<table>",
                                                           "</table>",
                                                           "<h1>",
                                                           "</s>",
                                                           "<s>",
                                                           "<unused5>",
                                                           "<0x41>",
                                                           "[multimodal]",
                                                           "<",
                                                           "<|",
                                                           "|>",
                                                           ">"};
    static const std::vector<std::string_view> kEmoji = {
        "😀",    "👨‍👩‍👧‍👦", "🏳️‍🌈", "👍🏽", "🦙", "🇩🇪", "❤️", "e\u0301", "a\u0308\u0323", "\u200D", "\uFE0F", "\u00A0", "\u3000",
        "\uFEFF"};
    const auto one_of = [&](const std::vector<std::string_view>& list) { out += list[below(static_cast<uint32_t>(list.size()))]; };
    switch (below(16)) {
      case 0:
      case 1:
      case 2:
      case 3: return one_of(kWords);
      case 4: return one_of(kSpecial);
      case 5: return one_of(kEmoji);
      case 6: return run(" ", below(8) == 0 ? 70 : 5, out);
      case 7: return run("\n", below(8) == 0 ? 70 : 3, out);
      case 8: return run(below(2) == 0 ? "\t" : "\r\n", below(8) == 0 ? 40 : 3, out);
      case 9: return letters('a', 'z', out);
      case 10: return letters('!', '~', out);
      case 11: return letters(0xC0, 0x24F, out);
      case 12: return letters(0x0E01, 0x0E2E, out);
      case 13: return letters(0x4E00, 0x9FFF, out);
      case 14: return run(" word", 3, out);
      default:
        for (uint32_t n = between(1, 4); n > 0; --n) append_character(any_character(), out);
    }
  }

  std::mt19937_64 random_;
};

}  // namespace carat::test
