"""carat score against log-probabilities of the reference, and against itself."""
import json
import math

import safetensors
from program import SHARED, TINY_E2B, TINY_GEMMA3, ProgramTest, golden, real_model

IDS = [2, 596, 288, 386, 456, 667, 752, 347, 721, 399, 324, 516]


def log_softmax(row):
    largest = max(row)
    total = largest + math.log(sum(math.exp(x - largest) for x in row))
    return [x - total for x in row]


class Score(ProgramTest):
    def test_inputs_agree(self):
        for model in (TINY_E2B, TINY_GEMMA3):
            text = "The sun rises in the east."
            ids = self.ok_json("tokenize", model, "--text", text)
            result = self.ok_json("score", model, "--text", "-", stdin=text)
            self.assertEqual(result["token_ids"], ids)
            self.assertIsNone(result["logprobs"][0])
            self.assertTrue(all(value < 0 for value in result["logprobs"][1:]))
            expected = math.exp(-sum(result["logprobs"][1:]) / (len(ids) - 1))
            self.assertAlmostEqual(result["perplexity"] / expected, 1, places=6)
            self.assertEqual(self.ok_json("score", model, "--token-ids", "-", stdin=json.dumps(ids)), result)
            lines = [json.dumps({"text": text}), "", json.dumps({"token_ids": ids}), json.dumps({"token_ids": ids[:5], "top": 2})]
            results = [json.loads(line) for line in self.ok("score", model, "--jsonl", "-", stdin="\n".join(lines)).splitlines()]
            self.assertEqual(results[:2], [result, result])
            self.assertEqual(results[2]["logprobs"], result["logprobs"][:5], "what comes later changes nothing")
            self.assertEqual([len(entry) for entry in results[2]["top"][1:]], [2] * 4)

    def test_a_conversation_is_scored_as_its_prompt(self):
        messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi <turn|> there"}]
        ids = self.ok_json("render", TINY_E2B, "--messages", "-", "--json", stdin=json.dumps(messages))["token_ids"]
        result = self.ok_json("score", TINY_E2B, "--token-ids", "-", stdin=json.dumps(ids))
        self.assertEqual(self.ok_json("score", TINY_E2B, "--messages", "-", stdin=json.dumps(messages)), result)
        self.assertEqual(self.ok_json("score", TINY_E2B, "--messages", "-", stdin=json.dumps({"messages": messages})), result)
        lines = self.ok("score", TINY_E2B, "--jsonl", "-", stdin=(json.dumps({"messages": messages}) + "\n") * 2).splitlines()
        self.assertEqual([json.loads(line) for line in lines], [result, result])
        builtin = self.ok_json("score", TINY_E2B, "--messages", "-", "--chat-template", "builtin", stdin=json.dumps(messages))
        self.assertEqual(builtin["token_ids"], ids[:len(builtin["token_ids"])], "the small variant of the format has no empty thought")
        self.assertLess(len(builtin["token_ids"]), len(ids))
        picture = [{"role": "user", "content": [{"type": "image"}]}]
        self.assertIn("media", self.refused(1, "score", TINY_E2B, "--messages", "-", stdin=json.dumps(picture)))
        self.assertIn("messages[0].role", self.refused(1, "score", TINY_E2B, "--messages", "-", stdin="[{}]"))

    def test_top_is_the_distribution_tokens_were_drawn_from(self):
        result = self.ok_json("score", TINY_E2B, "--token-ids", "-", "--top", "768", stdin=json.dumps(IDS))
        self.assertIsNone(result["top"][0])
        self.assertEqual(len(result["top"]), len(IDS))
        for token, logprob, top in zip(IDS[1:], result["logprobs"][1:], result["top"][1:]):
            self.assertEqual(dict(map(tuple, top))[token], logprob)
            self.assertAlmostEqual(sum(math.exp(value) for _, value in top), 1, places=4)
        # What `run` draws next is the best of "next".
        answer = self.ok_json("run", TINY_E2B, "--token-ids", "-", "--temperature", "0", "-n", "1", "--json", "--ignore-eos", stdin=json.dumps(IDS))
        self.assertEqual(answer["token_ids"], [result["next"][0][0]])

    def test_threads_and_instruction_sets_change_no_bit(self):
        result = self.ok("score", TINY_GEMMA3, "--token-ids", "-", "--top", "5", stdin=json.dumps(IDS))
        for options in (("--threads", "1"), ("--threads", "3"), ("--isa", "scalar")):
            self.assertEqual(self.ok("score", TINY_GEMMA3, "--token-ids", "-", "--top", "5", *options, stdin=json.dumps(IDS)), result)

    def test_what_cannot_be_scored_is_refused(self):
        self.refused(1, "score", TINY_E2B, "--token-ids", "-", stdin="[]")
        self.refused(1, "score", TINY_E2B, "--token-ids", "-", stdin="[2, 768]")
        self.refused(1, "score", TINY_E2B, "--token-ids", "-", "--top", "769", stdin="[2, 3]")
        self.refused(1, "score", TINY_E2B, "--token-ids", "-", "--ctx", "4", stdin="[2, 3, 4, 5, 6]")
        for line in ("17", "{}", '{"text": 1}', '{"text": "a", "token_ids": [2]}', '{"text": "a", "top": -1}', '{"text": "a", "images": ["x"]}', '{"text": "a"', '{"token_ids": "a"}'):
            self.assertIn("line 1", self.refused(1, "score", TINY_E2B, "--jsonl", "-", stdin=line))

    def test_logprobs_like_the_reference(self):
        """Every case in f32, from the folder and, where there is one, from the GGUF of the same numbers."""
        golden("text")
        for path in sorted(SHARED.glob("golden/text/*/*.json")):
            model = path.parent.name
            if model == "tiny-12b-unified":
                continue
            case = json.loads(path.read_text())
            (count, vocab), logits = safetensors.read(path.with_suffix(".safetensors"))["logits"]
            tolerance = 2 * case["tolerance"]["logits_max_abs"]
            files = [golden("models", model, "hf"), SHARED / "golden/models" / model / "gguf/model-bf16.gguf"]
            for file in (file for file in files if file.exists()):
                with self.subTest(case=f"{model}/{path.stem}", file=file.name):
                    result = self.ok_json("score", file, "--token-ids", "-", "--kv", "f32", "--top", vocab, stdin=json.dumps(case["ids"]))
                    worst = 0.0
                    for row, top in enumerate([*result["top"][1:], result["next"]]):
                        expected = log_softmax(logits[row * vocab:(row + 1) * vocab])
                        worst = max(worst, max(abs(expected[token] - value) for token, value in top))
                    self.assertEqual(row, count - 1)
                    self.assertLessEqual(worst, tolerance)

    def test_real_perplexity_like_the_reference(self):
        """The first chunk of the reference's rule: positions 256..510 of 512 predicting the next token."""
        reference = json.loads(golden("real", "gemma3_270m_q4_k_m.json").read_text())
        text = golden("real", "text.txt").read_text()
        model = real_model()
        ids = self.ok_json("tokenize", model, stdin=text)[:reference["ctx"]]
        logprobs = self.ok_json("score", model, "--token-ids", "-", "--kv", "f32", stdin=json.dumps(ids))["logprobs"]
        perplexity = math.exp(-sum(logprobs[257:512]) / 255)
        expected = reference["llama_cpp"]["running_perplexity_after_chunk"][0]
        self.assertLess(abs(perplexity / expected - 1), 0.02, f"{perplexity} against {expected}")
