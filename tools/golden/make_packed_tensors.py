#!/usr/bin/env python3
"""Makes tests/golden/packed/: matrices in the 4-bit forms of Hugging Face folders, and the values they stand for.

The packing is done by the PyPI package `compressed-tensors` (pip install compressed-tensors torch safetensors), which must also unpack to the values that float64
arithmetic gives here. X.values is what X.weight must be, in F32, bit for bit; X.type the type it must have (ASCII). ModelOpt's spelling and odd scales are made
from the package's parts: no package is needed to rename tensors.
"""
import os
import pathlib

os.environ["TORCHDYNAMO_DISABLE"] = "1"  # plain Python is fast enough, and needs no compiler

import torch
from compressed_tensors.compressors.nvfp4.helpers import pack_fp4_to_uint8, unpack_fp4_from_uint8
from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32, unpack_from_int32
from safetensors.torch import save_file

OUT = pathlib.Path(__file__).parents[2] / "tests/golden/packed"
E2M1 = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6, 0, -0.5, -1, -1.5, -2, -3, -4, -6], dtype=torch.float64)
generator = torch.Generator().manual_seed(20261124)


def spread(scale, cols):
    return scale.to(torch.float64).repeat_interleave(cols // scale.shape[-1], dim=-1)


def finish(out, stem, values, kind, whole=".weight"):
    out[stem + whole + ".values"] = values.to(torch.float32).contiguous()
    out[stem + whole + ".type"] = torch.tensor(list(kind.encode()), dtype=torch.uint8)


def int4(out, stem, kind, rows, cols, groups, dtype=torch.bfloat16, magnitude=0.01, asymmetric=False, zeros_as_bytes=False):
    q = torch.randint(-8, 8, (rows, cols), generator=generator, dtype=torch.int32)
    shape = (1,) if groups == 0 else (rows, groups)
    scale = (torch.rand(shape, generator=generator) * magnitude + magnitude / 100).to(dtype)
    z = torch.randint(-8, 8, shape, generator=generator, dtype=torch.int32) if asymmetric else torch.zeros(shape, dtype=torch.int32)
    packed = pack_to_int32(q.to(torch.int8), 4)
    assert torch.equal(unpack_from_int32(packed, 4, torch.Size((rows, cols))).to(torch.int32), q)
    out[stem + ".weight_packed"] = packed.contiguous()
    out[stem + ".weight_scale"] = scale
    out[stem + ".weight_shape"] = torch.tensor([rows, cols])
    if asymmetric:
        out[stem + ".weight_zero_point"] = z.to(torch.int8) if zeros_as_bytes else pack_to_int32(z.to(torch.int8), 4, packed_dim=0).contiguous()
    finish(out, stem, (q.to(torch.float64) - spread(z.expand(rows, -1), cols)) * spread(scale.expand(rows, -1), cols), kind)


def fp4(rows, cols):
    codes = torch.randint(0, 16, (rows, cols), generator=generator)
    values = E2M1[codes]
    packed = pack_fp4_to_uint8(torch.where(codes == 8, -0.0, values).to(torch.float32))
    assert torch.equal(unpack_fp4_from_uint8(packed, rows, cols, torch.float64), values)
    return packed.contiguous(), values


def nvfp4(out, stem, kind, rows, cols, spelling, negative=False, matrices=1, whole=".weight"):
    packed, values = fp4(rows, cols)
    scale = (torch.rand((rows, cols // 16), generator=generator) * 400).to(torch.float8_e4m3fn)
    scale.view(torch.uint8)[0, 0] = 1  # the smallest
    scale.view(torch.uint8)[0, 1] = 0x7E  # the largest
    if negative:
        scale = (scale.to(torch.float32) * torch.where(torch.rand(scale.shape, generator=generator) < 0.5, -1, 1)).to(torch.float8_e4m3fn)
    stack = (matrices, rows // matrices) if matrices > 1 else (rows,)
    factor = torch.rand(matrices, generator=generator) * 1e-4 + 1e-5
    if spelling == "compressed":
        out[stem + ".weight_packed"], out[stem + ".weight_scale"] = packed, scale
        out[stem + ".weight_global_scale"] = 1 / factor
        out[stem + ".input_global_scale"] = torch.ones(1)
        factor = 1 / out[stem + ".weight_global_scale"]
    else:
        prefix = stem + "_" if whole == "" else stem + "."
        out[stem + whole], out[prefix + "weight_scale"] = packed.reshape(*stack, -1), scale.reshape(*stack, -1)
        out[prefix + "weight_scale_2"] = factor if matrices > 1 else factor.squeeze()
        out[prefix + "input_scale"] = torch.ones(())
    values = values * spread(scale.to(torch.float32), cols)
    if kind == "F32":
        values = values * factor.to(torch.float64)
    else:
        out[stem + ".scale.values"] = factor.to(torch.float32).clone()
    finish(out, stem, values.reshape(*stack, -1), kind, whole)


def mxfp4(out, stem, rows, cols, spelling):
    packed, values = fp4(rows, cols)
    e = torch.randint(100, 130, (rows, cols // 32), generator=generator, dtype=torch.uint8)
    e[0, 0], e[0, 1] = 2, 250
    out[stem + (".weight_packed" if spelling == "compressed" else ".weight")] = packed
    out[stem + ".weight_scale"] = e
    finish(out, stem, values * spread(torch.exp2(e.to(torch.float64) - 127), cols), "MXFP4")


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    ints, floats, stacks = {}, {}, {}
    int4(ints, "group32", "Q4_0", 19, 128, 4)
    int4(ints, "group64.f16", "Q4_0", 8, 128, 2, dtype=torch.float16)
    int4(ints, "group128.subnormal", "Q4_0", 8, 256, 2, magnitude=0.0)
    ints["group128.subnormal.weight_scale"][:] = torch.tensor([2.0**-24, 2.0**-17])  # exact among the smallest numbers of f16
    del ints["group128.subnormal.weight.values"]
    q = unpack_from_int32(ints["group128.subnormal.weight_packed"], 4, torch.Size((8, 256))).to(torch.float64)
    ints["group128.subnormal.weight.values"] = (q * spread(ints["group128.subnormal.weight_scale"], 256)).to(torch.float32)
    int4(ints, "channel", "Q4_0", 9, 96, 1)
    int4(ints, "tensor", "Q4_0", 7, 64, 0)
    int4(ints, "asymmetric", "Q5_0", 19, 128, 4, asymmetric=True)
    int4(ints, "asymmetric.bytes", "Q5_0", 5, 64, 2, asymmetric=True, zeros_as_bytes=True)
    int4(ints, "f32", "F32", 6, 64, 2, dtype=torch.float32)
    int4(ints, "tiny", "F32", 6, 64, 2, magnitude=1e-7)
    int4(ints, "group16", "F32", 6, 64, 4, asymmetric=True)
    int4(ints, "odd", "F32", 6, 44, 1)
    nvfp4(floats, "nvfp4.compressed", "NVFP4", 9, 128, "compressed")
    nvfp4(floats, "nvfp4.modelopt", "NVFP4", 9, 192, "modelopt")
    nvfp4(floats, "nvfp4.negative", "NVFP4", 6, 64, "modelopt", negative=True)
    nvfp4(floats, "nvfp4.narrow", "F32", 6, 80, "compressed")
    mxfp4(floats, "mxfp4.compressed", 9, 128, "compressed")
    mxfp4(floats, "mxfp4.modelopt", 9, 64, "modelopt")
    nvfp4(stacks, "layers.0.experts.gate_up_proj", "NVFP4", 24, 64, "modelopt", matrices=3, whole="")
    for e in (2, 0, 1):
        nvfp4(stacks, f"layers.1.experts.{e}.down_proj", "NVFP4", 8, 64, "compressed")
        int4(stacks, f"layers.1.experts.{e}.up_proj", "Q4_0", 8, 64, 2)
        int4(stacks, f"layers.1.experts.{e}.gate_proj", "F32", 8, 64, 2, magnitude=1e-7 if e == 1 else 0.01)
    save_file(ints, OUT / "int4.safetensors")
    save_file(floats, OUT / "fp4.safetensors")
    save_file(stacks, OUT / "experts.safetensors")
    print({p.name: p.stat().st_size for p in OUT.iterdir()})


if __name__ == "__main__":
    main()
