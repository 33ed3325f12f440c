#pragma once
// What a user writes for MODEL -> the path of what is on this machine.
#include <filesystem>
#include <string>

namespace carat::cli {

// A path that exists is taken as it is. `gemma3:270m` is looked for in CARAT_HOME/models (default $XDG_DATA_HOME/carat/models), then in the models/ folder
// of the source tree that the program was built in. Fails with not_found, or unsupported for names that would have to be pulled.
std::filesystem::path resolve_model(const std::string& model);

}  // namespace carat::cli
