#pragma once
#include <string>
#include <string_view>

namespace carat::hub {

// Text as part of a path in an address: everything but A-Z a-z 0-9 - . _ ~ (and the slash, if asked for) as %XX.
std::string url_escape(std::string_view text, bool keep_slashes);

}  // namespace carat::hub
