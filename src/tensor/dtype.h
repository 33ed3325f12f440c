#pragma once
// Element types of tensors in files and in memory.
#include <cstdint>
#include <optional>
#include <string_view>

namespace carat {

enum class DType : uint8_t {
  f32,
  f16,
  bf16,
  i8,
  i32,
  i64,
  u8,
  boolean,
  f8_e4m3,
  q4_0,
  q4_1,
  q5_0,
  q5_1,
  q8_0,
  q2_k,
  q3_k,
  q4_k,
  q5_k,
  q6_k,
  iq4_nl,
  iq4_xs,
  mxfp4,
  nvfp4,
};
inline constexpr int kNumDTypes = static_cast<int>(DType::nvfp4) + 1;

struct DTypeInfo {
  std::string_view name;     // "Q4_K", "BF16": as in GGUF listings
  int32_t block_elems;       // elements a block; 1 for plain types
  int32_t block_bytes;       // bytes a block
  int32_t ggml_id;           // id in a GGUF file, -1 if it has none
  std::string_view st_name;  // name in a safetensors header, empty if it has none
};

const DTypeInfo& info(DType t);                                      // total: every enumerator has an entry
std::optional<DType> dtype_from_ggml(int64_t id);                    // empty: not a type Carat reads
std::optional<DType> dtype_from_safetensors(std::string_view name);  // F8_E8M0 is u8
std::string_view ggml_type_name(int64_t id);                         // also names types that Carat does not read ("IQ2_XS"); "?" if unknown

inline bool is_float(DType t) { return t == DType::f32 || t == DType::f16 || t == DType::bf16; }
inline bool is_quantised(DType t) { return t >= DType::q4_0; }

// Bytes of a row of n elements; n must be a multiple of block_elems.
inline int64_t row_bytes(DType t, int64_t n) { return n / info(t).block_elems * info(t).block_bytes; }

}  // namespace carat
