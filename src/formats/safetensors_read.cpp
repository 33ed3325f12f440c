#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>
#include <set>

#include "base/checked.h"
#include "base/error.h"
#include "formats/gguf.h"
#include "formats/json_cursor.h"
#include "formats/printable.h"
#include "formats/safetensors.h"

namespace carat {

bool is_plain_file_name(std::string_view name) {
  if (name.empty() || name.size() > 255 || name.front() == '.' || name.find("..") != std::string_view::npos) return false;
  return std::none_of(name.begin(), name.end(), [](char c) { return c == '/' || c == '\\' || static_cast<unsigned char>(c) < 0x20; });
}

namespace {

struct RawTensor {
  std::string dtype;
  std::vector<int64_t> shape;
  std::array<uint64_t, 2> offsets{};
};

// One tensor's object. `where` is the file, `name` the tensor, for messages.
RawTensor read_raw(JsonCursor& json, const std::string& where, const std::string& name) {
  RawTensor raw;
  bool has_dtype = false, has_shape = false, has_offsets = false;
  const auto bad = [&](std::string_view what, std::string_view why) {
    fail(ErrorCode::corrupt, "{}: tensor {}: {}: {}; the file is damaged", where, printable(name), what, why);
  };
  const auto once = [&](bool& seen, std::string_view what) {
    if (seen) bad(what, "it is given twice");
    seen = true;
  };
  json.object([&](const std::string& key) {
    if (key == "dtype") {
      once(has_dtype, "dtype");
      raw.dtype = json.string();
    } else if (key == "shape") {
      once(has_shape, "shape");
      json.array([&] {
        const uint64_t n = json.count();
        if (raw.shape.size() >= kMaxSafetensorsRank) bad("shape", fmt::format("more than {} dimensions", kMaxSafetensorsRank));
        if (n < 1 || n > INT64_MAX) bad("shape", fmt::format("dimension {} is {}", raw.shape.size(), n));
        raw.shape.push_back(static_cast<int64_t>(n));
      });
    } else if (key == "data_offsets") {
      once(has_offsets, "data_offsets");
      size_t i = 0;
      json.array([&] {
        const uint64_t n = json.count();
        if (i >= 2) bad("data_offsets", "more than two numbers");
        raw.offsets[i++] = n;
      });
      if (i != 2) bad("data_offsets", "two numbers are needed");
    } else {
      bad(printable(key), "no field of this name exists");
    }
  });
  if (!has_dtype) bad("dtype", "it is missing");
  if (!has_shape) bad("shape", "it is missing");
  if (!has_offsets) bad("data_offsets", "it is missing");
  return raw;
}

// Calls on_tensor(name) with the cursor in front of the tensor's object.
template <typename F>
void walk_header(JsonCursor& json, const std::string& where, F on_tensor) {
  bool has_metadata = false;
  json.object([&](const std::string& name) {
    if (name == "__metadata__") {
      if (std::exchange(has_metadata, true)) fail(ErrorCode::corrupt, "{}: __metadata__: it is given twice; the file is damaged", where);
      json.object([&](const std::string&) { json.string(); });
      return;
    }
    if (name.empty() || name.size() > kMaxSafetensorsName)
      fail(ErrorCode::corrupt, "{}: tensor {}: name: it must have 1 to {} bytes; the file is damaged", where, printable(name), kMaxSafetensorsName);
    on_tensor(name);
  });
  json.end();
}

TensorInfo checked_tensor(const std::shared_ptr<const MappedFile>& file, const std::string& name, RawTensor raw, uint64_t base) {
  const auto bad = [&](std::string_view what, const std::string& why) {
    fail(ErrorCode::corrupt, "{}: tensor {}: {}: {}; the file is damaged", file->name(), printable(name), what, why);
  };
  const auto dtype = dtype_from_safetensors(raw.dtype);
  if (!dtype)
    fail(ErrorCode::unsupported, "{}: tensor {}: dtype: {} is not read; use a checkpoint in BF16, F16 or F32", file->name(), printable(name),
         printable(raw.dtype));
  uint64_t elements = 1;
  for (const int64_t n : raw.shape)
    if (__builtin_mul_overflow(elements, static_cast<uint64_t>(n), &elements) || elements > INT64_MAX)
      bad("shape", "the number of elements does not fit in 63 bits");
  uint64_t nbytes = 0;
  if (__builtin_mul_overflow(elements, static_cast<uint64_t>(info(*dtype).block_bytes), &nbytes)) bad("shape", "the number of bytes does not fit in 64 bits");
  const uint64_t room = file->size() - base;
  const auto [begin, end] = raw.offsets;
  if (begin > end || end > room) bad("data_offsets", fmt::format("[{}, {}) does not lie in the {} bytes of data", begin, end, room));
  if (end - begin != nbytes) bad("data_offsets", fmt::format("{} bytes, the shape needs {}", end - begin, nbytes));
  TensorInfo t;
  t.name = name;
  t.dtype = *dtype;
  t.shape = std::move(raw.shape);
  t.file = file;
  t.offset = base + begin;
  t.nbytes = nbytes;
  return t;
}

// The format demands that the tensors cover the data without holes and overlaps.
void check_cover(const std::vector<TensorInfo>& tensors, size_t first, uint64_t base, const MappedFile& file) {
  std::vector<uint32_t> order(tensors.size() - first);
  std::iota(order.begin(), order.end(), static_cast<uint32_t>(first));
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return tensors[a].offset < tensors[b].offset; });
  uint64_t at = base;
  for (const uint32_t i : order) {
    const TensorInfo& t = tensors[i];
    if (t.offset != at)
      fail(ErrorCode::corrupt, "{}: tensor {}: data_offsets: it {} at byte {} of the data; the file is damaged", file.name(), printable(t.name),
           t.offset < at ? "overlaps another tensor" : "leaves a hole", std::min(t.offset, at) - base);
    at += t.nbytes;
  }
  if (at != file.size())
    fail(ErrorCode::corrupt, "{}: data_offsets: the tensors end at byte {} of {} bytes of data; the file is damaged", file.name(), at - base,
         file.size() - base);
}

}  // namespace

void SafetensorsReader::read_file(Checkpoint& checkpoint, const std::filesystem::path& path) {
  const auto file = MappedFile::open(path);
  checkpoint.kind_ = CheckpointKind::hf_folder;
  uint64_t length = 0;
  if (file->size() < 8 + 2) fail(ErrorCode::corrupt, "{}: {} bytes are too few for a safetensors file; fetch it again", file->name(), file->size());
  file->read(0, std::as_writable_bytes(std::span(&length, 1)));
  if (length > file->size() - 8)
    fail(ErrorCode::corrupt, "{}: header length: {} bytes in a file of {}; it is cut short or no safetensors file", file->name(), length, file->size());
  if (length > kMaxSafetensorsHeader)
    fail(ErrorCode::unsupported, "{}: header length: {} bytes, at most {} are read", file->name(), length, kMaxSafetensorsHeader);
  const std::string where = file->name() + ": header";
  std::string header(static_cast<size_t>(length), '\0');
  file->read(8, std::as_writable_bytes(std::span(header)));

  // A first walk counts, so that the table is allocated once and never larger than the file allows.
  uint64_t count = 0;
  JsonCursor counting(header, where);
  walk_header(counting, where, [&](const std::string&) {
    counting.skip(2);
    ++count;
  });
  std::vector<TensorInfo>& tensors = checkpoint.tensors_;
  const size_t first = tensors.size();
  if (first + count > kMaxTensors) fail(ErrorCode::unsupported, "{}: {} tensors, at most {} are read", where, first + count, kMaxTensors);
  tensors.reserve(first + count);
  JsonCursor json(header, where);
  walk_header(json, where, [&](const std::string& name) { tensors.push_back(checked_tensor(file, name, read_raw(json, file->name(), name), 8 + length)); });
  check_cover(tensors, first, 8 + length, *file);
  checkpoint.files_.push_back(file);
}

namespace {

// model.safetensors.index.json: calls on_entry(tensor, file) for each entry of weight_map.
template <typename F>
void walk_index(const std::string& text, const std::string& where, F on_entry) {
  JsonCursor json(text, where);
  bool has_map = false;
  json.object([&](const std::string& key) {
    if (key != "weight_map") return json.skip(8);
    if (std::exchange(has_map, true)) fail(ErrorCode::corrupt, "{}: weight_map: it is given twice; the file is damaged", where);
    json.object([&](const std::string& tensor) { on_entry(tensor, json.string()); });
  });
  json.end();
  if (!has_map) fail(ErrorCode::corrupt, "{}: weight_map: it is missing; the file is damaged", where);
}

}  // namespace

void SafetensorsReader::read_folder(Checkpoint& checkpoint, const std::filesystem::path& folder) {
  checkpoint.kind_ = CheckpointKind::hf_folder;
  std::error_code ec;
  const auto index = folder / "model.safetensors.index.json";
  if (!std::filesystem::exists(index, ec)) {
    if (std::filesystem::exists(folder / "model.safetensors", ec)) return read_file(checkpoint, folder / "model.safetensors");
    std::vector<std::filesystem::path> files;
    for (auto it = std::filesystem::directory_iterator(folder, ec); !ec && it != std::filesystem::directory_iterator(); it.increment(ec))
      if (it->path().extension() == ".safetensors") files.push_back(it->path());
    if (ec) fail(ErrorCode::io, "{}: the folder cannot be listed ({})", folder.string(), ec.message());
    if (files.empty()) fail(ErrorCode::not_found, "{}: no *.safetensors in this folder; give a model folder or the path of a .gguf file", folder.string());
    if (files.size() > kMaxShards) fail(ErrorCode::unsupported, "{}: {} *.safetensors, at most {} are read", folder.string(), files.size(), kMaxShards);
    std::sort(files.begin(), files.end());
    for (const auto& file : files) read_file(checkpoint, file);
    return;
  }

  const std::string where = index.string();
  const std::string text = read_text_file(index, kMaxSafetensorsIndex);
  std::set<std::string> shards;
  uint64_t entries = 0;
  walk_index(text, where, [&](const std::string& tensor, const std::string& file) {
    if (++entries > kMaxTensors) fail(ErrorCode::unsupported, "{}: weight_map: more than {} tensors", where, kMaxTensors);
    if (shards.contains(file)) return;
    if (!is_plain_file_name(file) || !file.ends_with(".safetensors"))
      fail(ErrorCode::corrupt, "{}: weight_map: tensor {} lies in {}, which is no plain *.safetensors name; the file is damaged", where, printable(tensor),
           printable(file));
    if (shards.size() >= kMaxShards) fail(ErrorCode::unsupported, "{}: weight_map: more than {} files", where, kMaxShards);
    shards.insert(file);
  });
  for (const std::string& shard : shards) {
    if (!std::filesystem::exists(folder / shard, ec)) fail(ErrorCode::not_found, "{}: weight_map: {} is not in the folder; fetch it", where, shard);
    read_file(checkpoint, folder / shard);
  }
  checkpoint.index_tensors();
  // The shards' own headers say what there is; what the index promises must be among it, where it says, and once.
  std::vector<bool> seen(checkpoint.tensors_.size());
  walk_index(text, where, [&](const std::string& tensor, const std::string& file) {
    const TensorInfo* t = checkpoint.find(tensor);
    if (t == nullptr || std::filesystem::path(t->file->name()).filename() != file)
      fail(ErrorCode::corrupt, "{}: weight_map: {} does not hold tensor {}; fetch the folder again", where, file, printable(tensor));
    const auto i = static_cast<size_t>(t - checkpoint.tensors_.data());
    if (seen[i]) fail(ErrorCode::corrupt, "{}: weight_map: tensor {} is given twice; the file is damaged", where, printable(tensor));
    seen[i] = true;
  });
}

}  // namespace carat
