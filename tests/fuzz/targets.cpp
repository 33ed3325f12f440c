#include "fuzz/targets.h"

#include <atomic>

#include "base/error.h"
#include "base/json.h"
#include "formats/checkpoint.h"
#include "model/config.h"

namespace carat::fuzz {
namespace {

std::atomic<size_t> read_bytes{0};  // so that no reading is optimised away

constexpr Target kTargets[] = {
    {"checkpoint", open_checkpoint}, {"side files", parse_side_files}, {"tokenizer", load_tokenizer}, {"config", read_model_config}, {"model", run_model},
    {"answers", parse_answers},
};

// Getters of the wrong type fail by design; only how they fail matters here.
template <typename F>
void attempt(F f) {
  try {
    f();
  } catch (const Error&) {}
}

}  // namespace

std::span<const Target> targets() { return kTargets; }

void open_checkpoint(const std::filesystem::path& path) {
  const auto c = Checkpoint::open(path);
  size_t sum = 0;
  for (const auto& [key, value] : c->metadata()) {
    attempt([&] { sum += static_cast<size_t>(c->meta_int(key).has_value()); });
    attempt([&] { sum += static_cast<size_t>(c->meta_float(key).has_value()); });
    attempt([&] { sum += static_cast<size_t>(c->meta_bool(key).has_value()); });
    attempt([&] { sum += c->meta_string(key)->size(); });
    attempt([&] { sum += c->meta_ints(key)->size(); });
    attempt([&] { sum += c->meta_floats(key)->size(); });
    attempt([&] {
      for (const std::string_view s : *c->meta_strings(key)) sum += s.empty() ? 0 : static_cast<size_t>(s.back());
    });
  }
  std::vector<std::byte> row;
  for (const TensorInfo& t : c->tensors()) {
    sum += static_cast<size_t>(c->find(t.name) == &t);
    row.resize(static_cast<size_t>(t.bytes_per_row()));
    t.read_rows(0, 1, row.data());
    t.read_rows(t.rows() - 1, 1, row.data());
    if (const auto panels = t.panels_of_rows(0, t.rows_per_matrix())) sum += static_cast<size_t>(*panels);
    if (t.elements() < 20000) attempt([&] { sum += t.to_f32().size(); });
  }
  read_bytes += sum;
}

void parse_side_files(const std::filesystem::path& path) {
  const auto c = Checkpoint::open(path);
  for (const char* name : {"config.json", "generation_config.json", "tokenizer_config.json"})
    if (const auto text = c->side_file(name)) attempt([&] { parse_json(*text, name); });
}

void read_model_config(const std::filesystem::path& path) { read_config(*Checkpoint::open(path)); }

}  // namespace carat::fuzz
