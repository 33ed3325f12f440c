#!/usr/bin/env python3
"""Speed of Carat beside that of llama.cpp: the same file, the same threads, the same minutes.

Absolute figures of two days or two machines say nothing about two programs. Here the programs take turns (the order changes from
round to round) and what counts is the ratio within a round: the median of these paired ratios, with their range.

    CARAT_LLAMA_BENCH=/path/to/llama-bench bench/compare.py MODEL.gguf [-p 512] [-n 128] [--threads 2] [--rounds 5] [--json FILE]

prefill: -p tokens in one go into an empty cache; decode: -n tokens one by one, behind --depth tokens. Both programs run with their
defaults otherwise (f16 KV cache; llama.cpp with its repacked weights and its choice of flash attention), warmed up, load time not counted.
Carat's figures come from `carat bench`; a build without that command is asked by `carat run --token-ids … --stats --json`. There decode
follows the prompt, so depth is -p for both programs, and prefill is the process's first, not warmed up: a little to Carat's disadvantage.

A round is disturbed when other processes used more than --quiet (default 0.03) of the machine's processors during it. On a busy machine the
ratio means nothing: llama.cpp's threads spin at barriers and lose far more than their share (a thirteenth of its speed at rest was seen). So only
undisturbed rounds count, at least three; with fewer the figures are shown, called invalid, and the exit status is 3. --patience S waits up
to S seconds in all for calm before rounds and repeats disturbed ones.
--only llama or --only carat measures one program; --at-least R gives exit status 1 when a median ratio is below R.
"""
import argparse
import json
import os
import pathlib
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time

PHASES = ("prefill", "decode")
ENOUGH = 3   # undisturbed rounds that make a verdict
ROOT = pathlib.Path(__file__).resolve().parents[1]


def stop(text):
    sys.exit(f"compare: {text}")


def cpu_name():
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    value = lambda key: next((line.split(":", 1)[1].strip() for line in lines if line.startswith(key)), "?")
    flags = set(value("flags").split())
    wide = [f for f in ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8") if f in flags]
    return f"{value('model name')} (family {value('cpu family')} model {value('model')}; {' '.join(wide)}), {os.cpu_count()} processors"


def busy_seconds():
    """Processor seconds used on this machine since it started, by whomever, the hypervisor's stealing included."""
    user, nice, system, _, _, irq, softirq, steal = map(int, pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def call(command):
    """Runs a program to its end; returns (stdout, stderr, share of the machine that others used meanwhile)."""
    spent = lambda: sum(os.times()[2:4])   # of children waited for
    busy, own, start = busy_seconds(), spent(), time.monotonic()
    done = subprocess.run([str(c) for c in command], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    others = (busy_seconds() - busy) - (spent() - own)
    if done.returncode != 0:
        stop(f"{' '.join(map(str, command))}: exit status {done.returncode}: {done.stderr.strip()[-500:]}")
    return done.stdout, done.stderr, max(0.0, others / ((time.monotonic() - start) * os.cpu_count()))


def wait_for_calm(quiet, deadline):
    """Returns once the machine was idle but for `quiet` of it for three seconds, or at the deadline."""
    while time.monotonic() < deadline:
        busy = busy_seconds()
        time.sleep(3)
        if busy_seconds() - busy <= quiet * 3 * os.cpu_count():
            return


def llama(a, depth):
    """One turn of llama.cpp: tokens per second of each phase, and how much others disturbed it."""
    base = [a.llama_bench, "-m", a.model, "-t", a.threads, "-r", 1, "-o", "json"]
    out, _, noise = call(base + ["-p", a.prompt, "-n", 0])
    prefill = json.loads(out)[0]
    out, _, noise2 = call(base + ["-p", 0, "-n", a.tokens, "-d", depth])
    return {"prefill": prefill["avg_ts"], "decode": json.loads(out)[0]["avg_ts"]}, max(noise, noise2)


def carat_bench(a, depth):
    base = [a.carat, "bench", a.model, "-p", a.prompt, "-n", a.tokens, "--threads", a.threads, "--repeat", 1, "--json"]
    out, _, noise = call(base)
    found = json.loads(out)
    rates = {p: found[p]["tokens_per_s"] for p in PHASES}
    if depth:
        out, _, noise2 = call(base + ["--depth", depth])
        rates["decode"], noise = json.loads(out)["decode"]["tokens_per_s"], max(noise, noise2)
    return rates, noise


def carat_run(a, _depth):
    draw = random.Random(1)
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump([2] + [draw.randrange(1000, 20000) for _ in range(a.prompt - 1)], file)
        file.flush()
        _, err, noise = call([a.carat, "run", a.model, "--token-ids", file.name, "--ignore-eos", "--max-tokens", a.tokens + 1, "--temperature", 0,
                              "--threads", a.threads, "--stats", "--json"])
    rates = re.search(r"prompt (\d+) tokens, ([\d.]+) tokens/s; answer (\d+) tokens, ([\d.]+) tokens/s", err)
    if not rates or int(rates[1]) != a.prompt or int(rates[3]) != a.tokens + 1:
        stop(f"carat run --stats said nothing of {a.prompt} tokens in and {a.tokens + 1} out: {err.strip()[-300:]}")
    return {"prefill": float(rates[2]), "decode": float(rates[4])}, noise


def measure(a):
    has_bench = a.only != "llama" and subprocess.run([a.carat, "bench", "--help"], capture_output=True).returncode == 0
    depth = a.depth if has_bench or a.only == "llama" else a.prompt
    turns = [("llama.cpp", llama), ("carat", carat_bench if has_bench else carat_run)]
    turns = [t for t in turns if not a.only or t[0].startswith(a.only)]
    print(f"{a.model.name}: prefill {a.prompt}, decode {a.tokens} at depth {depth}, {a.threads} threads, on {cpu_name()}", flush=True)
    with open(a.model, "rb") as file:      # into the page cache, so that the first turn is like the others
        while file.read(1 << 24):
            pass
    rounds = []
    deadline = time.monotonic() + a.patience
    calm = lambda: sum(r["noise"] <= a.quiet for r in rounds)
    while len(rounds) < a.rounds or (calm() < a.rounds and time.monotonic() < deadline):
        i = len(rounds)
        wait_for_calm(a.quiet, deadline)
        this = {"noise": 0.0}
        for name, turn in turns if i % 2 == 0 else turns[::-1]:
            this[name], noise = turn(a, depth)
            this["noise"] = max(this["noise"], noise)
        rounds.append(this)
        print(f"  round {i + 1}: " + "; ".join(f"{name} {this[name]['prefill']:.1f} / {this[name]['decode']:.2f}" for name, _ in turns)
              + f" tokens/s; others used {100 * this['noise']:.1f} % of the machine", flush=True)
    return {"model": a.model.name, "cpu": cpu_name(), "threads": a.threads, "prompt": a.prompt, "tokens": a.tokens, "depth": depth,
            "names": [name for name, _ in turns], "rounds": rounds}


def conclude(result, quiet):
    """Adds medians and paired ratios to the result and prints them."""
    calm = [r for r in result["rounds"] if r["noise"] <= quiet]
    result["valid"] = len(calm) >= ENOUGH
    used = calm if result["valid"] else result["rounds"]
    result["rounds_used"] = len(used)
    for phase in PHASES:
        entry = {name: statistics.median(r[name][phase] for r in used) for name in result["names"]}
        text = ", ".join(f"{name} {value:.2f}" for name, value in entry.items()) + " tokens/s"
        if len(result["names"]) == 2:
            ratios = sorted(r["carat"][phase] / r["llama.cpp"][phase] for r in used)
            entry["ratio"] = {"median": statistics.median(ratios), "min": ratios[0], "max": ratios[-1]}
            text += f"; carat / llama.cpp {entry['ratio']['median']:.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f})"
        result[phase] = entry
        print(f"{phase}: {text}")
    which = "the undisturbed ones" if result["valid"] else f"INVALID: only {len(calm)} of them undisturbed, {ENOUGH} are needed"
    print(f"medians over {len(used)} of {len(result['rounds'])} rounds, {which}")


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("model", type=pathlib.Path)
    ap.add_argument("-p", "--prompt", type=int, default=512)
    ap.add_argument("-n", "--tokens", type=int, default=128)
    ap.add_argument("--depth", type=int, default=0)
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--rounds", type=int, default=5)
    ap.add_argument("--quiet", type=float, default=0.03)
    ap.add_argument("--patience", type=float, default=0)
    ap.add_argument("--carat", default=str(ROOT / "build/carat"))
    ap.add_argument("--only", choices=["llama", "carat"])
    ap.add_argument("--at-least", type=float)
    ap.add_argument("--json", type=pathlib.Path)
    a = ap.parse_args()
    a.llama_bench = os.environ.get("CARAT_LLAMA_BENCH")
    if a.only != "carat" and not a.llama_bench:
        stop("CARAT_LLAMA_BENCH must name the llama-bench program to compare with")
    if a.only != "llama" and not os.access(a.carat, os.X_OK):
        stop(f"{a.carat} is not there: ./dev build makes it, --carat names another")
    if not a.model.is_file():
        stop(f"{a.model} is not a file")
    result = measure(a)
    conclude(result, a.quiet)
    if a.json:
        a.json.write_text(json.dumps(result, indent=1) + "\n")
    if not result["valid"]:
        sys.exit(3)
    if a.at_least is not None and any(result[p].get("ratio", {"median": 0})["median"] < a.at_least for p in PHASES):
        sys.exit(1)


if __name__ == "__main__":
    main()
