#include <cstring>

#include "kernels/kernels.h"
#include "kernels/targets.h"

#if defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace carat::kernels {
namespace {

struct Target {
  const char* name;
  const KernelTable* (*table)();
  bool (*supported)();
};

bool always() { return true; }

#if defined(__x86_64__)
bool has_avx2() { return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0 && __builtin_cpu_supports("f16c") != 0; }
bool has_avx2_vnni() { return has_avx2() && __builtin_cpu_supports("avxvnni") != 0; }
bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512dq") != 0 &&
         __builtin_cpu_supports("avx512vl") != 0 && __builtin_cpu_supports("avx512cd") != 0;
}
bool has_avx512_vnni() { return has_avx512() && __builtin_cpu_supports("avx512vnni") != 0; }
bool has_avx512_bf16() { return has_avx512_vnni() && __builtin_cpu_supports("avx512bf16") != 0; }

void matmul_dense_fast_bf16(const DenseMatmul& a) {
  if (a.dtype == DType::bf16) return matmul_bf16_avx512(a);
  avx512_vnni_table()->matmul_dense(a);
}
#endif
#if defined(__aarch64__)
bool has_dotprod() { return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0 && (getauxval(AT_HWCAP) & HWCAP_ASIMDHP) != 0; }
bool has_i8mm() { return has_dotprod() && (getauxval(AT_HWCAP2) & HWCAP2_I8MM) != 0; }
#endif

// Best last.
constexpr Target kTargets[] = {
    {"scalar", scalar_table, always},
#if defined(__x86_64__)
    {"avx2", avx2_table, has_avx2},
    {"avx2_vnni", avx2_vnni_table, has_avx2_vnni},
    {"avx512", avx512_table, has_avx512},
    {"avx512_vnni", avx512_vnni_table, has_avx512_vnni},
#endif
#if defined(__aarch64__)
    {"neon", neon_table, always},
    {"neon_dotprod", neon_dotprod_table, has_dotprod},
    {"neon_i8mm", neon_i8mm_table, has_i8mm},
#endif
};

}  // namespace

TableList available_tables() {
  TableList list{};
  for (const Target& t : kTargets)
    if (t.supported()) list.tables[list.count++] = t.table();
  return list;
}

const KernelTable* find_table(const char* name) {
  const TableList list = available_tables();
  if (name == nullptr || *name == '\0') return list.tables[list.count - 1];
  for (int i = 0; i < list.count; ++i)
    if (std::strcmp(list.tables[i]->name, name) == 0) return list.tables[i];
  return nullptr;
}

const KernelTable* fast_bf16_table() {
#if defined(__x86_64__)
  static const KernelTable kTable = [] {
    KernelTable t = *avx512_vnni_table();
    t.name = "avx512_bf16";
    t.matmul_dense = matmul_dense_fast_bf16;
    return t;
  }();
  if (has_avx512_bf16()) return &kTable;
#endif
  return nullptr;
}

const char* built_tables() {
#if defined(__x86_64__)
  return "scalar avx2 avx2_vnni avx512 avx512_vnni";
#elif defined(__aarch64__)
  return "scalar neon neon_dotprod neon_i8mm";
#else
  return "scalar";
#endif
}

int64_t attend_scratch_floats(int64_t rows, int64_t head_dim, DType kv_dtype) {
  const int64_t tile = head_dim * kTilePositions, tiles = kSplit / kTilePositions;
  return rows * (kSplit + head_dim) + tile + (kv_dtype == DType::q8_0 ? 2 * tiles * tile : 0);
}

}  // namespace carat::kernels
