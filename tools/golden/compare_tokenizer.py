#!/usr/bin/env python3
"""Holds `carat tokenize` against the Hugging Face library `tokenizers`, on random strings that look for trouble.

    compare_tokenizer.py CARAT MODEL [--count 100000] [--seed 1]

MODEL: a GGUF file with the vocabulary of Gemma 4 (models/ggml-vocab-gemma-4.gguf; the reference is rebuilt from its pieces and merges), or a tokenizer.json.
Each string is encoded with special tokens parsed and as ordinary text, and the ids are decoded again. Needs: pip install tokenizers gguf.
Prints a line a comparison, and the first strings that differ; exits with 1 when any does.
"""
import argparse
import json
import random
import subprocess
import sys
import time

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers

CONTROL, USER_DEFINED = 3, 4
SPECIALS = ["<|turn>", "<turn|>", "<bos>", "<eos>", "<pad>", "<unk>", "<mask>", "<|tool>", "<tool|>", "<|tool_call>", "<tool_call|>", "<|tool_response>",
            "<tool_response|>", '<|"|>', "<|think|>", "<|channel>", "<channel|>", "<|image|>", "<|image>", "<image|>", "<|audio|>", "<|audio>", "<audio|>", "<|video|>"]
HALF_SPECIALS = ["<|turn", "turn|>", "<|", "|>", "<", ">", "<<|turn>>", "<table>", "</table>", "<h1>", "</s>", "<s>", "<unused5>", "<0x41>", "[multimodal]",
                 "<start_of_turn>", "<end_of_turn>", "<start_of_image>"]
WORDS = """the of and in to is was for that with as it on be by at from his an were are which this also have had has not but one their its new first who they
    Hello world tokenisation internationalisation http://www.example.com/?q=1&r=2 user@example.org 3.14159 2024-10-05 $1,000.00 100% #tag @name don't it's
    Straße über naïve café résumé señor Łódź İstanbul Привет мир Москва γειά σου Αθήνα שלום עולם مرحبا بالعالم नमस्ते दुनिया হ্যালো สวัสดีชาวโลก ភាសាខ្មែរ မြန်မာ
    你好世界 中华人民共和国 日本語 こんにちは 東京都 カタカナ 한국어 안녕하세요 ქართული հայերեն አማርኛ ᏣᎳᎩ 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝒜𝓁𝑔𝑒𝒷𝓇𝒶 ½ ² ① ﬁ Ⅷ ١٢٣ ৪৫""".split()
CODE = ["def f(x):\n    return x\n", "for (int i = 0; i < n; ++i) {\n\t\tsum += a[i];\n\t}\n", "#include <vector>\n", "const x = () => ({...y});\n", "SELECT * FROM t WHERE a='b';\n",
        "<div class=\"a\"> </div>\n", "{\"key\": [1, 2.5, null, true]}", "\\begin{align} \\frac{1}{2} \\end{align}", "// ---------- \r\n", "/* **** */", "x->y::z<<=1>>2!=3&&4||5", "| a | b |\n|---|---|\n"]
EMOJI = ["😀", "👨‍👩‍👧‍👦", "🏳️‍🌈", "👍🏽", "🦙", "🇩🇪🇫🇷", "❤️", "⌚️", "🧑🏿‍🚀", "\u200d", "\ufe0f", "\u20e3", "1\ufe0f\u20e3"]
COMBINING = ["e\u0301", "a\u0308\u0323", "n\u0303o", "Z\u0351\u036b\u0343a\u0321l\u0315g\u030c\u033eo", "\u0301", "\u0e33", "\u0e48\u0e32", "क्ष", "ﷺ", "각", "\u1100\u1161\u11a8"]
SPACES = [" ", "  ", "\t", "\n", "\r\n", "\r", "\u00a0", "\u2003", "\u3000", "\u200b", "\ufeff", "\u2028", "\v", "\f", "\0", "\x85", "\u2581"]
RANGES = [(0x20, 0x7e), (0xa0, 0x24f), (0x370, 0x3ff), (0x400, 0x4ff), (0x5d0, 0x5ea), (0x600, 0x6ff), (0x900, 0x97f), (0xe01, 0xe4e), (0x1780, 0x17ff), (0x3040, 0x30ff),
          (0x4e00, 0x9fff), (0xac00, 0xd7a3), (0x1f300, 0x1faff), (0x20000, 0x2a6df), (0, 0x1f), (0xe000, 0xf8ff)]


def any_character(rnd):
    c = rnd.randrange(0x110000 - 0x800)
    return chr(c if c < 0xd800 else c + 0x800)


def run_of(rnd, what):
    return what * (rnd.randint(1, 80) if rnd.random() < 0.1 else rnd.randint(1, 4))


def part(rnd, pieces):
    kind = rnd.randrange(12)
    if kind <= 2:
        return rnd.choice(["", " ", " ", " "]) + rnd.choice(WORDS)
    if kind == 3:
        return rnd.choice(SPECIALS)
    if kind == 4:
        return rnd.choice(HALF_SPECIALS)
    if kind == 5:
        code = rnd.choice(CODE)
        return code if rnd.random() < 0.5 else code[rnd.randrange(len(code)):]
    if kind == 6:
        return rnd.choice(EMOJI)
    if kind == 7:
        return rnd.choice(COMBINING)
    if kind == 8:
        return run_of(rnd, rnd.choice(SPACES))
    if kind == 9:
        low, high = rnd.choice(RANGES)
        return "".join(chr(rnd.randint(low, high)) for _ in range(rnd.randint(1, 12)))
    if kind == 10:
        return "".join(any_character(rnd) for _ in range(rnd.randint(1, 4)))
    piece = rnd.choice(pieces)                      # the vocabulary's own, whole or cut: where merges begin and end
    return piece if rnd.random() < 0.7 else piece[:rnd.randint(1, len(piece))]


def reference(path):
    """-> (tokenizer with its special tokens, the same without them, texts of ordinary pieces)"""
    if path.endswith(".json"):
        with open(path, encoding="utf-8") as file:
            described = json.load(file)
        plain = dict(described, added_tokens=[], post_processor=None)
        names = {token["content"] for token in described["added_tokens"]}
        return Tokenizer.from_str(json.dumps(described)), Tokenizer.from_str(json.dumps(plain)), [p for p in described["model"]["vocab"] if p not in names]
    import gguf
    fields = gguf.GGUFReader(path).fields
    texts, kinds = fields["tokenizer.ggml.tokens"].contents(), fields["tokenizer.ggml.token_type"].contents()
    if fields["tokenizer.ggml.model"].contents() != "gemma4":
        sys.exit("compare_tokenizer: only vocabularies with merges (tokenizer.ggml.model gemma4) can be rebuilt")
    merges = []
    for merge in fields["tokenizer.ggml.merges"].contents():
        at = merge.find(" ", 1)
        merges.append((merge[:at], merge[at + 1:]))

    def build(with_specials):
        built = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(texts)}, merges=merges, fuse_unk=True, byte_fallback=True, unk_token="<unk>"))
        built.normalizer = normalizers.Replace(" ", "▁")
        built.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
        built.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
        if with_specials:
            built.add_tokens([AddedToken(t, special=True, normalized=False) for t, kind in zip(texts, kinds) if kind in (CONTROL, USER_DEFINED)])
        return built

    return build(True), build(False), [t for t, kind in zip(texts, kinds) if kind == 1 and t]


def carat(program, model, lines, *options):
    text = "".join(json.dumps(line) + "\n" for line in lines)
    ran = subprocess.run([program, "tokenize", model, "--jsonl", *options], input=text.encode(), stdout=subprocess.PIPE, check=True)
    return [json.loads(line) for line in ran.stdout.decode().split("\n") if line]


def compare(what, given, ours, theirs):
    assert len(given) == len(ours) == len(theirs), (what, len(given), len(ours), len(theirs))
    different = [i for i in range(len(given)) if ours[i] != theirs[i]]
    print(f"{what}: {len(given) - len(different)} of {len(given)} equal", flush=True)
    for i in different[:5]:
        print(f"  {given[i]!r}\n    carat      {ours[i]!r}\n    tokenizers {theirs[i]!r}")
    return len(different)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("carat")
    options.add_argument("model")
    options.add_argument("--count", type=int, default=100_000)
    options.add_argument("--seed", type=int, default=1)
    asked = options.parse_args()

    with_specials, without, pieces = reference(asked.model)
    pieces = [piece.replace("▁", " ") for piece in pieces]
    rnd = random.Random(asked.seed)
    texts = ["".join(part(rnd, pieces) for _ in range(rnd.randint(1, 60 if rnd.random() < 0.05 else 8))) for _ in range(asked.count)]
    characters, distinct = sum(map(len, texts)), len({c for text in texts for c in text})
    print(f"{asked.model}: {len(texts)} strings, {characters} characters, {distinct} different ones, seed {asked.seed}", flush=True)

    begin = time.monotonic()
    differences = 0
    for name, built, flags in (("specials parsed", with_specials, ["--special"]), ("ordinary text", without, [])):
        ours = carat(asked.carat, asked.model, texts, "--no-bos", *flags)
        theirs = [encoding.ids for encoding in built.encode_batch(texts, add_special_tokens=False)]
        differences += compare(f"ids, {name}", texts, ours, theirs)
        decoded = carat(asked.carat, asked.model, theirs, "--decode", "--special")
        differences += compare(f"text of the ids, {name}", theirs, decoded, built.decode_batch(theirs, skip_special_tokens=False))
    print(f"{time.monotonic() - begin:.0f} s")
    sys.exit(1 if differences else 0)


if __name__ == "__main__":
    main()
