#pragma once
// What somebody probably meant by a word that is not known.
#include <string>
#include <string_view>
#include <vector>

namespace carat::cli {

// The candidate that `word` begins, if it is one alone, else the one that differs by at most two letters (one, for words of up to four) and no other does by as few;
// "": none.
std::string nearest_word(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace carat::cli
