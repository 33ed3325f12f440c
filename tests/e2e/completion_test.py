"""Shell completion in the shells themselves, and the manual page."""
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from program import PROGRAM, ProgramTest, environment

COMMANDS = ("run", "score", "tokenize", "inspect", "plan", "doctor", "completion")

# Offers what bash would for a line whose cursor stands at its end; COMP_WORDS as readline cuts them.
BASH = r"""
source "$SCRIPT"
line=$1
COMP_WORDBREAKS=$' \t\n"\'><=;|&(:'
COMP_WORDS=() word=
for ((i = 0; i < ${#line}; i++)); do
  c=${line:i:1}
  case $c in
    ' ') [[ $word ]] && COMP_WORDS+=("$word"); word= ;;
    [:=]) [[ $word ]] && COMP_WORDS+=("$word"); COMP_WORDS+=("$c"); word= ;;
    *) word+=$c ;;
  esac
done
[[ $word || ${line: -1} == ' ' ]] && COMP_WORDS+=("$word")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMP_LINE=$line COMP_POINT=${#line}
_carat
printf '%s\n' "${COMPREPLY[@]}"
"""


class Completion(ProgramTest):
    def script(self, shell):
        return self.ok("completion", shell).decode()

    def in_folder(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        Path(folder.name, "model one.gguf").touch()
        Path(folder.name, "prompt.json").touch()
        Path(folder.name, "gemma4:odd.gguf").touch()
        Path(folder.name, "adapter").mkdir()
        return folder.name

    def test_bash(self):
        folder = self.in_folder()
        script = Path(folder, "script")
        script.write_text(self.script("bash"))

        def offered(line):
            result = subprocess.run(["bash", "--norc", "-c", BASH, "bash", line], capture_output=True, text=True, timeout=60, check=False, cwd=folder,
                                    env=environment(SCRIPT=str(script)))
            self.assertEqual((result.returncode, result.stderr), (0, ""), line)
            return [word for word in result.stdout.split("\n") if word]
        self.assertEqual(subprocess.run(["bash", "-n", script], capture_output=True, check=False).stderr, b"")
        self.assertLessEqual(set(COMMANDS), set(offered("carat ")))
        self.assertEqual(offered("carat insp"), ["inspect"])
        self.assertEqual(offered("carat run --max"), ["--max-tokens"])
        self.assertIn("--temperature", offered("carat run -"))
        self.assertEqual(sorted(offered("carat run --kv ")), ["f16", "f32", "q8"])
        self.assertEqual(offered("carat run --kv q"), ["q8"])
        self.assertEqual(offered("carat run --kv=f3"), ["f32"])
        self.assertEqual(offered("carat run --threads "), [], "a number: nothing to offer")
        self.assertIn("model one.gguf", offered("carat run --json "), "a flag takes no value")
        self.assertEqual(offered("carat run mod"), ["model one.gguf"])
        self.assertIn("gemma4:e2b", offered("carat run gem"))
        self.assertEqual(offered("carat run gemma4:e"), ["e2b", "e4b"], "bash replaces what is behind the colon")
        self.assertEqual(offered("carat run gemma4:o"), ["odd.gguf"])
        self.assertEqual(offered("carat run x --token-ids pro"), ["prompt.json"])
        self.assertEqual(offered("carat completion f"), ["fish"])
        self.assertEqual(offered("carat doctor "), [])
        self.assertEqual(offered("carat nonsense "), [])

    def test_every_option_of_the_help_is_offered(self):
        scripts = {shell: self.script(shell) for shell in ("bash", "zsh", "fish", "man")}
        for command in COMMANDS:
            options = set(re.findall(r"^ +(?:-\w,)?--([a-z0-9-]+)", self.ok(command, "--help").decode(), re.MULTILINE))
            self.assertTrue(options)
            for option in options - {"help"}:
                self.assertIn(f"--{option}", scripts["bash"])
                self.assertIn(f"--{option}", scripts["zsh"])
                self.assertRegex(scripts["fish"], rf"seen_subcommand_from {command}' .*-l {option} ")
                self.assertIn("\\-\\-" + option.replace("-", "\\-"), scripts["man"])

    def test_zsh(self):
        if not shutil.which("zsh"):
            self.skipTest("zsh is not here: apt-get install zsh")
        folder = self.in_folder()
        Path(folder, "_carat").write_text(self.script("zsh"))
        self.assertEqual(subprocess.run(["zsh", "-n", f"{folder}/_carat"], capture_output=True, check=False).stderr, b"")
        # zsh completes on a terminal only: one of its own (zpty), keys sent, what it shows read.
        driver = r"""
zmodload zsh/zpty
zpty shell 'TERM=dumb zsh -f'
send() { zpty -w shell "$1" }
send "cd ${(q)PWD}; PS1=; fpath=($PWD \$fpath); autoload -U compinit; compinit -u -D; setopt no_beep; LISTMAX=1000; echo ready"
while zpty -r shell line; do [[ $line == *ready* && $line != *echo* ]] && break; done
zpty -w -n shell "$1"$'\t\t\t'
sleep 1.5
out=
while zpty -r -t shell line; do out+=$line; sleep 0.05; done
print -r -- "$out"
zpty -d shell
"""

        def shown(line):
            result = subprocess.run(["zsh", "-f", "-c", driver, "zsh", line], capture_output=True, text=True, timeout=60, check=False, cwd=folder,
                                    env=environment())
            self.assertEqual(result.returncode, 0, result.stderr)
            return result.stdout
        commands = shown("carat ")
        for command in COMMANDS:
            self.assertIn(command, commands)
        self.assertIn("inspect", shown("carat insp"))
        kv = shown("carat run --kv ")
        self.assertTrue("f16" in kv and "q8" in kv and "f32" in kv, kv)
        self.assertIn("--max-tokens", shown("carat run --max"))
        self.assertIn("gemma4:31b", shown("carat run gemma4:31"))

    def test_fish(self):
        if not shutil.which("fish"):
            self.skipTest("fish is not here: apt-get install fish")
        folder = self.in_folder()
        script = Path(folder, "carat.fish")
        script.write_text(self.script("fish"))

        def offered(line):
            result = subprocess.run(["fish", "--no-config", "-c", "source $argv[1]; complete -C $argv[2]", str(script), line], capture_output=True, text=True,
                                    timeout=60, check=False, cwd=folder, env=environment(HOME=folder))
            self.assertEqual((result.returncode, result.stderr), (0, ""), line)
            return [row.split("\t")[0] for row in result.stdout.split("\n") if row]
        self.assertLessEqual(set(COMMANDS), set(offered("carat ")))
        self.assertEqual(offered("carat run --max-t"), ["--max-tokens"])
        self.assertEqual(sorted(offered("carat run --kv ")), ["f16", "f32", "q8"])
        self.assertIn("gemma4:e2b", offered("carat run gemma4:e"))
        self.assertIn("prompt.json", offered("carat run x --token-ids pro"))
        self.assertIn("fish", offered("carat completion "))

    def test_the_manual_page_is_clean(self):
        page = self.script("man")
        for command in COMMANDS:
            self.assertIn(f".SH {command.upper()}\n", page)
        self.assertNotRegex(page, r"(?m)^'", "a line that begins with a quote is a request")
        checkers = [command for command in (["mandoc", "-Tlint", "-Wwarning"], ["groff", "-man", "-ww", "-z", "-Tutf8"]) if shutil.which(command[0])]
        if not checkers:
            self.skipTest("neither mandoc nor groff is here: apt-get install mandoc groff-base")
        for checker in checkers:
            result = subprocess.run(checker, input=page.encode(), capture_output=True, timeout=60, check=False)
            complaints = [line for line in (result.stdout + result.stderr).decode().split("\n") if line and "missing date" not in line]
            self.assertEqual(complaints, [], checker)

    def test_wrong_usage(self):
        self.refused(2, "completion")
        self.refused(2, "completion", "tcsh")
        self.assertEqual(self.ok_json("completion", "bash", "--json")["text"], self.script("bash"))


if __name__ == "__main__":
    unittest.main()
