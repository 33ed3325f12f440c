#include <algorithm>
#include <cstring>

#include "fuzz/mutate.h"

namespace carat::fuzz {
namespace {

using testing_gguf::Field;
using testing_gguf::FieldKind;

// Header fields as separate pieces, so that a mutation may change lengths without losing the structure of what follows.
struct Pieces {
  std::vector<Field> fields;
  std::vector<std::string> bytes;  // of each field
  std::string data;                // tensor data, after padding
  size_t alignment = 32;
  bool keep_padding = true;
};

uint64_t number_of(const std::string& bytes) {
  uint64_t v = 0;
  std::memcpy(&v, bytes.data(), std::min<size_t>(8, bytes.size()));
  return v;
}

void set_number(std::string& bytes, uint64_t v) { std::memcpy(bytes.data(), &v, std::min<size_t>(8, bytes.size())); }

Pieces take_apart(std::string_view good, const std::vector<Field>& fields) {
  Pieces p;
  p.fields = fields;
  for (const Field& f : fields) {
    p.bytes.emplace_back(good.substr(f.pos, f.size));
    if (f.kind == FieldKind::number && f.of == "general.alignment") p.alignment = number_of(p.bytes.back());
  }
  const size_t end = fields.back().pos + fields.back().size;
  p.data = good.substr(std::min(good.size(), (end + p.alignment - 1) / p.alignment * p.alignment));
  return p;
}

std::string put_together(const Pieces& p, Rng& rng) {
  std::string out;
  for (const std::string& b : p.bytes) out += b;
  if (p.keep_padding) out.resize((out.size() + p.alignment - 1) / p.alignment * p.alignment);
  out += p.data;
  if (rng.chance(25)) out.resize(rng.below(out.size() + 1));
  if (rng.chance(50)) out += std::string(rng.below(1000), 'x');
  return out;
}

// A field drawn by kind first, so that the many strings of a vocabulary do not hide the rest.
size_t draw_field(const Pieces& p, Rng& rng) {
  std::vector<FieldKind> kinds;
  for (const Field& f : p.fields)
    if (std::find(kinds.begin(), kinds.end(), f.kind) == kinds.end()) kinds.push_back(f.kind);
  const FieldKind kind = rng.pick(kinds);
  std::vector<size_t> of_kind;
  for (size_t i = 0; i < p.fields.size(); ++i)
    if (p.fields[i].kind == kind) of_kind.push_back(i);
  return rng.pick(of_kind);
}

// Changes the text of a string field and, mostly, the length in front of it.
void set_string(Pieces& p, size_t i, const std::string& s, Rng& rng) {
  p.bytes[i] = s;
  if (i > 0 && !rng.chance(8)) set_number(p.bytes[i - 1], s.size());
}

void spoil(Pieces& p, size_t i, size_t file_size, Rng& rng) {
  const Field& f = p.fields[i];
  std::string& b = p.bytes[i];
  switch (f.kind) {
    case FieldKind::magic: b[rng.below(4)] ^= static_cast<char>(1 << rng.below(8)); break;
    case FieldKind::version: set_number(b, odd_number(rng, 3, 4)); break;
    case FieldKind::tensor_count:
    case FieldKind::key_count:
    case FieldKind::key_length:
    case FieldKind::string_length:
    case FieldKind::array_count:
    case FieldKind::name_length:
    case FieldKind::rank:
    case FieldKind::dimension: set_number(b, odd_number(rng, number_of(b), file_size)); break;
    case FieldKind::value_type:
    case FieldKind::array_type: set_number(b, rng.chance(8) ? rng.next() : rng.below(15)); break;
    case FieldKind::tensor_type: set_number(b, rng.chance(8) ? rng.next() : rng.below(45)); break;
    case FieldKind::tensor_offset: {
      const uint64_t old = number_of(b);
      const uint64_t step = p.alignment * (1 + rng.below(8));
      set_number(b, rng.chance(3) ? odd_number(rng, old, file_size) : rng.chance(2) ? old + step : old - step);
      break;
    }
    case FieldKind::number:
      if (f.of == "general.alignment" && rng.chance(2))
        set_number(b, uint64_t{1} << rng.below(32));
      else
        set_number(b, odd_number(rng, number_of(b), 1 << 20));
      break;
    case FieldKind::string:
    case FieldKind::key:
    case FieldKind::name:
      if (rng.chance(3) && !b.empty())
        b[rng.below(b.size())] = static_cast<char>(rng.next());
      else
        set_string(p, i, odd_string(rng), rng);
      break;
    case FieldKind::array_data:
      if (b.empty()) break;
      if (rng.chance(2)) {
        uint64_t v = odd_number(rng, 0, 1 << 20);
        const size_t width = b.size() < 4 ? 1 : 4, at = rng.below(b.size() / width) * width;
        std::memcpy(b.data() + at, &v, width);
      } else {
        mutate_blindly(b, b.size(), rng);
      }
      break;
  }
}

// [first, end) of the fields that make up the record (key or tensor) around field i.
std::pair<size_t, size_t> record_of(const Pieces& p, size_t i) {
  const auto starts = [&](size_t k) { return p.fields[k].kind == FieldKind::key_length || p.fields[k].kind == FieldKind::name_length; };
  size_t first = i;
  while (first > 0 && !starts(first)) --first;
  size_t end = first + 1;
  while (end < p.fields.size() && !starts(end)) ++end;
  return {first, end};
}

// A key or tensor given twice, lost, or moved to the end of the other ones; the count follows or not.
void shuffle_records(Pieces& p, Rng& rng) {
  const auto [first, end] = record_of(p, draw_field(p, rng));
  if (first < 4) return;
  const bool tensor = p.fields[first].kind == FieldKind::name_length;
  const uint64_t count = number_of(p.bytes[tensor ? 2 : 3]);
  const auto recount = [&](uint64_t n) {
    if (!rng.chance(6)) set_number(p.bytes[tensor ? 2 : 3], n);
  };
  const auto f = p.fields.begin();
  const auto b = p.bytes.begin();
  const auto from = static_cast<std::ptrdiff_t>(first), to = static_cast<std::ptrdiff_t>(end);
  if (rng.chance(2)) {
    const std::vector<Field> fields(f + from, f + to);
    const std::vector<std::string> bytes(b + from, b + to);
    p.fields.insert(f + to, fields.begin(), fields.end());
    p.bytes.insert(b + to, bytes.begin(), bytes.end());
    recount(count + 1);
  } else {
    p.fields.erase(f + from, f + to);
    p.bytes.erase(b + from, b + to);
    recount(count - 1);
  }
}

// One value in place of another: a key keeps its name and gets the type and value of a stranger.
void swap_values(Pieces& p, Rng& rng) {
  const auto a = record_of(p, draw_field(p, rng)), b = record_of(p, draw_field(p, rng));
  if (a.first < 4 || b.first < 4 || p.fields[a.first].kind != FieldKind::key_length || p.fields[b.first].kind != FieldKind::key_length) return;
  const std::vector<Field> fields(p.fields.begin() + static_cast<std::ptrdiff_t>(b.first + 2), p.fields.begin() + static_cast<std::ptrdiff_t>(b.second));
  const std::vector<std::string> bytes(p.bytes.begin() + static_cast<std::ptrdiff_t>(b.first + 2), p.bytes.begin() + static_cast<std::ptrdiff_t>(b.second));
  const auto begin = static_cast<std::ptrdiff_t>(a.first + 2), end = static_cast<std::ptrdiff_t>(a.second);
  p.fields.erase(p.fields.begin() + begin, p.fields.begin() + end);
  p.bytes.erase(p.bytes.begin() + begin, p.bytes.begin() + end);
  p.fields.insert(p.fields.begin() + begin, fields.begin(), fields.end());
  p.bytes.insert(p.bytes.begin() + begin, bytes.begin(), bytes.end());
}

}  // namespace

std::string mutate_gguf(std::string_view good, const std::vector<Field>& fields, Rng& rng) {
  if (rng.chance(5)) {  // the rest is blind
    std::string bytes(good);
    mutate_blindly(bytes, rng.chance(4) ? bytes.size() : fields.back().pos + fields.back().size, rng);
    return bytes;
  }
  Pieces p = take_apart(good, fields);
  if (p.fields.size() <= 4) return put_together(p, rng);
  p.keep_padding = !rng.chance(30);
  for (size_t n = rng.chance(2) ? 1 : 1 + rng.below(4); n > 0; --n) {
    switch (rng.below(10)) {
      case 0: shuffle_records(p, rng); break;
      case 1: swap_values(p, rng); break;
      default: spoil(p, draw_field(p, rng), good.size(), rng); break;
    }
    if (p.fields.size() <= 4) break;
  }
  return put_together(p, rng);
}

}  // namespace carat::fuzz
