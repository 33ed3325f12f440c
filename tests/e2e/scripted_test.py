"""carat run with a model that thinks, calls tools and repeats itself: what a model with random weights never does."""
import json
import tempfile
from pathlib import Path

from program import ProgramTest, carat
from scripted_model import AFTER_RESULT, ANSWER, THINKING, Script

GREEDY = ("--temperature", "0", "--ctx", "2048")
CALL = '<|tool_call>call:weather{city:"Rome",days:3,exact:true}<tool_call|><|tool_response>'
ARGUMENTS = {"city": "Rome", "days": 3, "exact": True}
TOOLS = [{"type": "function", "function": {"name": "weather", "description": "The weather.", "parameters": {"type": "object", "properties": {
    "city": {"type": "string"}, "days": {"type": "integer"}, "exact": {"type": "boolean"}}}}}]
THOUGHT = "The user wants to know, and so the forecast has to be asked."


class Scripted(ProgramTest):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.tools = self.folder / "tools.json"
        self.tools.write_text(json.dumps(TOOLS))

    def model(self, *lines, again=False):
        """lines: pairs of the token before and the text behind it."""
        script = Script()
        self.spoken = [script.say(after, text, again) for after, text in lines]
        return script.write(self.folder / "model")

    def answer(self, model, *options):
        return self.ok_json("run", model, "x", *GREEDY, "--json", *options)


class Calls(Scripted):
    def setUp(self):
        super().setUp()
        self.scripted = self.model((THINKING, f"<|channel>thought\n{THOUGHT}\n<channel|>"), (ANSWER, "Let me look." + CALL), (AFTER_RESULT, "It is warm.<turn|>"))

    def test_json_has_content_thought_and_typed_arguments(self):
        for think in ((), ("--think",)):
            answer = self.answer(self.scripted, "--tools", self.tools, *think)
            call = {"id": "call_0", "name": "weather", "arguments": ARGUMENTS}
            self.assertEqual(answer["message"], {"content": "Let me look.", "reasoning": THOUGHT if think else None, "tool_calls": [call]})
            self.assertEqual(answer["finish_reason"], "tool_calls")
            self.assertEqual(answer["token_ids"], (self.spoken[0] if think else []) + self.spoken[1])

    def test_the_script_holds_at_usual_temperatures_too(self):
        options = ("run", self.scripted, "x", "--json", "--tools", self.tools, "--think")
        self.assertEqual(self.ok_json(*options)["token_ids"], self.ok_json(*options, "--temperature", "0")["token_ids"])

    def test_parse_gives_the_same_message(self):
        for think in ((), ("--think",)):
            answer = self.answer(self.scripted, "--tools", self.tools, *think)
            parsed = self.ok_json("parse", self.scripted, "--token-ids", "-", "--tools", self.tools, stdin=json.dumps(answer["token_ids"]))
            calls = [{"name": call["name"], "arguments": call["arguments"]} for call in answer["message"]["tool_calls"]]
            expected = {"content": answer["message"]["content"], "reasoning": answer["message"]["reasoning"] or "", "tool_calls": calls, "complete": True}
            self.assertEqual(parsed, expected)

    def test_stdout_gets_content_and_a_line_a_call(self):
        for options in ((), ("--think",), ("--think", "--show-thinking")):
            result = carat("run", self.scripted, "x", *GREEDY, "--tools", self.tools, *options)
            content, call, end = result.stdout.decode().split("\n")
            self.assertEqual((content, json.loads(call), end), ("Let me look.", {"name": "weather", "arguments": ARGUMENTS}, ""))
            self.assertEqual((result.returncode, result.stderr), (0, b""), "thoughts are shown on a terminal only")

    def test_a_call_that_is_cut_off_is_none(self):
        answer = self.answer(self.scripted, "--tools", self.tools, "-n", "6")
        self.assertEqual((answer["finish_reason"], answer["message"]["tool_calls"]), ("length", []))
        self.assertEqual(answer["message"]["content"], "Let me look.")

    def test_the_answer_behind_a_result(self):
        call = {"id": "c", "type": "function", "function": {"name": "weather", "arguments": json.dumps(ARGUMENTS)}}
        messages = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "", "tool_calls": [call]},
                    {"role": "tool", "tool_call_id": "c", "content": "20 degrees"}]
        ids = self.ok_json("render", self.scripted, "--messages", "-", "--tools", self.tools, "--json", stdin=json.dumps(messages))["token_ids"]
        answer = self.ok_json("run", self.scripted, "--token-ids", "-", *GREEDY, "--json", stdin=json.dumps(ids))
        self.assertEqual((answer["message"]["content"], answer["finish_reason"]), ("It is warm.", "stop"))


class Thoughts(Scripted):
    def setUp(self):
        super().setUp()
        self.scripted = self.model((THINKING, f"<|channel>thought\n{THOUGHT}\n<channel|>"), (ANSWER, "It is warm.<turn|>"))

    def test_a_budget_closes_the_thought_and_the_answer_goes_on(self):
        close = self.spoken[0][-1]
        whole = self.answer(self.scripted, "--think")
        self.assertEqual((whole["message"]["reasoning"], whole["message"]["content"]), (THOUGHT, "It is warm."))
        lengths = []
        for budget in (1, 3, 5):
            answer = self.answer(self.scripted, f"--think={budget}")
            at = answer["token_ids"].index(close)
            self.assertEqual(answer["token_ids"], self.spoken[0][:at] + [close] + self.spoken[1])
            self.assertTrue(THOUGHT.startswith(answer["message"]["reasoning"] or ""))
            self.assertEqual((answer["message"]["content"], answer["finish_reason"]), ("It is warm.", "stop"))
            lengths.append(at)
        self.assertEqual((lengths[1] - lengths[0], lengths[2] - lengths[1]), (2, 2))
        self.assertEqual(self.answer(self.scripted, "--think=1000")["token_ids"], whole["token_ids"])
        self.assertEqual(self.answer(self.scripted, "--think=0")["message"]["content"], "It is warm.")

    def test_a_stop_text_ends_content_and_no_thought(self):
        for stop, content in (("is", "It "), ("warm.", "It is "), ("forecast", "It is warm."), ("t is w", "I")):
            answer = self.answer(self.scripted, "--think", "--stop", stop)
            self.assertEqual((answer["message"]["content"], answer["message"]["reasoning"], answer["finish_reason"]), (content, THOUGHT, "stop"), stop)


class Repetition(Scripted):
    def test_an_answer_that_repeats_itself_is_ended_and_said_so(self):
        model = self.model((ANSWER, "on and off and "), again=True)
        result = carat("run", model, "x", *GREEDY, "--json")
        answer = json.loads(result.stdout)
        self.assertEqual((result.returncode, answer["finish_reason"]), (0, "repetition"))
        self.assertIn(b"repeat itself", result.stderr)
        self.assertTrue(("on and off and " * 1000).startswith(answer["message"]["content"]))
        shown = carat("run", model, "x", *GREEDY)
        self.assertEqual((shown.returncode, shown.stdout.decode().strip()), (0, answer["message"]["content"].strip()))
        self.assertIn(b"repeat itself", shown.stderr)
        count = len(answer["token_ids"]) + 50
        longer = self.answer(model, "-n", count)
        self.assertEqual((len(longer["token_ids"]), longer["finish_reason"]), (count, "length"))

    def test_a_thought_that_repeats_itself_is_ended_too(self):
        script = Script()
        first = script.say(THINKING, "<|channel>thought\nFirst ")
        script.say(first[-1], "on and off and ", again=True)
        answer = self.answer(script.write(self.folder / "model"), "--think")
        self.assertEqual((answer["finish_reason"], answer["message"]["content"]), ("repetition", ""))
        self.assertTrue(answer["message"]["reasoning"].startswith("First on and off and on"))

    def test_calls_without_end_are_ended(self):
        answer = self.answer(self.model((ANSWER, CALL.removesuffix("<|tool_response>")), again=True), "--tools", self.tools)
        self.assertEqual(answer["finish_reason"], "repetition")
        self.assertTrue(all(call["arguments"] == ARGUMENTS for call in answer["message"]["tool_calls"]))
        ids = [call["id"] for call in answer["message"]["tool_calls"]]
        self.assertGreater(len(ids), 20)
        self.assertEqual(len(set(ids)), len(ids))
