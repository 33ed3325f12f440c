// A model in one file or in several: which parts there are, and that they belong together.
#include <algorithm>

#include "base/error.h"
#include "formats/gguf.h"
#include "formats/panel_rows.h"
#include "formats/printable.h"

namespace carat {
namespace {

// "-00001-of-00003.gguf": the tail of a part's name.
std::string part_tail(int64_t part, int64_t parts) { return fmt::format("-{:05}-of-{:05}.gguf", part + 1, parts); }

std::optional<int64_t> part_int(const std::vector<std::pair<std::string, MetaValue>>& metadata, std::string_view key, const std::string& file) {
  for (const auto& [name, value] : metadata) {
    if (name != key) continue;
    if (const auto* u = std::get_if<uint64_t>(&value.value); u != nullptr && *u <= INT64_MAX) return static_cast<int64_t>(*u);
    if (const auto* i = std::get_if<int64_t>(&value.value); i != nullptr && *i >= 0) return *i;
    fail(ErrorCode::corrupt, "{}: metadata '{}': must be a count; the file is damaged", file, key);
  }
  return std::nullopt;
}

}  // namespace

// Panels are read in the one order that is known here: the file must name it, and may name no other.
void GgufReader::check_layout(const Checkpoint& checkpoint, const std::string& file) {
  const MetaValue* layout = nullptr;
  const MetaValue* version = nullptr;
  for (const auto& [key, value] : checkpoint.metadata_) {
    if (key == kGgufLayoutKey) layout = &value;
    if (key == kGgufLayoutVersionKey) version = &value;
  }
  const bool panels = std::any_of(checkpoint.tensors_.begin(), checkpoint.tensors_.end(), [](const TensorInfo& t) { return t.panels; });
  if (!layout && !panels) return;
  const auto* name = layout ? std::get_if<std::string_view>(&layout->value) : nullptr;
  const auto* number = version ? std::get_if<uint64_t>(&version->value) : nullptr;
  if (name && *name == kGgufPanelLayout && number && *number == kGgufPanelVersion) return;
  fail(ErrorCode::unsupported, "{}: metadata '{}': {}, version {}: matrices in another order than {} {}, the only one that is read; pack the model again", file,
       kGgufLayoutKey, name ? printable(*name) : "no name", number ? std::to_string(*number) : "unknown", kGgufPanelLayout, kGgufPanelVersion);
}

void GgufReader::read(Checkpoint& checkpoint, const std::filesystem::path& path) {
  const auto first = MappedFile::open(path);
  checkpoint.kind_ = CheckpointKind::gguf;
  read_part(checkpoint, first, checkpoint.metadata_, checkpoint.header_);
  const int64_t parts = part_int(checkpoint.metadata_, "split.count", first->name()).value_or(1);
  if (parts <= 1) return check_layout(checkpoint, first->name());
  const std::string name = path.string();
  if (parts > kMaxGgufParts) fail(ErrorCode::unsupported, "{}: metadata 'split.count': {} parts, at most {} are read", name, parts, kMaxGgufParts);
  const int64_t number = part_int(checkpoint.metadata_, "split.no", name).value_or(0);
  if (number != 0)
    fail(ErrorCode::invalid_argument, "{}: part {} of {} of a split model; open the first part, whose name ends with {}", name, number + 1, parts,
         part_tail(0, parts));
  const std::string tail = part_tail(0, parts);
  if (!name.ends_with(tail))
    fail(ErrorCode::invalid_argument, "{}: the first of {} parts, so its name must end with {} for the others to be found", name, parts, tail);
  const std::string stem = name.substr(0, name.size() - tail.size());
  for (int64_t i = 1; i < parts; ++i) {
    const auto file = MappedFile::open(stem + part_tail(i, parts));
    Metadata metadata;
    std::shared_ptr<const void> header;
    read_part(checkpoint, file, metadata, header);
    if (part_int(metadata, "split.no", file->name()) != i)
      fail(ErrorCode::corrupt, "{}: metadata 'split.no': this is not part {}; fetch it again", file->name(), i + 1);
    if (part_int(metadata, "split.count", file->name()) != parts)
      fail(ErrorCode::corrupt, "{}: metadata 'split.count': it belongs to a model of another number of parts than {}", file->name(), parts);
  }
  const auto total = part_int(checkpoint.metadata_, "split.tensors.count", name);
  if (total && static_cast<uint64_t>(*total) != checkpoint.tensors_.size())
    fail(ErrorCode::corrupt, "{}: metadata 'split.tensors.count': {} tensors were announced, the parts hold {}; fetch them again", name, *total,
         checkpoint.tensors_.size());
  check_layout(checkpoint, name);
}

}  // namespace carat
