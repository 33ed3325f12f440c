#!/usr/bin/env python3
"""Speed of Carat's tokenizer beside that of the Hugging Face library `tokenizers`: the same vocabulary, the same texts, one thread, the same minutes.

    bench/compare_tokenizer.py TEXT_BENCH VOCAB.gguf [--rounds 5] [--megabytes 1] [--json FILE]

TEXT_BENCH: the program of that name (-DCARAT_BENCH=ON). VOCAB.gguf: the vocabulary of Gemma 4. The reference is rebuilt from it, and loaded from the
tokenizer.json it writes of itself; Carat is loaded from the GGUF file and from that tokenizer.json. The two take turns, the order changes from round to
round, and what counts is the ratio within a round: the median of these paired ratios, with their range. Times are processor seconds of one thread.

Texts: English, code and Chinese in messages of about 2 KB, and one line of letters and digits as long as all of one of these. Ordinary text, no special tokens.
English: licences and documentation of this machine (or --english FILE...); code: sources of Carat and of Python; Chinese: pieces of the vocabulary, the common ones
more often, as no such text is on every machine (or --chinese FILE...). Both must give the same ids. Needs: pip install tokenizers gguf.
"""
import argparse
import base64
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"
from tokenizers import AddedToken, Tokenizer, __version__, decoders, models, normalizers, pre_tokenizers  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[1]
MESSAGE = 2000


def stop(text):
    sys.exit(f"compare_tokenizer: {text}")


def rebuild(path):
    """The reference with the file's vocabulary, and the vocabulary."""
    import gguf
    fields = gguf.GGUFReader(path).fields
    texts, kinds = fields["tokenizer.ggml.tokens"].contents(), fields["tokenizer.ggml.token_type"].contents()
    if fields["tokenizer.ggml.model"].contents() != "gemma4":
        stop("only vocabularies with merges (tokenizer.ggml.model gemma4) can be rebuilt")
    merges = [(m[:m.find(" ", 1)], m[m.find(" ", 1) + 1:]) for m in fields["tokenizer.ggml.merges"].contents()]
    built = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(texts)}, merges=merges, fuse_unk=True, byte_fallback=True, unk_token="<unk>"))
    built.normalizer = normalizers.Replace(" ", "▁")
    built.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    built.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    built.add_tokens([AddedToken(t, special=True, normalized=False) for t, kind in zip(texts, kinds) if kind in (3, 4)])
    return built, texts


def read(paths, size):
    text = ""
    for path in paths:
        if len(text) >= size:
            break
        text += pathlib.Path(path).read_text(encoding="utf-8", errors="ignore") + "\n"
    if not text.strip():
        stop("no text found: name files")
    while len(text) < size:
        text += text
    return text[:size]


def messages(text):
    """Cut behind a line's end, or anywhere where lines are long. No special strings: ordinary text to both."""
    text = text.replace("<|", "< |").replace("|>", "| >").replace("<bos>", "bos").replace("<eos>", "eos").replace("<pad>", "pad").replace("<unk>", "unk").replace("<mask>", "mask")
    out, at = [], 0
    while at < len(text):
        end = text.rfind("\n", at, at + MESSAGE) + 1
        end = end if end > at else at + MESSAGE
        out.append(text[at:end])
        at = end
    return out


def chinese(pieces, size):
    ordered = [p for p in pieces[494:] if p and all(0x4e00 <= ord(c) <= 0x9fff for c in p)]
    rnd, out, length = random.Random(7), [], 0
    while length < size:
        out.append(ordered[int(len(ordered) ** rnd.random()) - 1])   # by rank, harmonically
        if rnd.random() < 0.1:
            out.append(rnd.choice("，，，。、；：") + ("\n" if rnd.random() < 0.05 else ""))
        length += len(out[-1])
    return "".join(out)


def make_texts(asked, pieces):
    size = int(asked.megabytes * 1e6)
    python = pathlib.Path(sysconfig.get_path("stdlib"))
    english = asked.english or [*sorted(pathlib.Path("/usr/share/common-licenses").glob("*")), *sorted(ROOT.glob("docs/**/*.md")), *sorted(ROOT.glob("*.md"))]
    code = [*sorted(ROOT.glob("src/**/*.cpp")), *sorted(ROOT.glob("src/**/*.h")), *sorted(python.glob("*.py"))]
    line = base64.b64encode(random.Random(8).randbytes(size)).decode()[:size]
    return {"English": messages(read(english, size)), "code": messages(read(code, size)),
            "Chinese": messages(read(asked.chinese, size // 3) if asked.chinese else chinese(pieces, size // 3)), "one long line": [line]}


def reference(path, texts):
    begin = time.process_time()
    tokenizer = Tokenizer.from_file(str(path))
    result = {"load": time.process_time() - begin}
    tokenizer.encode_special_tokens = True   # special strings in a text are ordinary text
    for name, list_ in texts.items():
        best = float("inf")
        for _ in range(3):
            begin = time.thread_time()
            all_ = [tokenizer.encode(text, add_special_tokens=False) for text in list_]
            best = min(best, time.thread_time() - begin)
        ids = [encoding.ids for encoding in all_]
        result[name] = {"seconds": best, "tokens": sum(map(len, ids)), "sum": sum(map(sum, ids))}
    return result


def carat(program, model, files):
    out = json.loads(subprocess.run([program, str(model), *map(str, files.values())], stdout=subprocess.PIPE, check=True).stdout)
    result = {"load": out["load_seconds"]}
    for name, measured in zip(files, out["files"]):
        result[name] = measured
    return result


def cpu_name():
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    value = lambda key: next((line.split(":", 1)[1].strip() for line in lines if line.startswith(key)), "?")
    return f"{value('model name')} (family {value('cpu family')} model {value('model')}), {os.cpu_count()} processors"


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("program")
    options.add_argument("vocab")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--megabytes", type=float, default=1)
    options.add_argument("--english", nargs="+", default=[])
    options.add_argument("--chinese", nargs="+", default=[])
    options.add_argument("--json")
    asked = options.parse_args()

    built, pieces = rebuild(asked.vocab)
    texts = make_texts(asked, pieces)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        tokenizer_json = folder / "tokenizer.json"
        built.save(str(tokenizer_json), pretty=False)
        del built
        files = {}
        for name, list_ in texts.items():
            files[name] = folder / f"{name.replace(' ', '_')}.jsonl"
            files[name].write_text("".join(json.dumps(text) + "\n" for text in list_))
        rounds = []
        for i in range(asked.rounds):
            turns = [lambda: ("carat", carat(asked.program, asked.vocab, files)), lambda: ("carat_json", carat(asked.program, tokenizer_json, {})),
                     lambda: ("tokenizers", reference(tokenizer_json, texts))]
            rounds.append(dict(turn() for turn in (turns if i % 2 == 0 else reversed(turns))))
            print(f"round {i + 1} of {asked.rounds}", file=sys.stderr, flush=True)

    print(f"{cpu_name()}; tokenizers {__version__}; one thread, processor seconds, {asked.rounds} paired rounds")
    report = []

    def line(name, ours, theirs, unit):
        ratios = [theirs(r) / ours(r) for r in rounds]
        row = {"name": name, "unit": unit, "carat": statistics.median(map(ours, rounds)), "tokenizers": statistics.median(map(theirs, rounds)),
               "ratio": statistics.median(ratios), "lowest": min(ratios), "highest": max(ratios)}
        report.append(row)
        print(f"{name:24} carat {row['carat']:8.3f} {unit}   tokenizers {row['tokenizers']:8.3f} {unit}   carat is {row['ratio']:.2f} times as fast ({row['lowest']:.2f} to {row['highest']:.2f})")

    line("load GGUF / json", lambda r: r["carat"]["load"], lambda r: r["tokenizers"]["load"], "s")
    line("load json / json", lambda r: r["carat_json"]["load"], lambda r: r["tokenizers"]["load"], "s")
    different = []
    for name, list_ in texts.items():
        size = sum(len(text.encode()) for text in list_)
        line(f"{name} (s for {size / 1e6:.2f} MB)", lambda r: r["carat"][name]["seconds"], lambda r: r["tokenizers"][name]["seconds"], "s")
        fast, slow = size / report[-1]["carat"] / 1e6, size / report[-1]["tokenizers"] / 1e6
        report[-1] |= {"bytes": size, "carat_MB_per_s": fast, "tokenizers_MB_per_s": slow}
        print(f"{'':24} carat {fast:8.2f} MB/s tokenizers {slow:8.2f} MB/s, {rounds[0]['carat'][name]['tokens']} tokens in {len(list_)} texts")
        same = lambda r: all(r["carat"][name][key] == r["tokenizers"][name][key] for key in ("tokens", "sum"))
        different += [name] if not all(map(same, rounds)) else []
    if asked.json:
        pathlib.Path(asked.json).write_text(json.dumps({"cpu": cpu_name(), "rows": report}, indent=1) + "\n")
    if different:
        stop(f"the ids differ: {', '.join(different)}")


if __name__ == "__main__":
    main()
