#pragma once
// What a user writes for MODEL -> the path of what is on this machine, pulled before if it is not.
#include <filesystem>
#include <string>

#include "hub/names.h"
#include "hub/settings.h"

namespace CLI {
class App;
}

namespace carat::cli {

struct ResolveOptions {
  bool yes = false;  // pull without asking; CARAT_YES=1 does the same
};

// Declares --yes. `options` must outlive the parsing.
void add_resolve_options(CLI::App& app, ResolveOptions& options);

// A path that exists is taken as it is; so is what names.json says a name stands for. `gemma3:270m`, if names.json does not have it, is looked for in CARAT_HOME/models (default
// $XDG_DATA_HOME/carat/models), then in the models/ folder of the source tree that the program was built in. Other names and hf:OWNER/REPO are looked for in the
// store, without asking the network; what is not there is pulled, after asking on a terminal, without asking when told so, else not at all.
// Fails with invalid_argument, not_found, and as hub::pull does.
std::filesystem::path resolve_model(const std::string& model, const ResolveOptions& options = {});

// What a name that is not gemma3:270m stands for. Fails with invalid_argument, not_found.
hub::Source find_source(const hub::Settings& settings, const std::string& name);
// Where gemma3:270m is, if the name is one of its names; empty: it is none, names.json says what it stands for, or it is not here.
// Fails as hub::NameTable::load does.
std::filesystem::path default_model(const std::string& name);

}  // namespace carat::cli
