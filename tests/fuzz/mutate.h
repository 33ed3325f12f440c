#pragma once
// Spoiling good files: by what is known of their structure, and blindly.
#include <string>
#include <string_view>
#include <vector>

#include "formats/gguf_fields.h"
#include "fuzz/rng.h"

namespace carat::fuzz {

// Flips, sets, copies, cuts or inserts bytes in the first `reach` bytes.
void mutate_blindly(std::string& bytes, size_t reach, Rng& rng);

// fields: of the good file.
std::string mutate_gguf(std::string_view good, const std::vector<testing_gguf::Field>& fields, Rng& rng);

// JSON text: numbers, strings, names, structure, depth, bytes.
std::string mutate_json(std::string_view good, Rng& rng);

// The length field, the header as JSON, the data behind it.
std::string mutate_safetensors(std::string_view good, Rng& rng);

// A text that tokenizers and parsers get wrong.
std::string odd_string(Rng& rng);

}  // namespace carat::fuzz
