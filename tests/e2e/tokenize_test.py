"""carat tokenize against ids that other tokenizers gave."""
import json
import unittest

from program import TINY_E2B, ProgramTest, ROOT, golden


class Tokenize(ProgramTest):
    def lines(self, model, texts, *options):
        out = self.ok("tokenize", model, "--jsonl", "-", *options, stdin="".join(json.dumps(text) + "\n" for text in texts))
        return [json.loads(line) for line in out.splitlines()]

    def test_text_from_everywhere_gives_the_same_ids(self):
        text = "The sun rises.\n"
        ids = self.ok_json("tokenize", TINY_E2B, stdin=text)
        self.assertEqual(ids[0], 2)
        self.assertEqual(self.ok_json("tokenize", TINY_E2B, "--text", text), ids)
        self.assertEqual(self.ok_json("tokenize", TINY_E2B, "-", stdin=text), ids)
        self.assertEqual(self.ok_json("tokenize", TINY_E2B, "--no-bos", "--text", text), ids[1:])
        self.assertEqual(self.lines(TINY_E2B, [text]), [ids])
        self.assertEqual(self.ok_json("tokenize", TINY_E2B, "--text", text, "--json")["token_ids"], ids)
        self.assertEqual(self.ok("tokenize", TINY_E2B, "--decode", stdin=json.dumps(ids)).decode(), text)
        self.assertEqual(self.ok_json("tokenize", TINY_E2B, "--decode", "--json", stdin=json.dumps(ids)), {"text": text})
        self.assertEqual(self.ok("tokenize", TINY_E2B, "--decode", "--jsonl", stdin=json.dumps(ids) + "\n\n").decode(), json.dumps(text) + "\n")

    def test_special_tokens_are_text_unless_asked_for(self):
        plain = self.ok_json("tokenize", TINY_E2B, "--no-bos", "--text", "<bos>")
        self.assertNotIn(2, plain)
        self.assertEqual(self.ok_json("tokenize", TINY_E2B, "--no-bos", "--special", "--text", "<bos>"), [2])
        self.assertEqual(self.ok("tokenize", TINY_E2B, "--decode", "--text", "[2]"), b"")
        self.assertEqual(self.ok("tokenize", TINY_E2B, "--decode", "--special", "--text", "[2]"), b"<bos>")

    def test_any_bytes_come_back(self):
        for data in (b"", b"\x00", b"\xff\xfe", b"\xc3", b"\xed\xa0\x80", "é😀\u00a0".encode(), b"a\r\nb\t\tc"):
            ids = self.ok_json("tokenize", TINY_E2B, "--no-bos", stdin=data)
            back = self.ok("tokenize", TINY_E2B, "--decode", stdin=json.dumps(ids))
            try:
                self.assertEqual(back.decode(), data.decode())
            except UnicodeDecodeError:
                self.assertIn("\ufffd", back.decode())

    def test_what_is_no_list_of_ids_is_refused(self):
        for text in ("", "nonsense", "{}", "[1.5]", "[-1]", "[768]", "[99999999999999999999]", '["2"]', "[[2]]", "[" * 100_000, "[2", "[2] 3"):
            self.refused(1, "tokenize", TINY_E2B, "--decode", stdin=text)
        self.assertIn("line 2", self.refused(1, "tokenize", TINY_E2B, "--jsonl", stdin="\n17\n"))

    def test_tiny_vocabulary_like_the_reference(self):
        cases = json.loads(golden("tokenizer", "tiny_vocab.json").read_text())["cases"]
        self.assertEqual(self.lines(TINY_E2B, [case["text"] for case in cases], "--no-bos", "--special"), [case["ids"] for case in cases])

    def test_real_vocabulary_like_the_reference(self):
        vocabulary = ROOT / "models/ggml-vocab-gemma-4.gguf"
        if not vocabulary.exists():
            raise unittest.SkipTest(f"{vocabulary} is not here (./dev model gets it)")
        cases = json.loads(golden("tokenizer", "gemma4_real_vocab.json").read_text())["cases"]
        texts = [case["text"] for case in cases]
        self.assertEqual(self.lines(vocabulary, texts, "--no-bos", "--special"), [case["ids"] for case in cases])
        plain = [case for case in cases if "ids_plain" in case]
        self.assertGreater(len(plain), 20)
        self.assertEqual(self.lines(vocabulary, [case["text"] for case in plain], "--no-bos"), [case["ids_plain"] for case in plain])
