#include "tensor/dtype.h"

#include <array>

namespace carat {
namespace {

constexpr std::array<DTypeInfo, kNumDTypes> kInfo = {{
    {"F32", 1, 4, 0, "F32"},      {"F16", 1, 2, 1, "F16"},    {"BF16", 1, 2, 30, "BF16"}, {"I8", 1, 1, 24, "I8"},           {"I32", 1, 4, 26, "I32"},
    {"I64", 1, 8, 27, "I64"},     {"U8", 1, 1, -1, "U8"},     {"BOOL", 1, 1, -1, "BOOL"}, {"F8_E4M3", 1, 1, -1, "F8_E4M3"}, {"Q4_0", 32, 18, 2, ""},
    {"Q4_1", 32, 20, 3, ""},      {"Q5_0", 32, 22, 6, ""},    {"Q5_1", 32, 24, 7, ""},    {"Q8_0", 32, 34, 8, ""},          {"Q2_K", 256, 84, 10, ""},
    {"Q3_K", 256, 110, 11, ""},   {"Q4_K", 256, 144, 12, ""}, {"Q5_K", 256, 176, 13, ""}, {"Q6_K", 256, 210, 14, ""},       {"IQ4_NL", 32, 18, 20, ""},
    {"IQ4_XS", 256, 136, 23, ""}, {"MXFP4", 32, 17, 39, ""},  {"NVFP4", 64, 36, 40, ""},
}};

struct Known {
  int64_t id;
  std::string_view name;
};
constexpr Known kUnread[] = {
    {9, "Q8_1"}, {15, "Q8_K"}, {16, "IQ2_XXS"}, {17, "IQ2_XS"}, {18, "IQ3_XXS"}, {19, "IQ1_S"}, {21, "IQ3_S"}, {22, "IQ2_S"},
    {25, "I16"}, {28, "F64"},  {29, "IQ1_M"},   {34, "TQ1_0"},  {35, "TQ2_0"},   {41, "Q1_0"},  {42, "Q2_0"},
};

}  // namespace

const DTypeInfo& info(DType t) { return kInfo[static_cast<size_t>(t)]; }

std::optional<DType> dtype_from_ggml(int64_t id) {
  for (int i = 0; i < kNumDTypes; ++i)
    if (kInfo[static_cast<size_t>(i)].ggml_id >= 0 && kInfo[static_cast<size_t>(i)].ggml_id == id) return static_cast<DType>(i);
  return std::nullopt;
}

std::optional<DType> dtype_from_safetensors(std::string_view name) {
  if (name == "F8_E8M0") return DType::u8;  // scales of MXFP4, a byte that others write as U8
  for (int i = 0; i < kNumDTypes; ++i)
    if (!kInfo[static_cast<size_t>(i)].st_name.empty() && kInfo[static_cast<size_t>(i)].st_name == name) return static_cast<DType>(i);
  return std::nullopt;
}

std::string_view ggml_type_name(int64_t id) {
  if (auto t = dtype_from_ggml(id)) return info(*t).name;
  for (const Known& k : kUnread)
    if (k.id == id) return k.name;
  return "?";
}

}  // namespace carat
