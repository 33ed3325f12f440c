#!/usr/bin/env python3
"""How far llama.cpp is from the mathematics of the quantised tiny models: the figure that Carat's own error is compared with.

    pip install numpy gguf
    llama_kl.py HELPER SHARED [OUT] [--about TEXT]

HELPER is the program of llama_logits.cpp, linked with the libllama under test; SHARED the folder with golden/; OUT (default: tests/golden
beside this folder) gets llama_kl.json and dequantised/*.safetensors. --about says which libllama it was and on which machine.

For each quantised GGUF and each text case: the reference is numpy_gemma.py in float64 over the file's own weights, decoded exactly.
KL(reference || llama.cpp) in nats over the whole vocabulary, at every position. The standard error takes positions as independent, which
those of one case are not quite; with experts the mean is made by the few positions where another expert was chosen: look at the median
too, and compare engines position by position (`kl` of a case, of the first run). Runs of llama.cpp:
    quantised_prefill    the file itself, f32 KV cache, a case in one batch
    quantised_decode     the same token by token
    quantised_f16_kv     in one batch with its default f16 KV cache
    dequantised_prefill  the same weights written as an F32 GGUF, f32 KV cache: what is left when nothing is quantised on the way
dequantised/<model>-<type>.safetensors: the reference's log-probabilities, float32, a tensor [positions, vocabulary] a case.
"""
import argparse
import json
import pathlib
import subprocess
import tempfile

import numpy as np

import numpy_checkpoint
import numpy_gemma

RUNS = {"quantised_prefill": ("file", "f32", "prefill"), "quantised_decode": ("file", "f32", "decode"),
        "quantised_f16_kv": ("file", "f16", "prefill"), "dequantised_prefill": ("f32 copy", "f32", "prefill")}


def llama_log_probabilities(helper, model, kv, way, cases):
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "logits"
        ids = "".join(" ".join(map(str, c["ids"])) + "\n" for c in cases)
        subprocess.run([helper, str(model), str(out), kv, way], input=ids, text=True, check=True)
        rows = np.fromfile(out, "<f4").reshape(sum(len(c["ids"]) for c in cases), -1)
    ends = np.cumsum([len(c["ids"]) for c in cases])[:-1]
    return [numpy_gemma.log_softmax(part) for part in np.split(rows, ends)]


def divergence(reference, other):
    """KL(reference || other) at each position, in nats."""
    return (np.exp(reference) * (reference - other)).sum(-1)


def summary(kl, reference, other):
    return {"positions": len(kl), "mean": float(kl.mean()), "standard_error": float(kl.std(ddof=1) / len(kl) ** 0.5),
            "median": float(np.median(kl)), "p99": float(np.percentile(kl, 99)), "max": float(kl.max()),
            "max_abs_logprob_difference": float(np.abs(reference - other).max()),
            "same_top1": float((reference.argmax(-1) == other.argmax(-1)).mean())}


def rounded(value):
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    if isinstance(value, list):
        return [rounded(v) for v in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value


def measure(helper, file, cases, target):
    model = numpy_gemma.Model(file)
    reference, gaps = [], {}
    for c in cases:
        model.router_min_gap = np.inf
        reference.append(numpy_gemma.log_softmax(model.forward(c["ids"])))
        gaps[c["name"]] = model.router_min_gap
    numpy_checkpoint.write_safetensors(target, {c["name"]: r for c, r in zip(cases, reference)}, {"source": f"{file.parts[-3]}/gguf/{file.name}"})
    entry = {"runs": {}, "cases": {c["name"]: {} for c in cases}}
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder) / "f32.gguf"
        numpy_checkpoint.dequantise(file, copy)
        for run, (form, kv, way) in RUNS.items():
            got = llama_log_probabilities(helper, file if form == "file" else copy, kv, way, cases)
            kl = [divergence(r, g) for r, g in zip(reference, got)]
            entry["runs"][run] = summary(np.concatenate(kl), np.concatenate(reference), np.concatenate(got))
            for c, k in zip(cases, kl):
                entry["cases"][c["name"]][run] = {"mean": float(k.mean()), "max": float(k.max())}
                if run == "quantised_prefill":
                    entry["cases"][c["name"]]["kl"] = [float(x) for x in k]
    if np.isfinite(min(gaps.values())):
        entry["router_min_gap"] = gaps   # where it is below an engine's error, the engine may choose another expert
    return entry


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("helper")
    ap.add_argument("shared", type=pathlib.Path)
    ap.add_argument("out", type=pathlib.Path, nargs="?", default=pathlib.Path(__file__).resolve().parents[2] / "tests/golden")
    ap.add_argument("--about", default="")
    a = ap.parse_args()
    golden = a.shared / "golden"
    (a.out / "dequantised").mkdir(parents=True, exist_ok=True)
    files = {}
    for file in sorted(golden.glob("models/*/gguf/model-Q*.gguf")):
        name, kind = file.parts[-3], file.stem.removeprefix("model-")
        cases = [json.loads(p.read_text()) for p in sorted((golden / "text" / name).glob("*.json"))]
        entry = measure(a.helper, file, cases, a.out / "dequantised" / f"{name}-{kind}.safetensors")
        files[f"{name}/{kind}"] = entry
        for run, s in entry["runs"].items():
            print(f"{name}/{kind:7} {run:20} KL {s['mean']:.3e} +- {s['standard_error']:.1e}  p99 {s['p99']:.2e}  max {s['max']:.2e}  "
                  f"|dlogprob| {s['max_abs_logprob_difference']:.3f}  top-1 {s['same_top1']:.3f}", flush=True)
    text = json.dumps(rounded({"what": "KL(float64 reference || llama.cpp) in nats, see tools/golden/llama_kl.py", "llama": a.about, "files": files}), indent=1)
    (a.out / "llama_kl.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
