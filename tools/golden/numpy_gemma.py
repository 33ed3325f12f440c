#!/usr/bin/env python3
"""Gemma 4 and Gemma 3 text models in plain float64 NumPy: the exact engine that quantised engines are held against.

Nothing here is fast: one sequence, every position at once, full score matrices. What it computes is the mathematics of the
model over the weights as the file means them, so a KL divergence to it is the error of the engine under test alone.

    pip install numpy gguf
    numpy_gemma.py check SHARED   hold it against the golden logits of every tiny model (folder SHARED = .../shared); exit 1 on a miss
"""
import json
import pathlib
import sys

import numpy as np

import numpy_checkpoint


def rms_norm(x, eps, weight=None):
    y = x / np.sqrt((x * x).mean(-1, keepdims=True) + eps)
    return y if weight is None else y * weight


def gelu(x):
    return 0.5 * x * (1.0 + np.tanh(np.sqrt(2.0 / np.pi) * (x + 0.044715 * x ** 3)))


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def log_softmax(x):
    x = np.asarray(x, np.float64)
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def rope(x, theta, factor, divisors):
    """x [T, heads, dim], positions from 0; pairs are (i, i + dim/2)."""
    half = x.shape[-1] // 2
    freq = theta ** (-np.arange(half) / half) / factor
    if divisors is not None:
        freq = freq / divisors
    angle = np.arange(x.shape[0])[:, None, None] * freq
    c, s = np.cos(angle), np.sin(angle)
    a, b = x[..., :half], x[..., half:]
    return np.concatenate([a * c - b * s, b * c + a * s], -1)


class Model:
    def __init__(self, path):
        self.c, self.w = numpy_checkpoint.load(path)
        self.router_min_gap = np.inf   # over all forward() calls: smallest gap between the last expert taken and the first left out

    def linear(self, x, name):
        return x @ self.w[name].T

    def kv_source(self, layer):
        c = self.c
        first = c.layers - c.shared_kv_layers
        return layer if layer < first else max(i for i in range(first) if c.sliding[i] == c.sliding[layer])

    def attention(self, layer, h, stored):
        c, p, t = self.c, f"blk.{layer}.", h.shape[0]
        dim, groups, sliding = c.head_dim[layer], c.kv_heads[layer], c.sliding[layer]
        spin = lambda x: rope(x, c.rope_theta[layer], c.rope_factor[layer], None if sliding else self.w.get("rope_freqs.weight"))
        q = self.linear(h, p + "attn_q.weight").reshape(t, c.heads, dim)
        q = spin(rms_norm(q, c.eps, self.w[p + "attn_q_norm.weight"]))
        if self.kv_source(layer) == layer:
            k0 = self.linear(h, p + "attn_k.weight").reshape(t, groups, dim)
            v = self.linear(h, p + "attn_v.weight").reshape(t, groups, dim) if p + "attn_v.weight" in self.w else k0
            stored[layer] = spin(rms_norm(k0, c.eps, self.w[p + "attn_k_norm.weight"])), v if c.gemma3 else rms_norm(v, c.eps)
        k, v = (np.repeat(x, c.heads // groups, 1) for x in stored[self.kv_source(layer)])
        scores = np.einsum("ihd,jhd->hij", q, k) * (dim ** -0.5 if c.gemma3 else 1.0)
        i, j = np.arange(t)[:, None], np.arange(t)[None, :]
        seen = (j <= i) & ((i - j < c.window) | (not sliding))
        a = softmax(np.where(seen, scores, -np.inf))
        return self.linear(np.einsum("hij,jhd->ihd", a, v).reshape(t, c.heads * dim), p + "attn_output.weight")

    def experts(self, layer, r):
        """Weighted sum of the chosen experts for the residual r [T, hidden]."""
        c, p = self.c, f"blk.{layer}."
        u = rms_norm(r, c.eps) * self.w[p + "ffn_gate_inp.scale"] * c.hidden ** -0.5
        probability = softmax(self.linear(u, p + "ffn_gate_inp.weight"))
        order = np.argsort(-probability, -1, kind="stable")
        ranked = np.take_along_axis(probability, order, -1)
        self.router_min_gap = min(self.router_min_gap, float((ranked[:, c.experts_used - 1] - ranked[:, c.experts_used]).min()))
        h = rms_norm(r, c.eps, self.w[p + "pre_ffw_norm_2.weight"])
        out = np.zeros_like(r)
        for t in range(r.shape[0]):
            chosen = order[t, :c.experts_used]
            share = probability[t, chosen] / probability[t, chosen].sum() * self.w[p + "ffn_down_exps.scale"][chosen]
            for e, s in zip(chosen, share):
                gate, up = np.split(self.w[p + "ffn_gate_up_exps.weight"][e] @ h[t], 2)
                out[t] += s * (self.w[p + "ffn_down_exps.weight"][e] @ (gelu(gate) * up))
        return out

    def feed_forward(self, layer, r):
        c, p = self.c, f"blk.{layer}."
        h = rms_norm(r, c.eps, self.w[p + "ffn_norm.weight"])
        m = self.linear(gelu(self.linear(h, p + "ffn_gate.weight")) * self.linear(h, p + "ffn_up.weight"), p + "ffn_down.weight")
        if c.experts_used:
            m = rms_norm(m, c.eps, self.w[p + "post_ffw_norm_1.weight"])
            m = m + rms_norm(self.experts(layer, r), c.eps, self.w[p + "post_ffw_norm_2.weight"])
        return m

    def per_layer_inputs(self, ids, x):
        c = self.c
        token = self.w["per_layer_token_embd.weight"][ids].reshape(len(ids), c.layers, c.per_layer) * c.per_layer ** 0.5
        context = (self.linear(x, "per_layer_model_proj.weight") * c.hidden ** -0.5).reshape(token.shape)
        return (rms_norm(context, c.eps, self.w["per_layer_proj_norm.weight"]) + token) * 2 ** -0.5

    def forward(self, ids):
        """Logits [T, vocabulary] for the token ids at positions 0..T-1, after the soft cap."""
        c = self.c
        x = self.w["token_embd.weight"][ids] * c.hidden ** 0.5
        per_layer = self.per_layer_inputs(ids, x) if c.per_layer else None
        stored = {}
        for i in range(c.layers):
            p = f"blk.{i}."
            a = self.attention(i, rms_norm(x, c.eps, self.w[p + "attn_norm.weight"]), stored)
            x = x + rms_norm(a, c.eps, self.w[p + "post_attention_norm.weight"])
            x = x + rms_norm(self.feed_forward(i, x), c.eps, self.w[p + "post_ffw_norm.weight"])
            if c.per_layer:
                y = self.linear(gelu(self.linear(x, p + "inp_gate.weight")) * per_layer[:, i], p + "proj.weight")
                x = x + rms_norm(y, c.eps, self.w[p + "post_norm.weight"])
            if not c.gemma3:
                x = x * self.w[p + "layer_output_scale.weight"]
        x = rms_norm(x, c.eps, self.w["output_norm.weight"])
        logits = self.linear(x, "output.weight" if "output.weight" in self.w else "token_embd.weight")
        return c.softcap * np.tanh(logits / c.softcap) if c.softcap else logits


def check(shared):
    golden = pathlib.Path(shared) / "golden"
    missed = compared = 0
    for folder in sorted((golden / "text").iterdir()):
        forms = [golden / "models" / folder.name / "gguf/model-bf16.gguf", golden / "models" / folder.name / "hf"]
        for form in (f for f in forms if f.exists()):
            model = Model(form)
            for path in sorted(folder.glob("*.json")):
                case = json.loads(path.read_text())
                want = numpy_checkpoint.read_safetensors(path.with_suffix(".safetensors"))["logits"]
                off, limit = float(np.abs(model.forward(case["ids"]) - want).max()), case["tolerance"]["logits_max_abs"]
                compared += 1
                missed += not off <= limit
                print(f"{'ok  ' if off <= limit else 'MISS'} {folder.name}/{case['name']:6} {form.name:16} max |difference| {off:.1e}, allowed {limit:.1e}")
    print(f"{compared} compared, {missed} missed")
    return 1 if missed or not compared else 0


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] != "check":
        raise SystemExit(__doc__)
    sys.exit(check(sys.argv[2]))
