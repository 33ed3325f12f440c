"""Reads a Gemma text model into float64 NumPy arrays: a GGUF of any type the `gguf` package decodes, or a Hugging Face folder.

Both come out in the same form, so that numpy_gemma.py knows one set of names:
    load(path) -> (Config, {tensor name as in GGUF: float64 array of the Hugging Face shape [out, in]})
Also here: a minimal safetensors reader and writer, and dequantise(), which copies a GGUF with every tensor as F32.

    pip install numpy gguf
"""
import dataclasses
import json
import pathlib
import struct

import numpy as np


@dataclasses.dataclass
class Config:
    gemma3: bool
    layers: int
    hidden: int
    heads: int
    eps: float
    window: int
    sliding: list           # [layers] True = sliding window
    kv_heads: list          # [layers]
    head_dim: list          # [layers]
    rope_theta: list        # [layers]
    rope_factor: list       # [layers] frequencies are divided by it
    shared_kv_layers: int   # the last so many layers read another layer's keys and values
    per_layer: int          # width of the per-layer input, 0 = none
    softcap: float          # 0 = none
    experts_used: int       # 0 = dense


# ---- safetensors ------------------------------------------------------------------------------------------------------------

DTYPES = {"F32": np.float32, "F64": np.float64, "I64": np.int64, "I32": np.int32, "U8": np.uint8, "F16": np.float16}


def read_safetensors(path):
    raw = pathlib.Path(path).read_bytes()
    n = struct.unpack("<Q", raw[:8])[0]
    out = {}
    for name, t in json.loads(raw[8:8 + n]).items():
        if name == "__metadata__":
            continue
        data = raw[8 + n + t["data_offsets"][0]:8 + n + t["data_offsets"][1]]
        if t["dtype"] == "BF16":
            a = (np.frombuffer(data, np.uint16).astype(np.uint32) << 16).view(np.float32)
        else:
            a = np.frombuffer(data, DTYPES[t["dtype"]])
        out[name] = a.reshape(t["shape"])
    return out


def write_safetensors(path, tensors, metadata):
    """tensors: {name: float32 array}; metadata: {string: string}. The same input gives the same bytes."""
    head, blob = {"__metadata__": metadata}, b""
    for name in sorted(tensors):
        data = np.ascontiguousarray(tensors[name], "<f4").tobytes()
        head[name] = {"dtype": "F32", "shape": list(tensors[name].shape), "data_offsets": [len(blob), len(blob) + len(data)]}
        blob += data
    text = json.dumps(head, sort_keys=True).encode()
    text += b" " * (-len(text) % 8)
    pathlib.Path(path).write_bytes(struct.pack("<Q", len(text)) + text + blob)


# ---- GGUF -------------------------------------------------------------------------------------------------------------------

def load_gguf(path):
    import gguf
    reader = gguf.GGUFReader(path)
    arch = reader.fields["general.architecture"].contents()
    if arch not in ("gemma3", "gemma4"):
        raise SystemExit(f"{path}: architecture {arch}: only gemma3 and gemma4 are read here")

    def key(name, default=None):
        f = reader.fields.get(f"{arch}.{name}")
        return default if f is None else f.contents()

    n = key("block_count")
    spread = lambda v: list(v) if isinstance(v, (list, tuple)) else [v] * n
    sliding = key("attention.sliding_window_pattern", None)
    if not isinstance(sliding, (list, tuple)):
        period = sliding or 6
        sliding = [(i + 1) % period != 0 for i in range(n)]
    full, local = key("attention.key_length"), key("attention.key_length_swa", key("attention.key_length"))
    theta, theta_local = key("rope.freq_base"), key("rope.freq_base_swa", 10000.0)
    factor = key("rope.scaling.factor", 1.0) if key("rope.scaling.type") == "linear" else 1.0
    pick = lambda a, b: [a if s else b for s in sliding]
    c = Config(arch == "gemma3", n, key("embedding_length"), key("attention.head_count"), key("attention.layer_norm_rms_epsilon", 1e-6),
               key("attention.sliding_window"), list(sliding), spread(key("attention.head_count_kv")), pick(local, full),
               pick(theta_local, theta), pick(1.0, factor), key("attention.shared_kv_layers", 0), key("embedding_length_per_layer_input", 0),
               key("final_logit_softcapping", 0.0), key("expert_used_count", 0))
    tensors = {t.name: gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float64) for t in reader.tensors}
    return c, tensors


def dequantise(source, target):
    """Copies a GGUF, metadata and all, with every tensor decoded to F32."""
    import gguf
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(target, reader.fields["general.architecture"].contents())
    for f in reader.fields.values():
        if f.name.startswith("GGUF.") or f.name == "general.architecture":
            continue
        if f.name == "general.file_type":
            writer.add_uint32(f.name, 0)
        elif f.types[0] == gguf.GGUFValueType.ARRAY:
            writer.add_key_value(f.name, f.contents(), gguf.GGUFValueType.ARRAY, f.types[-1])
        else:
            writer.add_key_value(f.name, f.contents(), f.types[0])
    for t in reader.tensors:
        writer.add_tensor(t.name, np.ascontiguousarray(gguf.quants.dequantize(t.data, t.tensor_type), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


# ---- Hugging Face folder ----------------------------------------------------------------------------------------------------

TOP = {"embed_tokens.weight": "token_embd.weight", "norm.weight": "output_norm.weight", "lm_head.weight": "output.weight",
       "embed_tokens_per_layer.weight": "per_layer_token_embd.weight", "per_layer_model_projection.weight": "per_layer_model_proj.weight",
       "per_layer_projection_norm.weight": "per_layer_proj_norm.weight"}
LAYER = {"input_layernorm.weight": "attn_norm.weight", "self_attn.q_proj.weight": "attn_q.weight", "self_attn.k_proj.weight": "attn_k.weight",
         "self_attn.v_proj.weight": "attn_v.weight", "self_attn.o_proj.weight": "attn_output.weight", "self_attn.q_norm.weight": "attn_q_norm.weight",
         "self_attn.k_norm.weight": "attn_k_norm.weight", "post_attention_layernorm.weight": "post_attention_norm.weight",
         "pre_feedforward_layernorm.weight": "ffn_norm.weight", "post_feedforward_layernorm.weight": "post_ffw_norm.weight",
         "mlp.gate_proj.weight": "ffn_gate.weight", "mlp.up_proj.weight": "ffn_up.weight", "mlp.down_proj.weight": "ffn_down.weight",
         "layer_scalar": "layer_output_scale.weight", "per_layer_input_gate.weight": "inp_gate.weight", "per_layer_projection.weight": "proj.weight",
         "post_per_layer_input_norm.weight": "post_norm.weight", "router.proj.weight": "ffn_gate_inp.weight", "router.scale": "ffn_gate_inp.scale",
         "router.per_expert_scale": "ffn_down_exps.scale", "experts.gate_up_proj": "ffn_gate_up_exps.weight", "experts.down_proj": "ffn_down_exps.weight",
         "pre_feedforward_layernorm_2.weight": "pre_ffw_norm_2.weight", "post_feedforward_layernorm_1.weight": "post_ffw_norm_1.weight",
         "post_feedforward_layernorm_2.weight": "post_ffw_norm_2.weight"}


def load_hf(folder):
    folder = pathlib.Path(folder)
    h = json.loads((folder / "config.json").read_text())
    h = h.get("text_config", h)
    gemma3 = h["model_type"].startswith("gemma3")
    n = h["num_hidden_layers"]
    sliding = [t == "sliding_attention" for t in h["layer_types"]]
    pick = lambda a, b: [a if s else b for s in sliding]
    rope = h["rope_parameters"]
    global_dim = h.get("global_head_dim") or h["head_dim"]
    global_kv = h.get("num_global_key_value_heads") if h.get("attention_k_eq_v") else None
    c = Config(gemma3, n, h["hidden_size"], h["num_attention_heads"], h["rms_norm_eps"], h["sliding_window"], sliding,
               pick(h["num_key_value_heads"], global_kv or h["num_key_value_heads"]), pick(h["head_dim"], global_dim),
               pick(rope["sliding_attention"]["rope_theta"], rope["full_attention"]["rope_theta"]),
               pick(1.0, rope["full_attention"].get("factor", 1.0)), h.get("num_kv_shared_layers") or 0, h.get("hidden_size_per_layer_input") or 0,
               h.get("final_logit_softcapping") or 0.0, (h.get("top_k_experts") or 0) if h.get("enable_moe_block") else 0)
    if gemma3 and h["query_pre_attn_scalar"] != h["head_dim"]:
        raise SystemExit(f"{folder}: query_pre_attn_scalar other than head_dim is not read here")
    tensors = {}
    for name, a in read_safetensors(folder / "model.safetensors").items():
        short = name.removeprefix("model.").removeprefix("language_model.").removeprefix("model.")
        if short.startswith("layers."):
            _, index, rest = short.split(".", 2)
            target = f"blk.{index}.{LAYER[rest]}" if rest in LAYER else None
        else:
            target = TOP.get(short)
        if target is not None:
            a = a.astype(np.float64)
            tensors[target] = a + 1.0 if gemma3 and short.endswith("norm.weight") else a   # GGUF files hold Gemma 3's 1 + w
    if not gemma3:
        partial = rope["full_attention"].get("partial_rotary_factor", 1.0)
        turned = int(partial * global_dim // 2)
        tensors["rope_freqs.weight"] = np.concatenate([np.ones(turned), np.full(global_dim // 2 - turned, 1e30)])
    return c, tensors


def load(path):
    path = pathlib.Path(path)
    return load_hf(path) if path.is_dir() else load_gguf(path)
