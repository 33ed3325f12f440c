#!/usr/bin/env python3
"""Makes tests/fuzz/corpus/: one small file for each kind of attack that broke a reader of model files somewhere. Needs nothing but Python.

Names say what is wrong. Files that a fuzzer found lie beside them (case-*) and are not made here.
"""
import json
import pathlib
import struct

OUT = pathlib.Path(__file__).parents[2] / "tests/fuzz/corpus"
U8, I8, U16, I16, U32, I32, F32, BOOL, STR, ARR, U64, I64, F64 = range(13)
FMT = {U8: "B", I8: "b", U16: "H", I16: "h", U32: "I", I32: "i", F32: "f", BOOL: "B", U64: "Q", I64: "q", F64: "d"}
HUGE = 2**64 - 1


def s(text):
    raw = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<Q", len(raw)) + raw


def value(t, v):
    return s(v) if t == STR else struct.pack("<" + FMT[t], v)


def kv(key, t, v):
    return s(key) + struct.pack("<i", t) + value(t, v)


def arr(key, t, vs, count=None):
    return s(key) + struct.pack("<iiQ", ARR, t, len(vs) if count is None else count) + b"".join(value(t, v) for v in vs)


def tensor(name, ne, t=0, offset=0, rank=None):
    return s(name) + struct.pack("<I", len(ne) if rank is None else rank) + b"".join(struct.pack("<Q", n % 2**64) for n in ne) + struct.pack("<iQ", t, offset)


def gguf(keys=(), tensors=(), data=256, n_keys=None, n_tensors=None, version=3):
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors) if n_tensors is None else n_tensors, len(keys) if n_keys is None else n_keys)
    out = head + b"".join(keys) + b"".join(tensors)
    return out + b"\0" * (-len(out) % 32) + b"\0" * data


def vocabulary(tokens, scores=None, kinds=None, model="llama", merges=None):
    n = len(tokens)
    keys = [kv("general.architecture", STR, "gemma3"), kv("tokenizer.ggml.model", STR, model), arr("tokenizer.ggml.tokens", STR, tokens)]
    keys.append(scores if isinstance(scores, bytes) else arr("tokenizer.ggml.scores", F32, scores if scores is not None else [0.0] * n))
    keys.append(kinds if isinstance(kinds, bytes) else arr("tokenizer.ggml.token_type", I32, kinds if kinds is not None else [1] * n))
    if merges is not None:
        keys.append(arr("tokenizer.ggml.merges", STR, merges))
    return gguf(keys, data=0)


def st(header, data=0, length=None):
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw) if length is None else length) + raw + b"\0" * data


TOKENS = ["<pad>", "<eos>", "<bos>", "<unk>", "a", "b", "ab"]
ONE = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}

FILES = {
    "alignment-0.gguf": gguf([kv("general.alignment", U32, 0)], [tensor("t", [4])]),
    "alignment-2-to-31.gguf": gguf([kv("general.alignment", U32, 2**31)], [tensor("t", [4])]),
    "alignment-u64.gguf": gguf([kv("general.alignment", U64, 32)], [tensor("t", [4])]),
    "key-count-wraps.gguf": gguf([kv("a", U32, 1)], n_keys=2**61),
    "tensor-count-wraps.gguf": gguf([], [tensor("t", [4])], n_tensors=2**60),
    "key-count-negative.gguf": gguf([kv("a", U32, 1)], n_keys=HUGE),
    "string-length-wraps.gguf": gguf([struct.pack("<Q", HUGE) + b"abc"], n_keys=1),
    "string-length-plus-one-wraps.gguf": gguf([s("a") + struct.pack("<iQ", STR, HUGE)], n_keys=1),
    "array-count-times-size-wraps.gguf": gguf([arr("a", U64, [], 2**61 + 1)]),
    "array-of-strings-count-wraps.gguf": gguf([arr("a", STR, [], 2**60)]),
    "array-in-array.gguf": gguf([s("a") + struct.pack("<iiQ", ARR, ARR, 1) + struct.pack("<iQ", ARR, 1)] ),
    "value-type-unknown.gguf": gguf([s("a") + struct.pack("<i", 13)]),
    "dims-product-wraps.gguf": gguf([], [tensor("t", [2**32, 2**32, 4, 1])]),
    "dims-bytes-wrap.gguf": gguf([], [tensor("t", [2**61])]),
    "dims-padding-wraps.gguf": gguf([], [tensor("t", [2**62 - 1])]),
    "dims-negative.gguf": gguf([], [tensor("t", [-4, -4])]),
    "dims-zero.gguf": gguf([], [tensor("t", [0, 4])]),
    "rank-huge.gguf": gguf([], [tensor("t", [4], rank=2**32 - 1)]),
    "offset-wraps.gguf": gguf([], [tensor("t", [64], offset=2**64 - 32)]),
    "offset-beyond-the-file.gguf": gguf([], [tensor("t", [64], offset=2**20)]),
    "tensors-overlap.gguf": gguf([], [tensor("t", [32]), tensor("u", [32], offset=32)]),
    "tensor-twice.gguf": gguf([], [tensor("t", [8]), tensor("t", [8], offset=32)]),
    "tensor-name-64-bytes.gguf": gguf([], [tensor("n" * 64, [8])]),
    "type-unknown.gguf": gguf([], [tensor("t", [8], t=-1)]),
    "row-no-multiple-of-the-block.gguf": gguf([], [tensor("t", [31, 2], t=8)]),
    "big-endian.gguf": b"GGUF" + struct.pack(">IQQ", 3, 0, 0),
    "byte-token-minus-one.gguf": vocabulary(TOKENS + ["<0x-1>"], kinds=[3, 3, 3, 2, 1, 1, 1, 6]),
    "byte-token-too-large.gguf": vocabulary(TOKENS + ["<0x100>"], kinds=[3, 3, 3, 2, 1, 1, 1, 6]),
    "byte-token-without-digits.gguf": vocabulary(TOKENS + ["<0x"], kinds=[3, 3, 3, 2, 1, 1, 1, 6]),
    "scores-of-another-type.gguf": vocabulary(TOKENS, scores=arr("tokenizer.ggml.scores", U8, [0] * len(TOKENS))),
    "scores-too-few.gguf": vocabulary(TOKENS, scores=[0.0]),
    "scores-nan.gguf": vocabulary(TOKENS, scores=[float("nan")] * len(TOKENS)),
    "kinds-out-of-range.gguf": vocabulary(TOKENS, kinds=[77] * len(TOKENS)),
    "kinds-too-many.gguf": vocabulary(TOKENS, kinds=[1] * 100),
    "vocabulary-empty.gguf": vocabulary([]),
    "tokens-alike.gguf": vocabulary(["<bos>"] * 8),
    "merges-of-nothing.gguf": vocabulary(TOKENS, model="gemma4", merges=["", " ", "a", " b", "a b c", "zz yy"]),
    "split-of-65535.gguf": gguf([kv("split.no", U16, 0), kv("split.count", U16, 65535)]),
    "header-length-huge.safetensors": st({"t": ONE}, 4, length=HUGE),
    "header-deep.safetensors": st(b'{"a":' * 20000),
    "shape-product-wraps.safetensors": st({"t": {"dtype": "F32", "shape": [2**32, 2**32], "data_offsets": [0, 4]}}, 4),
    "offsets-backwards.safetensors": st({"t": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}, 4),
    "offsets-overlap.safetensors": st({"t": ONE, "u": ONE}, 4),
    "name-twice.safetensors": st(b'{"t":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"t":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}', 2),
    "rank-9.safetensors": st({"t": {"dtype": "U8", "shape": [1] * 9, "data_offsets": [0, 1]}}, 1),
}
FOLDERS = {
    "index-leads-outside": {"a.safetensors": st({"t": ONE}, 4), "model.safetensors.index.json": json.dumps({"weight_map": {"t": "../a.safetensors"}}).encode()},
    "index-names-a-missing-shard": {"model.safetensors.index.json": json.dumps({"weight_map": {"t": "b.safetensors"}}).encode()},
    "config-deep": {"model.safetensors": st({"t": ONE}, 4), "config.json": b'{"text_config":' * 5000},
    "config-numbers": {"model.safetensors": st({"t": ONE}, 4), "config.json": json.dumps({
        "model_type": "gemma4", "architectures": ["Gemma4ForCausalLM"], "num_hidden_layers": 10**18, "hidden_size": -1, "num_attention_heads": 0,
        "head_dim": 1e300, "vocab_size": 2**63}).encode()},
    "tokenizer-deep": {"model.safetensors": st({"t": ONE}, 4), "tokenizer.json": b'{"model":{"vocab":' + b"[" * 20000},
    "tokenizer-ids": {"model.safetensors": st({"t": ONE}, 4), "tokenizer.json": json.dumps({
        "model": {"type": "BPE", "vocab": {"a": -1, "b": 2**31, "c": 10**18, "d": 0}, "merges": [["a"], ["x", "y"], "q"]},
        "added_tokens": [{"id": 2**62, "content": "<bos>"}]}).encode()},
}


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    for name, data in FILES.items():
        (OUT / name).write_bytes(data)
    for folder, files in FOLDERS.items():
        (OUT / folder).mkdir(exist_ok=True)
        for name, data in files.items():
            (OUT / folder / name).write_bytes(data)
    print(len(FILES) + len(FOLDERS), "entries,", sum(p.stat().st_size for p in OUT.rglob("*") if p.is_file()), "bytes")


if __name__ == "__main__":
    main()
