#include <algorithm>
#include <array>
#include <numeric>

#include "base/checked.h"
#include "base/error.h"
#include "formats/gguf.h"
#include "formats/gguf_header.h"
#include "formats/panel_rows.h"
#include "formats/printable.h"

namespace carat {

int gguf_type_size(GgufType t) {
  constexpr std::array<int8_t, kNumGgufTypes> kSize = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
  return kSize[static_cast<size_t>(t)];
}

std::string_view gguf_type_name(GgufType t) {
  constexpr std::array<std::string_view, kNumGgufTypes> kName = {"u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool", "string", "array", "u64", "i64", "f64"};
  return kName[static_cast<size_t>(t)];
}

namespace {

// Every smallest record there can be: a count larger than the file has room for is refused before anything is allocated.
constexpr uint64_t kLeastKeyRecord = 8 + 1 + 4 + 1;
constexpr uint64_t kLeastTensorRecord = 8 + 1 + 4 + 4 + 8;
constexpr uint64_t kLeastStringRecord = 8;

struct Counts {
  uint64_t tensors = 0;
  uint64_t keys = 0;
};

Counts read_counts(GgufHeader& h) {
  if (h.remaining() < 24) fail(ErrorCode::corrupt, "{}: {} bytes are too few for a GGUF file; fetch it again", h.name(), h.remaining());
  if (std::memcmp(h.take(4, "magic"), "GGUF", 4) != 0)
    fail(ErrorCode::corrupt, "{}: magic: the file does not begin with GGUF; it is no GGUF file or damaged", h.name());
  const auto version = h.number<uint32_t>("version");
  if ((version & 0xFFFFu) == 0 && version != 0) fail(ErrorCode::unsupported, "{}: version: a big-endian GGUF file; convert it to little-endian", h.name());
  if (version != 2 && version != 3)
    fail(ErrorCode::unsupported, "{}: version: GGUF version {}, only 2 and 3 are read; convert the model again", h.name(), version);
  const auto n_tensors = h.number<int64_t>("tensor count");
  const auto n_keys = h.number<int64_t>("key count");
  const auto bounded = [&](int64_t n, uint64_t least, uint64_t most, std::string_view what) {
    if (n < 0 || static_cast<uint64_t>(n) > h.remaining() / least)
      fail(ErrorCode::corrupt, "{}: {}: {} do not fit into the file; it is cut short or damaged", h.name(), what, n);
    if (static_cast<uint64_t>(n) > most) fail(ErrorCode::unsupported, "{}: {}: {}, at most {} are read", h.name(), what, n, most);
    return static_cast<uint64_t>(n);
  };
  return {bounded(n_tensors, kLeastTensorRecord, kMaxTensors, "tensor count"), bounded(n_keys, kLeastKeyRecord, kMaxGgufKeys, "key count")};
}

std::string field(std::string_view key) { return "metadata " + printable(key); }

// The position must be behind the key; `key` may be gone after it (the buffer grows), hence the copy made by the callers.
GgufType read_type(GgufHeader& h, std::string_view key) {
  const auto type = h.number<int32_t>("metadata value type");
  if (type < 0 || type >= kNumGgufTypes) fail(ErrorCode::corrupt, "{}: {}: value type {} does not exist; the file is damaged", h.name(), field(key), type);
  return static_cast<GgufType>(type);
}

struct ArrayHead {
  GgufType elem = GgufType::u8;
  uint64_t count = 0;
};

ArrayHead read_array_head(GgufHeader& h, std::string_view key) {
  ArrayHead head{read_type(h, key), 0};
  if (head.elem == GgufType::array) fail(ErrorCode::unsupported, "{}: {}: an array of arrays; GGUF files of models have none", h.name(), field(key));
  head.count = h.number<uint64_t>("metadata array count");
  const uint64_t least = head.elem == GgufType::string ? kLeastStringRecord : static_cast<uint64_t>(gguf_type_size(head.elem));
  if (head.count > h.remaining() / least)
    fail(ErrorCode::corrupt, "{}: {}: an array of {} does not fit into the file; it is cut short or damaged", h.name(), field(key), head.count);
  return head;
}

// Walks over a value, so that its bytes are in memory, checking lengths only.
void skip_value(GgufHeader& h, std::string_view key) {
  const GgufType type = read_type(h, key);
  if (type == GgufType::string) {
    h.string("metadata string");
  } else if (type != GgufType::array) {
    h.take(static_cast<uint64_t>(gguf_type_size(type)), "metadata value");
  } else {
    const ArrayHead head = read_array_head(h, key);
    if (head.elem != GgufType::string) {
      h.take(head.count * static_cast<uint64_t>(gguf_type_size(head.elem)), "metadata array");  // bounded above
    } else {
      for (uint64_t i = 0; i < head.count; ++i) h.string("metadata string array");
    }
  }
}

void check_rank(const GgufHeader& h, std::string_view name, uint32_t rank) {
  if (rank > kMaxGgufRank)
    fail(ErrorCode::corrupt, "{}: tensor {}: {} dimensions, at most {} exist; the file is damaged", h.name(), printable(name), rank, kMaxGgufRank);
}

// First walk: how far the header reaches. It loads every byte of it and no byte behind it.
Counts walk_header(GgufHeader& h) {
  const Counts counts = read_counts(h);
  for (uint64_t i = 0; i < counts.keys; ++i) {
    const std::string key(h.string("metadata key", kMaxGgufKeyLength));
    skip_value(h, key);
  }
  for (uint64_t i = 0; i < counts.tensors; ++i) {
    const std::string name(h.string("tensor name", kMaxGgufTensorName));
    const auto rank = h.number<uint32_t>("tensor dimensions");
    check_rank(h, name, rank);
    h.take(8 * uint64_t{rank} + 4 + 8, "tensor record");
  }
  return counts;
}

uint32_t read_alignment(const GgufHeader& h, const std::vector<std::pair<std::string, MetaValue>>& metadata) {
  for (const auto& [key, value] : metadata) {
    if (key != "general.alignment") continue;
    const auto* number = std::get_if<uint64_t>(&value.value);
    if (number == nullptr || value.gguf_type != static_cast<int32_t>(GgufType::u32))
      fail(ErrorCode::corrupt, "{}: metadata 'general.alignment': must be a u32; the file is damaged", h.name());
    if (*number == 0 || (*number & (*number - 1)) != 0)
      fail(ErrorCode::corrupt, "{}: metadata 'general.alignment': {} is no power of two; the file is damaged", h.name(), *number);
    return static_cast<uint32_t>(*number);
  }
  return kGgufDefaultAlignment;
}

// Tensors of one file may not share bytes: [first, end) of the list are this file's.
void check_overlap(const std::vector<TensorInfo>& tensors, size_t first) {
  std::vector<uint32_t> order(tensors.size() - first);
  std::iota(order.begin(), order.end(), static_cast<uint32_t>(first));
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return tensors[a].offset < tensors[b].offset; });
  for (size_t i = 1; i < order.size(); ++i) {
    const TensorInfo& a = tensors[order[i - 1]];
    const TensorInfo& b = tensors[order[i]];
    if (a.nbytes > b.offset - a.offset)
      fail(ErrorCode::corrupt, "{}: tensor {}: offset: its bytes overlap those of {}; the file is damaged", a.file->name(), printable(b.name),
           printable(a.name));
  }
}

}  // namespace

MetaValue GgufReader::read_value(GgufHeader& h, std::string_view key) {
  MetaValue out;
  const GgufType type = read_type(h, key);
  out.gguf_type = static_cast<int32_t>(type);
  const auto as_bool = [&](uint8_t byte) {
    if (byte > 1) fail(ErrorCode::corrupt, "{}: {}: a bool of {}; the file is damaged", h.name(), field(key), byte);
    return byte == 1;
  };
  switch (type) {
    case GgufType::u8: out.value = uint64_t{h.number<uint8_t>(key)}; break;
    case GgufType::u16: out.value = uint64_t{h.number<uint16_t>(key)}; break;
    case GgufType::u32: out.value = uint64_t{h.number<uint32_t>(key)}; break;
    case GgufType::u64: out.value = h.number<uint64_t>(key); break;
    case GgufType::i8: out.value = int64_t{h.number<int8_t>(key)}; break;
    case GgufType::i16: out.value = int64_t{h.number<int16_t>(key)}; break;
    case GgufType::i32: out.value = int64_t{h.number<int32_t>(key)}; break;
    case GgufType::i64: out.value = h.number<int64_t>(key); break;
    case GgufType::f32: out.value = double{h.number<float>(key)}; break;
    case GgufType::f64: out.value = h.number<double>(key); break;
    case GgufType::boolean: out.value = as_bool(h.number<uint8_t>(key)); break;
    case GgufType::string: out.value = h.string(key); break;
    case GgufType::array: {
      const ArrayHead head = read_array_head(h, key);
      out.gguf_elem_type = static_cast<int32_t>(head.elem);
      if (head.elem != GgufType::string) {
        const std::byte* data = h.take(head.count * static_cast<uint64_t>(gguf_type_size(head.elem)), key);
        if (head.elem == GgufType::boolean)
          for (uint64_t i = 0; i < head.count; ++i) as_bool(static_cast<uint8_t>(data[i]));
        out.value = MetaNumbers{data, head.count};
        break;
      }
      MetaStrings strings;
      strings.data_ = h.take(0, key);
      const uint64_t first = h.pos();
      strings.starts_.reserve(head.count);  // the first walk has seen that many: at most half of the bytes they take in the file
      for (uint64_t i = 0; i < head.count; ++i) {
        strings.starts_.push_back(static_cast<uint32_t>(h.pos() - first));  // the header is below 4 GiB
        h.string(key);
      }
      out.value = std::move(strings);
      break;
    }
  }
  return out;
}

void GgufReader::read_tensors(Checkpoint& checkpoint, const std::shared_ptr<const MappedFile>& file, GgufHeader& h, uint64_t count, uint32_t alignment) {
  std::vector<TensorInfo>& tensors = checkpoint.tensors_;
  const size_t first = tensors.size();
  if (first + count > kMaxTensors) fail(ErrorCode::unsupported, "{}: tensor count: more than {} in all parts", h.name(), kMaxTensors);
  tensors.reserve(first + count);
  for (uint64_t i = 0; i < count; ++i) {
    TensorInfo t;
    t.name = h.string("tensor name", kMaxGgufTensorName);
    t.file = file;
    const auto bad = [&](std::string_view what, const std::string& why) {
      fail(ErrorCode::corrupt, "{}: tensor {}: {}: {}; the file is damaged", h.name(), printable(t.name), what, why);
    };
    if (t.name.empty()) fail(ErrorCode::corrupt, "{}: tensor {}: name: it is empty; the file is damaged", h.name(), i);
    const auto rank = h.number<uint32_t>("tensor dimensions");
    check_rank(h, t.name, rank);
    t.shape.resize(rank);
    uint64_t elements = 1;
    for (uint32_t d = 0; d < rank; ++d) {
      const auto ne = h.number<int64_t>("tensor shape");
      if (ne < 1) bad("shape", fmt::format("dimension {} is {}", d, ne));
      if (__builtin_mul_overflow(elements, static_cast<uint64_t>(ne), &elements) || elements > INT64_MAX)
        bad("shape", "the number of elements does not fit in 63 bits");
      t.shape[rank - 1 - d] = ne;  // GGUF names the fastest dimension first
    }
    const auto type = h.number<int32_t>("tensor type");
    t.panels = type >= kGgufPanelTypes;
    const auto dtype = dtype_from_ggml(t.panels ? type - kGgufPanelTypes : type);
    if (!dtype || (t.panels && !has_panels(*dtype, t.shape)))
      fail(ErrorCode::unsupported, "{}: tensor {}: type: {} ({}) is not read; use a model in another quantisation", h.name(), printable(t.name), type,
           ggml_type_name(type));
    t.dtype = *dtype;
    const DTypeInfo& di = info(*dtype);
    if (t.cols() % di.block_elems != 0) bad("shape", fmt::format("rows of {} are no multiple of {}'s block of {}", t.cols(), di.name, di.block_elems));
    if (t.panels) {
      t.nbytes = panel_tensor_bytes(*dtype, t.shape).value_or(UINT64_MAX);
    } else if (__builtin_mul_overflow(elements / static_cast<uint64_t>(di.block_elems), static_cast<uint64_t>(di.block_bytes), &t.nbytes)) {
      bad("shape", "the number of bytes does not fit in 64 bits");
    }
    t.offset = h.number<uint64_t>("tensor offset");
    if (t.offset % alignment != 0) bad("offset", fmt::format("{} is no multiple of the alignment {}", t.offset, alignment));
    tensors.push_back(std::move(t));
  }
  if (count == 0) return;  // a vocabulary: the file may end right here, without padding
  const uint64_t base = checked_align(h.pos(), alignment, h.name() + ": metadata 'general.alignment'");
  if (base > file->size())
    fail(ErrorCode::corrupt, "{}: tensor data: would begin at byte {} of {}; the file is cut short, fetch it again", h.name(), base, file->size());
  const uint64_t room = file->size() - base;
  for (size_t i = first; i < tensors.size(); ++i) {
    TensorInfo& t = tensors[i];
    if (t.offset > room || t.nbytes > room - t.offset)
      fail(ErrorCode::corrupt, "{}: tensor {}: offset: {} bytes at {} reach beyond the {} bytes of tensor data; the file is cut short, fetch it again",
           h.name(), printable(t.name), t.nbytes, t.offset, room);
    t.offset += base;
    if (!t.panels) continue;
    if (t.offset % kGgufPanelAlignment != 0)
      fail(ErrorCode::corrupt, "{}: tensor {}: offset: panels at byte {}, no multiple of {}; the file is damaged", h.name(), printable(t.name), t.offset,
           kGgufPanelAlignment);
    t.source = panel_rows(t);
  }
  check_overlap(tensors, first);
}

void GgufReader::read_part(Checkpoint& checkpoint, const std::shared_ptr<const MappedFile>& file, Metadata& metadata, std::shared_ptr<const void>& header) {
  GgufHeader h(file);
  const Counts counts = walk_header(h);
  header = h.fix();
  h.seek(24);
  metadata.reserve(counts.keys);
  for (uint64_t i = 0; i < counts.keys; ++i) {
    std::string key(h.string("metadata key", kMaxGgufKeyLength));
    if (key.empty()) fail(ErrorCode::corrupt, "{}: metadata key {}: it is empty; the file is damaged", h.name(), i);
    MetaValue value = read_value(h, key);
    metadata.emplace_back(std::move(key), std::move(value));
  }
  read_tensors(checkpoint, file, h, counts.tensors, read_alignment(h, metadata));
  checkpoint.files_.push_back(file);
}

}  // namespace carat
