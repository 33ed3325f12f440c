"""carat inspect: what it says about files that we know."""
import tempfile
from pathlib import Path

from program import TINY_E2B, TINY_GEMMA3, ProgramTest, foreign_templates, golden, real_model


class Inspect(ProgramTest):
    def test_tiny_models(self):
        for model, layers, sliding, window in ((TINY_E2B, 10, 8, 8), (TINY_GEMMA3, 6, 5, 8)):
            report = self.ok_json("inspect", model, "--json")
            self.assertEqual(report["kind"], "gguf")
            self.assertEqual(report["file_bytes"], model.stat().st_size)
            config = report["config"]
            self.assertEqual((config["num_hidden_layers"], config["sliding_layers"], config["sliding_window"]), (layers, sliding, window))
            self.assertEqual(config["vocab_size"], 768)
            self.assertEqual(report["problems"], [])
            tokens = report["metadata"]["tokenizer.ggml.tokens"]
            self.assertEqual((tokens["type"], tokens["length"], tokens["first"][:3]), ("string", 768, ["<pad>", "<eos>", "<bos>"]))
            totals = report["totals"]
            self.assertEqual(totals["tensors"], len(report["tensors"]))
            self.assertEqual(totals["bytes"], sum(tensor["bytes"] for tensor in report["tensors"]))
            self.assertEqual(totals["bytes"], sum(of_type["bytes"] for of_type in totals["by_type"].values()))
            embedding = next(tensor for tensor in report["tensors"] if tensor["name"] == "token_embd.weight")
            self.assertEqual(embedding["shape"], [768, config["hidden_size"]])

    def test_chat_template(self):
        template = self.ok_json("inspect", TINY_E2B, "--json")["chat_template"]
        self.assertEqual((template["format"], template["differences"]), ("gemma4 (spring, large)", []))
        self.assertIn("Chat template: 16.1 KiB, gemma4 (spring, large)", self.ok("inspect", TINY_E2B).decode())

    def test_a_chat_template_that_is_not_known(self):
        foreign_templates()
        data = TINY_E2B.read_bytes()
        with tempfile.TemporaryDirectory() as folder:
            changed = Path(folder, "changed.gguf")
            changed.write_bytes(data.replace(b"{{- '<|turn>model\\n' -}}", b"{{- '<|turn>model:\n' -}}"))
            template = self.ok_json("inspect", changed, "--json")["chat_template"]
            self.assertIsNone(template["format"])
            self.assertIn("nearest is gemma4 (spring, large)", template["differences"][0])
            text = self.ok("inspect", changed).decode()
            self.assertIn("none that Carat knows\n  nearest is gemma4 (spring, large)", text)
            self.assertIn("one question: at byte", text)

    def test_text_for_people(self):
        text = self.ok("inspect", TINY_E2B).decode()
        for part in ("Config", "Metadata", "Tensors", "Totals", "Problems\n  none found", "token_embd.weight", "768 x 64"):
            self.assertIn(part, text)

    def test_folder_of_safetensors(self):
        report = self.ok_json("inspect", golden("models", "tiny-e2b", "hf"), "--json")
        self.assertEqual(report["kind"], "hf_folder")
        self.assertEqual(report["config"]["num_hidden_layers"], 10)

    def test_towers_are_no_model_and_the_report_says_so(self):
        report = self.ok_json("inspect", golden("models", "tiny-e2b", "gguf", "mmproj-bf16.gguf"), "--json")
        self.assertIsNone(report["config"])
        self.assertTrue(report["problems"])

    def test_real_model(self):
        report = self.ok_json("inspect", real_model(), "--json")
        self.assertEqual((report["config"]["num_hidden_layers"], report["config"]["hidden_size"], report["config"]["vocab_size"]), (18, 640, 262144))
        self.assertEqual(report["problems"], [])
