#pragma once
// What `carat doctor` says, as JSON and as text.
#include <string>

#include "base/json.h"

namespace carat::cli {

// {"cpu":…,"memory":…,"rates":…|null,"store":…,"parts":[…],"advice":[…]}; bytes are bytes. What cannot be read is null.
Json examine_machine(bool measure);

std::string doctor_text(const Json& report);

}  // namespace carat::cli
