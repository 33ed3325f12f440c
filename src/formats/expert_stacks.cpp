#include "formats/expert_stacks.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <map>
#include <optional>

#include "base/error.h"
#include "formats/printable.h"
#include "formats/tensor_source.h"
#include "tensor/dequantise.h"

namespace carat {
namespace {

constexpr int64_t kMostExperts = 4096;
constexpr std::string_view kExperts = ".experts.";

// The rows of several tensors of one shape, one tensor after the other.
class Stack final : public TensorSource {
 public:
  Stack(std::vector<TensorInfo> parts, DType type) : parts_(std::move(parts)), type_(type) {}
  void read_rows(int64_t row0, int64_t n, std::byte* out) const override {
    const int64_t each = parts_[0].rows(), cols = parts_[0].cols(), bytes = row_bytes(type_, cols);
    std::vector<std::byte> row;
    while (n > 0) {
      const TensorInfo& part = parts_[static_cast<size_t>(row0 / each)];
      const int64_t take = std::min(n, each - row0 % each);
      if (part.dtype == type_) {
        part.read_rows(row0 % each, take, out);
      } else {
        row.resize(static_cast<size_t>(part.bytes_per_row()));
        std::vector<float> values(static_cast<size_t>(cols));
        for (int64_t r = 0; r < take; ++r) {
          part.read_rows(row0 % each + r, 1, row.data());
          dequantise(part.dtype, row.data(), values.data(), cols);
          std::memcpy(out + r * bytes, values.data(), static_cast<size_t>(bytes));
        }
      }
      row0 += take, n -= take, out += take * bytes;
    }
  }

 private:
  std::vector<TensorInfo> parts_;
  DType type_;
};

struct ExpertName {
  std::string stack;      // P.experts.gate_proj
  int64_t number = 0;     // E
  bool is_scale = false;  // the factor, not the weight
};

std::optional<ExpertName> parse(std::string_view name) {
  const size_t at = name.find(kExperts);
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view prefix = name.substr(0, at + kExperts.size()), rest = name.substr(prefix.size());
  ExpertName e;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), e.number);
  const std::string_view projection = rest.substr(static_cast<size_t>(end - rest.data()));
  if (error != std::errc() || e.number < 0 || e.number >= kMostExperts) return std::nullopt;
  for (const std::string_view p : {".gate_proj", ".up_proj", ".down_proj"}) {
    if (!projection.starts_with(p)) continue;
    const std::string_view kind = projection.substr(p.size());
    if (kind != ".weight" && kind != ".scale") continue;
    e.is_scale = kind == ".scale";
    e.stack = std::string(prefix) + std::string(p.substr(1));
    return e;
  }
  return std::nullopt;
}

struct Found {
  std::map<int64_t, size_t> weights, scales;  // expert -> place in the list
};

TensorInfo stacked(const std::string& name, const std::vector<TensorInfo>& tensors, const Found& found) {
  const TensorInfo& first = tensors[found.weights.begin()->second];
  std::vector<TensorInfo> parts;
  bool one_type = true;
  for (const auto& [expert, place] : found.weights) {
    const TensorInfo& t = tensors[place];
    if (expert != static_cast<int64_t>(parts.size()))
      fail(ErrorCode::corrupt, "{}: tensor {}: expert {} is missing; fetch the folder again", t.file->name(), printable(name), parts.size());
    if (t.shape != first.shape || t.shape.size() != 2)
      fail(ErrorCode::corrupt, "{}: tensor {}: its shape is not that of {}; the file is damaged", t.file->name(), printable(t.name), printable(first.name));
    if (!is_float(t.dtype) && !is_quantised(t.dtype))
      fail(ErrorCode::unsupported, "{}: tensor {}: {} values are no weights", t.file->name(), printable(t.name), info(t.dtype).name);
    one_type &= t.dtype == first.dtype;
    parts.push_back(t);
  }
  TensorInfo stack;
  stack.name = name;
  stack.dtype = one_type ? first.dtype : DType::f32;
  stack.shape = {static_cast<int64_t>(parts.size()), first.shape[0], first.shape[1]};
  stack.file = first.file;
  stack.offset = first.offset;
  stack.nbytes = static_cast<uint64_t>(stack.rows() * stack.bytes_per_row());  // at most 32 times the parts' bytes, which lie in files
  stack.source = std::make_shared<Stack>(std::move(parts), stack.dtype);
  return stack;
}

// The experts' factors; 1 for those that have none.
TensorInfo stacked_factors(const std::string& name, const std::vector<TensorInfo>& tensors, const Found& found) {
  std::vector<float> values(found.weights.size(), 1.0f);
  for (const auto& [expert, place] : found.scales) {
    const TensorInfo& t = tensors[place];
    if (expert >= static_cast<int64_t>(values.size()) || t.elements() != 1)
      fail(ErrorCode::corrupt, "{}: tensor {}: it is no factor of a matrix; the file is damaged", t.file->name(), printable(t.name));
    values[static_cast<size_t>(expert)] = t.to_f32()[0];
  }
  return factors_tensor(name + ".scale", std::move(values), tensors[found.scales.begin()->second]);
}

}  // namespace

void stack_experts(std::vector<TensorInfo>& tensors, std::vector<UnreadTensor>& unread) {
  std::map<std::string, std::string> unread_stacks;
  for (const UnreadTensor& u : unread)
    if (const auto e = parse(u.name)) unread_stacks.emplace(e->stack, u.why);
  for (const auto& [name, why] : unread_stacks) unread.push_back({name, why});

  std::map<std::string, Found> stacks;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const auto e = parse(tensors[i].name);
    if (!e || unread_stacks.contains(e->stack)) continue;
    Found& found = stacks[e->stack];
    if (!(e->is_scale ? found.scales : found.weights).emplace(e->number, i).second)
      fail(ErrorCode::corrupt, "{}: tensor {}: expert {} is there twice; the file is damaged", tensors[i].file->name(), printable(tensors[i].name), e->number);
  }
  std::erase_if(stacks, [](const auto& s) { return s.second.weights.empty(); });
  if (stacks.empty()) return;

  std::vector<bool> gone(tensors.size());
  std::map<size_t, const std::pair<const std::string, Found>*> starts;  // a stack comes where its expert 0, or the first there is, was
  for (const auto& stack : stacks) {
    for (const auto& [expert, place] : stack.second.weights) gone[place] = true;
    for (const auto& [expert, place] : stack.second.scales) gone[place] = true;
    starts.emplace(stack.second.weights.begin()->second, &stack);
  }
  std::vector<TensorInfo> out;
  out.reserve(tensors.size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (const auto start = starts.find(i); start != starts.end()) {
      const auto& [name, found] = *start->second;
      out.push_back(stacked(name, tensors, found));
      if (!found.scales.empty()) out.push_back(stacked_factors(name, tensors, found));
    }
    if (!gone[i]) out.push_back(tensors[i]);
  }
  tensors = std::move(out);
}

}  // namespace carat
