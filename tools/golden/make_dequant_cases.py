#!/usr/bin/env python3
"""Makes tests/tensor/data/dequant_cases.bin: random blocks of every quantised type and the values the reference decoder gives.

The reference is the PyPI package `gguf` (gguf.quants.dequantize). pip install gguf numpy; then run this from anywhere.
File, little-endian: for each case u32 ggml type, u32 blocks, the blocks, then their elements as f32. Ends at the end of the file.
"""
import pathlib
import struct

import numpy as np
from gguf import GGMLQuantizationType as T
from gguf import GGML_QUANT_SIZES, quants

TYPES = [T.F16, T.BF16, T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1, T.Q8_0, T.Q2_K, T.Q3_K, T.Q4_K, T.Q5_K, T.Q6_K, T.IQ4_NL, T.IQ4_XS, T.MXFP4, T.NVFP4]
F16_FIELDS = {T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2], T.Q8_0: [0], T.Q2_K: [80, 82], T.Q3_K: [108], T.Q4_K: [0, 2],
              T.Q5_K: [0, 2], T.Q6_K: [208], T.IQ4_NL: [0], T.IQ4_XS: [0]}


def main() -> None:
    rng = np.random.default_rng(20260711)
    out = pathlib.Path(__file__).parents[2] / "tests/tensor/data/dequant_cases.bin"
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("wb") as f:
        for t in TYPES:
            elems, size = GGML_QUANT_SIZES[t]
            n = 8192 if elems == 1 else 64 if elems <= 64 else 16
            blocks = rng.integers(0, 256, (n, size), dtype=np.uint8)
            # Half of the blocks get scales of an ordinary size, the others keep whatever bits came: subnormal, huge, infinite.
            for at in F16_FIELDS.get(t, []):
                scales = (rng.standard_normal(n // 2) * 0.02).astype(np.float16)
                blocks[: n // 2, at : at + 2] = scales.view(np.uint8).reshape(-1, 2)
            if t == T.MXFP4:
                blocks[:8, 0] = [0, 1, 2, 126, 127, 128, 254, 255]
            if t == T.NVFP4:
                blocks[:32, :4] = np.arange(128, dtype=np.uint8).reshape(32, 4)  # every scale there is
            with np.errstate(all="ignore"):
                y = quants.dequantize(blocks.reshape(-1), t).astype(np.float32).reshape(-1)
            assert y.size == n * elems, t
            f.write(struct.pack("<II", int(t), n))
            f.write(blocks.tobytes())
            f.write(y.astype("<f4").tobytes())
    print(out, out.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
