#!/usr/bin/env python3
"""Speed, start and memory of Carat beside those of llama.cpp: the same file, the same threads, the same minutes.

    ./dev bench compare [MODEL.gguf] [--lines prefill,decode,depth,parallel,start,memory] [-p 512] [-n 128] [--depth 16384] [--parallel 8] [--rounds 5] [--json FILE]

Absolute figures of two days or two machines say nothing about two programs. Here the programs take turns (the order changes from round to round), and what
counts is the ratio within a round: the median of these paired ratios, with their range. A ratio above 1 is in Carat's favour, in every line.

  prefill   -p tokens in one go into an empty cache, tokens/s
  decode    -n tokens one by one from an empty cache, tokens/s
  depth     both again behind --depth tokens; and what of decode's speed is left there
  parallel  -n tokens of --parallel sequences decoding together, all their tokens/s
  start     seconds from starting the process to its first token for a short prompt, the file in the page cache
  memory    peak resident memory (VmHWM) of the process that does prefill and decode

Both programs run with their defaults otherwise (f16 KV cache; llama.cpp with its repacked weights and its choice of flash attention), warmed up, load time not
counted except in `start`. Carat is asked by `carat bench`, whose shares of what the machine allows are shown too; llama.cpp by llama-bench, llama-batched-bench
(prompts of one token) and llama-completion. They are built from the sources in the Python registry, once (peer.py); CARAT_LLAMA_BENCH names a llama-bench, with the
others beside it, to take instead; CARAT_LLAMA_SOURCES names the archive of the sources if it is here already.

A round is disturbed when other processes used more than --quiet (default 0.03) of the machine's processors during it. On a busy machine the ratio means nothing:
llama.cpp's threads spin at barriers and lose far more than their share. So only undisturbed rounds count, at least three; with fewer the figures are shown,
called invalid, and the exit status is 3. --patience S waits up to S seconds in all for calm before rounds and repeats disturbed ones.
--only llama or --only carat measures one program; --at-least R gives exit status 1 when a median ratio is below R.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import peer

ENOUGH = 3   # undisturbed rounds that make a verdict
ROOT = pathlib.Path(__file__).resolve().parents[1]
LINES = ("prefill", "decode", "depth", "parallel", "start", "memory")
PROMPT = "The capital of France is"
LESS_IS_BETTER = ("start", "memory")


def stop(text):
    sys.exit(f"compare: {text}")


def cpu_name():
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    value = lambda key: next((line.split(":", 1)[1].strip() for line in lines if line.startswith(key)), "?")
    flags = set(value("flags").split())
    wide = [f for f in ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8") if f in flags]
    return f"{value('model name')} (family {value('cpu family')} model {value('model')}; {' '.join(wide)}), {os.cpu_count()} processors"


# --- running programs, and who else runs meanwhile ------------------------------------------------------------------------

TICK = 1 / os.sysconf("SC_CLK_TCK")


def busy_seconds():
    """Processor seconds used on this machine since it started, by whomever, the hypervisor's stealing included."""
    user, nice, system, _, _, irq, softirq, steal = map(int, pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9])
    return (user + nice + system + irq + softirq + steal) * TICK


class Outcome:
    """A program run to its end: what it wrote, its peak memory, the seconds to its first byte, and the share of the machine that others used meanwhile."""

    def __init__(self, command):
        command = [str(c) for c in command]
        busy, start = busy_seconds(), time.monotonic()
        with tempfile.TemporaryFile() as errors:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors)
            first = os.read(process.stdout.fileno(), 1)
            self.first_byte = time.monotonic() - start
            self.out = (first + process.stdout.read()).decode(errors="replace")
            process.stdout.close()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            # Ticks of the processors' own clocks are left to chance: a short run is not disturbed by one of them.
            others = busy_seconds() - busy - usage.ru_utime - usage.ru_stime - TICK * os.cpu_count()
            self.noise = max(0.0, others / ((time.monotonic() - start) * os.cpu_count()))
            self.peak = usage.ru_maxrss * 1024
            if process.returncode != 0:
                errors.seek(0)
                stop(f"{' '.join(command)}: exit status {process.returncode}: {errors.read().decode(errors='replace').strip()[-500:]}")


def wait_for_calm(quiet, deadline):
    """Returns once the machine was idle but for `quiet` of it for three seconds, or at the deadline."""
    while time.monotonic() < deadline:
        busy = busy_seconds()
        time.sleep(3)
        if busy_seconds() - busy <= quiet * 3 * os.cpu_count():
            return


# --- what the programs are asked. Each function gives the figures of one turn, by line, and the noise ----------------------

def llama_bench(a, depth):
    done = Outcome([a.programs / "llama-bench", "-m", a.model, "-t", a.threads, "-r", 1, "-o", "json", "-p", a.prompt, "-n", a.tokens, "-d", depth])
    rates = {"prefill" if test["n_gen"] == 0 else "decode": test["avg_ts"] for test in json.loads(done.out)}
    return {**rates, "memory": done.peak}, done.noise


def llama_plain(a):
    return llama_bench(a, 0)


def llama_depth(a):
    figures, noise = llama_bench(a, a.depth)
    return {"prefill at depth": figures["prefill"], "decode at depth": figures["decode"]}, noise


def llama_parallel(a):
    done = Outcome([a.programs / "llama-batched-bench", "-m", a.model, "-t", a.threads, "-c", a.parallel * (a.tokens + 8), "-npp", 1, "-ntg", a.tokens, "-npl", a.parallel,
                    "--output-format", "jsonl"])
    (row,) = [json.loads(line) for line in done.out.splitlines() if line.startswith("{")]
    return {"parallel": row["speed_tg"]}, done.noise


def llama_start(a):
    done = Outcome([a.programs / "llama-completion", "-m", a.model, "-t", a.threads, "-c", 4096, "-n", 1, "--temp", 0, "-no-cnv", "--no-warmup", "--no-display-prompt", "-p", PROMPT])
    return {"start": done.first_byte}, done.noise


def carat_bench(a, *options, prompt=None):
    done = Outcome([a.carat, "bench", a.model, "-p", a.prompt if prompt is None else prompt, "-n", a.tokens, "--threads", a.threads, "--repeat", 1, "--json", *options])
    return json.loads(done.out), done.noise


def carat_plain(a):
    found, noise = carat_bench(a)
    return {"prefill": found["prefill"]["tokens_per_s"], "decode": found["decode"]["tokens_per_s"], "memory": found["peak_rss_bytes"],
            "shares": {"prefill": found["prefill"]["flops_share"], "decode": found["decode"]["bandwidth_share"]}}, noise


def carat_depth(a):
    found, noise = carat_bench(a, "--depth", a.depth)
    return {"prefill at depth": found["prefill"]["tokens_per_s"], "decode at depth": found["decode"]["tokens_per_s"],
            "shares": {"prefill at depth": found["prefill"]["flops_share"], "decode at depth": found["decode"]["bandwidth_share"]}}, noise


def carat_parallel(a):
    found, noise = carat_bench(a, "--parallel", a.parallel, prompt=0)
    return {"parallel": found["decode"]["tokens_per_s"], "shares": {"parallel": found["decode"]["bandwidth_share"]}}, noise


def carat_start(a):
    done = Outcome([a.carat, "run", a.model, "--raw", "--threads", a.threads, "--ctx", 4096, "-n", 1, "--temperature", 0, PROMPT])
    return {"start": done.first_byte}, done.noise


# One turn may serve several lines.
JOBS = {"plain": (llama_plain, carat_plain), "depth": (llama_depth, carat_depth), "parallel": (llama_parallel, carat_parallel), "start": (llama_start, carat_start)}
JOB_OF = {"prefill": "plain", "decode": "plain", "memory": "plain", "depth": "depth", "parallel": "parallel", "start": "start"}
FIGURES = {"prefill": ["prefill"], "decode": ["decode"], "depth": ["prefill at depth", "decode at depth"], "parallel": ["parallel"], "start": ["start"], "memory": ["memory"]}


# --- rounds -----------------------------------------------------------------------------------------------------------------

def show(figures):
    return " / ".join(f"{value / 2**20:.0f} MiB" if name == "memory" else f"{value:.3f} s" if name == "start" else f"{value:.2f}"
                      for name, value in figures.items() if name != "shares")


def measure(a):
    jobs = list(dict.fromkeys(JOB_OF[line] for line in a.lines))
    names = [name for name in ("llama.cpp", "carat") if not a.only or name.startswith(a.only)]
    print(f"{a.model.name}: prefill {a.prompt}, decode {a.tokens}, depth {a.depth}, {a.parallel} sequences, {a.threads} threads, on {cpu_name()}", flush=True)
    with open(a.model, "rb") as file:      # into the page cache, so that the first turn is like the others
        while file.read(1 << 24):
            pass
    rounds = {job: [] for job in jobs}
    deadline = time.monotonic() + a.patience
    calm = lambda job: sum(r["noise"] <= a.quiet for r in rounds[job])
    wanting = lambda: [job for job in jobs if len(rounds[job]) < a.rounds or (calm(job) < a.rounds and time.monotonic() < deadline)]
    while now := wanting():
        for job in now:
            i = len(rounds[job])
            wait_for_calm(a.quiet, deadline)
            this = {"noise": 0.0}
            for name in names if i % 2 == 0 else names[::-1]:
                this[name], noise = JOBS[job][name == "carat"](a)
                this["noise"] = max(this["noise"], noise)
            rounds[job].append(this)
            print(f"  {job} {i + 1}: " + "; ".join(f"{name} {show(this[name])}" for name in names) + f"; others used {100 * this['noise']:.1f} % of the machine", flush=True)
    return {"model": a.model.name, "cpu": cpu_name(), "threads": a.threads, "prompt": a.prompt, "tokens": a.tokens, "depth": a.depth, "parallel": a.parallel,
            "peer": a.peer, "names": names, "rounds": rounds}


def conclude(result, lines, quiet):
    """Adds a row a figure to the result: medians, and paired ratios above 1 where Carat is better."""
    names, result["rows"] = result["names"], []
    for line in lines:
        rounds = result["rounds"][JOB_OF[line]]
        calm = [r for r in rounds if r["noise"] <= quiet]
        valid = len(calm) >= ENOUGH
        used = calm if valid else rounds
        for figure in FIGURES[line]:
            row = {"figure": figure, "valid": valid, "undisturbed": len(calm), "rounds": len(used), "of": len(rounds), "unit": {"start": "s", "memory": "bytes"}.get(figure, "tokens/s")}
            row |= {name: statistics.median(r[name][figure] for r in used) for name in names}
            if len(names) == 2:
                ratios = sorted((r["carat"][figure] / r["llama.cpp"][figure]) ** (-1 if figure in LESS_IS_BETTER else 1) for r in used)
                row["ratio"] = {"median": statistics.median(ratios), "min": ratios[0], "max": ratios[-1]}
            if "carat" in names and figure in used[0]["carat"].get("shares", {}):
                row["share"] = statistics.median(r["carat"]["shares"][figure] for r in used)
            result["rows"].append(row)
    rows = {row["figure"]: row for row in result["rows"]}
    if "decode" in rows and "decode at depth" in rows:
        result["decode_kept_at_depth"] = {name: rows["decode at depth"][name] / rows["decode"][name] for name in names}
    result["valid"] = all(row["valid"] for row in result["rows"])


def markdown(result):
    names, lines = result["names"], []
    labels = {"prefill": f"prefill of {result['prompt']}", "decode": f"decode of {result['tokens']}", "prefill at depth": f"prefill behind {result['depth']}",
              "decode at depth": f"decode behind {result['depth']}", "parallel": f"decode, {result['parallel']} sequences", "start": "start to first token", "memory": "peak memory"}
    lines.append(f"{result['model']}, {result['threads']} threads, {result['cpu']}; llama.cpp: {result['peer']}\n")
    lines.append("| | " + " | ".join(names) + " | ratio, carat's favour | share of the machine | rounds |\n|---|" + "---|" * len(names) + "---|---|---|")
    for row in result["rows"]:
        value = lambda x: f"{x / 2**20:.0f} MiB" if row["unit"] == "bytes" else f"{x:.3f} s" if row["unit"] == "s" else f"{x:.1f} tokens/s"
        ratio = "{median:.3f} ({min:.3f} to {max:.3f})".format(**row["ratio"]) if "ratio" in row else ""
        share = f"{100 * row['share']:.0f} %" if "share" in row else ""
        rounds = f"{row['rounds']} of {row['of']}" + ("" if row["valid"] else f", INVALID: {row['undisturbed']} undisturbed")
        lines.append("| " + " | ".join([labels[row["figure"]], *(value(row[name]) for name in names), ratio, share, rounds]) + " |")
    for name, kept in result.get("decode_kept_at_depth", {}).items():
        lines.append(f"\n{name} keeps {100 * kept:.0f} % of its decode speed behind {result['depth']}.")
    return "\n".join(lines)


def arguments():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("model", type=pathlib.Path, nargs="?", default=ROOT / "models/gemma-3-270m-q4_k_m.gguf")
    ap.add_argument("--lines", default=",".join(LINES))
    for names, value in ((("-p", "--prompt"), 512), (("-n", "--tokens"), 128), (("--depth",), 16384), (("--parallel",), 8), (("--threads",), 2), (("--rounds",), 5)):
        ap.add_argument(*names, type=int, default=value)
    ap.add_argument("--quiet", type=float, default=0.03)
    ap.add_argument("--patience", type=float, default=0)
    ap.add_argument("--carat", default=str(ROOT / "build/carat"))
    ap.add_argument("--only", choices=["llama", "carat"])
    ap.add_argument("--at-least", type=float)
    ap.add_argument("--json", type=pathlib.Path)
    a = ap.parse_args()
    a.lines = a.lines.split(",")
    for line in a.lines:
        if line not in LINES:
            stop(f"--lines: there is no {line!r}; there are {', '.join(LINES)}")
    if min(a.prompt, a.tokens, a.depth, a.parallel, a.threads, a.rounds) < 1:
        stop("-p, -n, --depth, --parallel, --threads and --rounds are at least 1")
    if a.only != "llama" and not os.access(a.carat, os.X_OK):
        stop(f"{a.carat} is not there: ./dev build makes it, --carat names another")
    if not a.model.is_file():
        stop(f"{a.model} is not a file")
    return a


def find_peer(a):
    given = os.environ.get("CARAT_LLAMA_BENCH")
    a.peer, a.programs = (given, pathlib.Path(given).parent) if given else (f"{peer.PACKAGE}, native build", None)
    if a.only == "carat":
        return
    if not given:
        try:
            a.programs = peer.build()
        except (subprocess.CalledProcessError, OSError) as error:
            stop(f"llama.cpp could not be built: {error}; see {peer.FOLDER}/{peer.VERSION}/build.log, or let CARAT_LLAMA_BENCH name a llama-bench")
    needs = {"plain": "llama-bench", "depth": "llama-bench", "parallel": "llama-batched-bench", "start": "llama-completion"}
    for line in a.lines:
        if not os.access(a.programs / needs[JOB_OF[line]], os.X_OK):
            stop(f"{a.programs / needs[JOB_OF[line]]} is not there, the line {line} needs it")


def main():
    a = arguments()
    find_peer(a)
    result = measure(a)
    conclude(result, a.lines, a.quiet)
    print("\n" + markdown(result))
    if a.json:
        a.json.write_text(json.dumps(result, indent=1) + "\n")
    if not result["valid"]:
        sys.exit(3)
    if a.at_least is not None and any(row.get("ratio", {"median": a.at_least})["median"] < a.at_least for row in result["rows"]):
        sys.exit(1)


if __name__ == "__main__":
    main()
