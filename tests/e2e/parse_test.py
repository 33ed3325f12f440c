"""carat parse: ids of answers to messages, with the vocabulary that the reference cases have."""
import json
import random
import tempfile
import unittest
from pathlib import Path

from program import TINY_E2B, ROOT, ProgramTest, real_model

VOCABULARY = ROOT / "tests/text/data/tiny_tokenizer.json"
EMPTY = {"content": "", "reasoning": "", "tool_calls": [], "complete": True}
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {
    "zip": {"type": "string"}, "n": {"type": "integer"}, "on": {"type": "boolean"}, "unit": {"type": "string", "enum": ["c", "f"]}}}}}]


class Parse(ProgramTest):
    def ids(self, text, model=TINY_E2B):
        return self.ok_json("tokenize", model, "--no-bos", "--special", "--text", text)

    def parse(self, text, *options, model=TINY_E2B):
        return self.ok_json("parse", model, "--token-ids", "-", *options, stdin=json.dumps(self.ids(text)))

    def test_answers_of_all_kinds(self):
        cases = {
            "Hello<turn|>": {**EMPTY, "content": "Hello"},
            "Hello": {**EMPTY, "content": "Hello", "complete": False},
            "<|channel>thought\nI'm\nthinking\n<channel|>\nHello<eos>": {**EMPTY, "reasoning": "I'm\nthinking", "content": "Hello"},
            "<|channel>thought\nI'm": {**EMPTY, "reasoning": "I'm", "complete": False},
            "<|channel>thought\nneed tool\n<channel|><|tool_call>call:f{a:<|\"|>}\"<|\"|>,b:[1,null]}<tool_call|><|tool_response>":
                {**EMPTY, "reasoning": "need tool", "tool_calls": [{"name": "f", "arguments": {"a": "}\"", "b": [1, None]}}]},
            "Wait.<|tool_call>call:f{}<tool_call|><|tool_call>call:g{x:-1.5e3}<tool_call|>Done.<turn|>":
                {**EMPTY, "content": "Wait.Done.", "tool_calls": [{"name": "f", "arguments": {}}, {"name": "g", "arguments": {"x": -1500.0}}]},
            "<|tool_call>call:f{a:1<turn|>": {**EMPTY, "complete": False},
            "<|tool_call>f(a=1)<tool_call|><turn|>": {**EMPTY, "content": "<|tool_call>f(a=1)<tool_call|>"},
        }
        for text, expected in cases.items():
            with self.subTest(text=text):
                self.assertEqual(self.parse(text), expected)
        out = self.ok("parse", VOCABULARY, "--jsonl", "-", stdin="\n".join(json.dumps(self.ids(text)) for text in cases) + "\n\n")
        self.assertEqual([json.loads(line) for line in out.splitlines()], list(cases.values()))

    def test_marker_text_is_text(self):
        text = "<|channel>thought\nx<channel|><|tool_call>call:f{}<tool_call|><turn|>"
        ids = self.ok_json("tokenize", TINY_E2B, "--no-bos", "--text", text)
        self.assertEqual(self.ok_json("parse", TINY_E2B, "--token-ids", "-", stdin=json.dumps(ids)), {**EMPTY, "content": text, "complete": False})

    def test_tools_type_the_arguments(self):
        call = '<|tool_call>call:f{zip:1234,n:<|"|>3<|"|>,on:True,unit:c,other:<|"|>5<|"|>}<tool_call|><turn|>'
        with tempfile.TemporaryDirectory() as folder:
            tools = Path(folder) / "tools.json"
            tools.write_text(json.dumps(TOOLS))
            arguments = self.parse(call, "--tools", tools)["tool_calls"][0]["arguments"]
            self.assertEqual(json.dumps(arguments), '{"zip": "1234", "n": 3, "on": true, "unit": "c", "other": "5"}')
            self.assertEqual(self.parse(call)["tool_calls"][0]["arguments"]["zip"], 1234)
            lines = [json.dumps({"token_ids": self.ids(call)}), json.dumps({"token_ids": self.ids(call), "tools": []})]
            out = self.ok("parse", TINY_E2B, "--jsonl", "-", "--tools", tools, stdin="\n".join(lines)).splitlines()
            self.assertEqual([json.loads(line)["tool_calls"][0]["arguments"]["n"] for line in out], [3, "3"])

    def test_the_prompt_tells_the_first_state(self):
        with tempfile.TemporaryDirectory() as folder:
            prompt = Path(folder) / "prompt.json"
            prompt.write_text(json.dumps(self.ids("<|turn>model\n<|channel>thought\n")))
            expected = {**EMPTY, "reasoning": "a", "content": "b"}
            self.assertEqual(self.parse("a\n<channel|>b<turn|>", "--prompt-ids", prompt), expected)
            self.assertEqual(self.parse("a\n<channel|>b<turn|>"), {**EMPTY, "content": "a\nb"})
        line = {"token_ids": self.ids("a\n<channel|>b<turn|>"), "prompt_ids": self.ids("<|channel>thought\n")}
        self.assertEqual(self.ok_json("parse", TINY_E2B, "--jsonl", "-", stdin=json.dumps(line)), expected)

    def test_a_vocabulary_without_markers_has_content_only(self):
        model = real_model()
        self.assertEqual(self.ok_json("parse", model, "--token-ids", "-", stdin=json.dumps(self.ids("<|channel>x<end_of_turn>", model) + [9259])),
                         {**EMPTY, "content": "<|channel>x"})

    def test_the_real_vocabulary(self):
        vocabulary = ROOT / "models/ggml-vocab-gemma-4.gguf"
        if not vocabulary.exists():
            raise unittest.SkipTest(f"{vocabulary} is not here (./dev model gets it)")
        ids = self.ids('<|channel>thought\nHm.\n<channel|><|tool_call>call:get_time{city:<|"|>São Paulo 😀<|"|>}<tool_call|><|tool_response>', vocabulary)
        self.assertEqual((ids[0], ids[-1], ids.count(52)), (100, 50, 2))
        self.assertEqual(self.ok_json("parse", vocabulary, "--token-ids", "-", stdin=json.dumps(ids)),
                         {**EMPTY, "reasoning": "Hm.", "tool_calls": [{"name": "get_time", "arguments": {"city": "São Paulo 😀"}}]})

    def test_any_ids_give_a_message(self):
        draw = random.Random(5)
        lines = [json.dumps([draw.choice([draw.randrange(20), draw.randrange(768)]) for _ in range(draw.randrange(60))]) for _ in range(2000)]
        out = self.ok("parse", TINY_E2B, "--jsonl", "-", stdin="\n".join(lines)).splitlines()
        self.assertEqual(len(out), 2000)
        for line in out:
            self.assertEqual(list(json.loads(line)), ["content", "reasoning", "tool_calls", "complete"])

    def test_what_is_no_answer_is_refused(self):
        for text in ("", "nonsense", "{}", "[1.5]", "[-1]", "[768]", '["2"]', "[" * 100_000, "[2", "[2] 3"):
            self.refused(1, "parse", TINY_E2B, "--token-ids", "-", stdin=text)
        for line in ("7", "{}", '{"token_ids":[768]}', '{"token_ids":[2],"prompt_ids":7}', '{"token_ids":[2],"tools":{"a":1}}', '{"token_ids":[2],"tool":[]}', '{"token_ids":[2],"a\\u001b":1}'):
            self.assertIn("line 1", self.refused(1, "parse", TINY_E2B, "--jsonl", "-", stdin=line))
        for options in ((), ("--token-ids", "-", "--jsonl", "-"), ("--nothing",)):
            self.refused(2, "parse", TINY_E2B, *options)
        self.refused(1, "parse", TINY_E2B, "--token-ids", "-", "--prompt-ids", "-", stdin="[2]")
        self.refused(1, "parse", TINY_E2B, "--token-ids", "/no/such/file")
        self.refused(1, "parse", TINY_E2B, "--token-ids", "-", "--tools", "/no/such/file", stdin="[2]")
        self.refused(1, "parse", "/no/such/model", "--token-ids", "-", stdin="[2]")
