#pragma once
// carat-template, the program that runs a foreign chat template: in a process of its own, so that its limits on memory and time are the system's.
#include <string>
#include <string_view>

namespace carat {

// Starts carat-template (beside this program), hands it the request and returns its answer, both JSON (rust/template/src/main.rs says which). It sees nothing
// of this process but the request. Takes a millisecond or two. Fails with unsupported (the program is not there), invalid_argument (the template took more than
// 1 s of processor time or 256 MiB), io. Thread-safe.
std::string ask_template_process(std::string_view request);

}  // namespace carat
