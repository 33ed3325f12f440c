#pragma once
// Matrices in the 4-bit forms of Hugging Face folders, read as the blocks of GGUF files: bits are moved, no number is rounded.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "formats/checkpoint.h"

namespace carat {

enum class PackedForm { int4, nvfp4, mxfp4 };

// The parts of one matrix, or of several of the same shape (experts) whose rows follow each other. Codes are 4 bits, element 2i in the low half of byte i.
struct PackedMatrix {
  PackedForm form = PackedForm::int4;
  std::string name;   // of the whole, for messages
  int64_t rows = 0;   // of all matrices together
  int64_t cols = 0;   // elements a row
  int64_t group = 0;  // elements that share a scale; divides cols
  TensorInfo codes;   // `rows` rows of ceil(cols / 8) I32 (int4) or cols / 2 U8
  TensorInfo
      scales;  // `rows` rows of cols / group: F16, BF16 or F32 (int4), F8_E4M3 (nvfp4), E8M0 held as U8 or F8_E8M0 (mxfp4); int4 may have one scale for all
  // int4, asymmetric: what is subtracted from a code, in place of 8. I32 [ceil(rows / 8), cols / group], 4 bits a row, the lowest first; or I8, like `scales`,
  // lowered by 8.
  std::optional<TensorInfo> zeros;
  std::vector<float> factors;  // nvfp4: what the values of each matrix are multiplied by; finite, not 0
};

// The type whose blocks hold the matrix exactly:
//   int4   Q4_0, or Q5_0 with zero points, if groups are made of whole blocks and every scale is exact in f16;
//   nvfp4  NVFP4, without the factors, if rows are made of whole blocks;
//   mxfp4  MXFP4;
//   else F32: the values themselves, factors included.
// Reads the scales of int4. Fails with io, or with corrupt when a scale is not a finite number.
DType exact_type(const PackedMatrix& matrix);

// The rows of the matrix in the type that exact_type() gave. What is read fails with corrupt if a scale is not a finite number.
std::shared_ptr<const TensorSource> packed_rows(PackedMatrix matrix, DType type);

}  // namespace carat
