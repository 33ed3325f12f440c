"""carat pull, list, rm, and names of models, against a hub on loopback that does what real ones do; who may be asked for what."""
import json
import os
import pty
import pwd
import select
import shutil
import subprocess
import threading
import time
from pathlib import Path

from hub_server import COMMIT, NEXT_COMMIT
from program import PROGRAM, TINY_GEMMA3, carat
from pull_support import BIG, FOLDER, NAME, NOISE, REPO, TOKEN, PullTest, sha256


class Pull(PullTest):
    def test_a_model_with_its_towers_and_again_without_a_byte(self):
        result = self.pull()
        path = Path(result["path"])
        self.assertEqual(path, self.store / FOLDER / "snapshots" / COMMIT / "tiny-Q4_K_M.gguf")
        self.assertEqual(path.read_bytes(), TINY_GEMMA3.read_bytes())
        self.assertEqual([file["path"] for file in result["files"]], ["tiny-Q4_K_M.gguf", "mmproj-tiny-bf16.gguf"])
        self.assertEqual(self.blobs(), sorted([sha256(TINY_GEMMA3.read_bytes()), sha256(b"bf16 towers")]), "nothing else is left there")
        self.assertEqual(os.readlink(path), f"../../blobs/{sha256(TINY_GEMMA3.read_bytes())}")
        self.assertEqual((self.store / FOLDER / "refs/main").read_text(), COMMIT)
        self.assertEqual(result["downloaded_bytes"], result["bytes"])
        again = self.pull()
        self.assertEqual((again["downloaded_bytes"], again["path"]), (0, result["path"]))
        self.assertEqual(self.ok("pull", NAME, env=self.env()), f"{path}\n".encode())

    def test_many_connections_make_the_same_file(self):
        for connections in ("1", "3", "16"):
            result = self.pull(f"{NAME}:q8_0", "--connections", connections)
            self.assertEqual(Path(result["path"]).read_bytes(), BIG)
            shutil.rmtree(self.store)
        ranges = {entry[3].get("Range") for entry in self.hub.asked("store")}
        self.assertGreater(len(ranges), 3)

    def test_parts_in_a_folder(self):
        parts = {f"BF16/big-BF16-0000{i}-of-00003.gguf": NOISE.randbytes(1000 + i) for i in (1, 2, 3)}
        self.hub.add("me/split", {**parts, "mmproj-F16.gguf": b"towers", "big-Q4_0.gguf": b"other"})
        result = self.pull("hf:me/split:bf16")
        self.assertTrue(result["path"].endswith("BF16/big-BF16-00001-of-00003.gguf"))
        for path, data in parts.items():
            self.assertEqual((Path(result["path"]).parents[1] / path).read_bytes(), data)

    def test_a_folder_of_safetensors(self):
        index = json.dumps({"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}).encode()
        files = {"config.json": b"{}", "generation_config.json": b"{ }", "tokenizer.json": b"tokens", "chat_template.jinja": b"{{ x }}", "model.safetensors.index.json": index,
                 "model-00001-of-00002.safetensors": b"one", "model-00002-of-00002.safetensors": b"two"}
        self.hub.add("me/folder", {**files, "README.md": b"no", "pytorch_model.bin": b"no", "runs/log.txt": b"no"})
        result = self.pull("hf:me/folder")
        self.assertEqual({path.name: path.read_bytes() for path in Path(result["path"]).iterdir()}, files)
        self.assertEqual(sorted(file["path"] for file in result["files"]), sorted(files))

    def test_small_files_are_held_against_their_git_digest(self):
        self.hub.add("me/folder", {"config.json": b"{}", "model.safetensors": b"x"})
        self.hub.repos["me/folder"][COMMIT]["config.json"].data = b"{ }"   # both the listing and the body: fine
        self.pull("hf:me/folder")

    def test_the_listing_in_pages(self):
        self.hub.faults.page_size = 2
        self.assertEqual(len(self.pull()["files"]), 2)

    def test_what_is_not_there_lists_what_is(self):
        line = self.no_pull(f"{NAME}:Q6_K")
        self.assertIn(f"hf:{REPO}:Q4_K_M, hf:{REPO}:Q8_0", line)
        self.assertEqual(self.hub.asked("store"), [])

    def test_revisions(self):
        self.pull()
        self.hub.add(REPO, {"tiny-Q4_K_M.gguf": b"newer"}, commit=NEXT_COMMIT, branch="dev")
        result = self.pull(f"{NAME}@dev")
        self.assertEqual((result["commit"], Path(result["path"]).read_bytes()), (NEXT_COMMIT, b"newer"))
        self.assertEqual(self.pull(NAME, "--revision", NEXT_COMMIT)["downloaded_bytes"], 0)
        self.assertEqual((self.store / FOLDER / "refs/dev").read_text(), NEXT_COMMIT)
        self.assertIn("revision", self.refused_pull(1, f"{NAME}@nowhere"))
        # main moves on: the next pull gets it, and the old snapshot stays.
        self.hub.add(REPO, {"tiny-Q4_K_M.gguf": b"newest"}, commit="c" * 40)
        self.assertEqual(Path(self.pull()["path"]).read_bytes(), b"newest")
        self.assertEqual(Path(self.pull(f"{NAME}@{COMMIT}")["path"]).read_bytes(), TINY_GEMMA3.read_bytes())

    def test_wrong_usage(self):
        for arguments in (("pull",), ("pull", NAME, "--connections", "0"), ("pull", NAME, "--connections", "17"), ("rm",), ("list", "extra")):
            self.refused(2, *arguments, env=self.env())
        for name in ("x", "hf:", "hf:a", "gemma4:1t", "hf:a/../b", "nowhere.gguf", "hf:a/b@../x"):
            self.refused(1, "pull", name, env=self.env())
        self.refused(1, "pull", NAME, "--revision", "../x", env=self.env())
        for endpoint in ("ftp://x", "nonsense", "http://user:pass@127.0.0.1", "http://", "file:///etc"):
            self.refused(1, "pull", NAME, env=self.env(HF_ENDPOINT=endpoint))
        self.refused(1, "pull", NAME, env=self.env(HF_HUB_DOWNLOAD_TIMEOUT="soon"))
        self.assertEqual(self.hub.requests, [])


class Access(PullTest):
    def test_the_token_goes_to_the_first_host_only(self):
        self.hub.faults.token = TOKEN
        for source in ({"HF_TOKEN": TOKEN}, {"HUGGING_FACE_HUB_TOKEN": TOKEN}, {}):
            if not source:
                (self.home / "token").write_text(TOKEN + "\n")
            self.pull(f"{NAME}:q8_0", **source)
            shutil.rmtree(self.store)
        asked = self.hub.asked("hub")
        self.assertTrue(asked and all(entry[3].get("Authorization") == f"Bearer {TOKEN}" for entry in asked))
        stored = self.hub.asked("store")
        self.assertTrue(stored)
        self.assertFalse([entry for entry in stored if TOKEN in str(entry)])
        # A redirect that comes back to the hub by way of another host brings no token.
        self.assertFalse([entry for entry in self.hub.requests if "Cookie" in entry[3]])

    def test_other_places_for_the_token(self):
        self.hub.faults.token = TOKEN
        elsewhere = self.home / "elsewhere"
        elsewhere.write_text(TOKEN)
        self.pull(HF_TOKEN_PATH=str(elsewhere))
        (self.home / "token").write_text(TOKEN)
        self.assertIn("HF_TOKEN", self.refused_pull(1, f"{NAME}:q8_0", HF_HUB_DISABLE_IMPLICIT_TOKEN="1"))

    def test_a_token_that_is_none_is_not_sent(self):
        for token in ("a\nX-Header: 1", "a b", "\x7f"):
            line = self.refused_pull(1, NAME, HF_TOKEN=token)
            self.assertIn("token", line)
        self.assertEqual(self.hub.requests, [])

    def test_refusals_say_what_to_do(self):
        self.hub.faults.token = TOKEN
        self.assertRegex(self.no_pull(), "private.*HF_TOKEN")
        self.assertRegex(self.no_pull(HF_TOKEN="hf_wrong"), "not valid.*settings/tokens")
        self.hub.faults.token = ""
        self.hub.faults.gated = True
        self.assertRegex(self.no_pull(), f"gated.*{self.hub.url}/{REPO}.*HF_TOKEN")
        self.assertRegex(self.no_pull(HF_TOKEN=TOKEN), f"gated.*{self.hub.url}/{REPO}")
        self.hub.faults.gated = False
        self.assertRegex(self.no_pull("hf:me/nothing"), "not there, or is private")
        self.hub.faults.hub_statuses = [(403, {"X-Error-Message": "\x1b[31mno"})]
        self.assertNotIn("\x1b", self.no_pull())

    def test_redirects_of_the_hub_itself(self):
        self.hub.faults.redirect_loop = True
        self.assertIn("too many redirects", self.no_pull())
        self.hub.faults.redirect_loop = False
        for target in ("file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1/", "http://user:pass@127.0.0.1/x", "//", "http://"):
            self.hub.faults.redirect = target
            self.no_pull(f"{NAME}:q8_0")

    def test_a_redirect_whose_text_does_not_end(self):
        self.hub.faults.endless_redirects = 1
        start = time.monotonic()
        self.pull()
        self.assertLess(time.monotonic() - start, 10)

    def test_from_a_public_hub_redirects_lead_to_public_addresses(self):
        # A proxy stands for the public network: the hub's name is public, what it redirects to is not. The proxy itself may be anywhere.
        for target in ("http://127.0.0.1:%d/x" % self.hub.servers["store"].server_port, "http://169.254.169.254/latest", "http://[::1]/x", "http://10.0.0.1/x",
                       "http://0x7f000001/x", "http://2130706433/x"):
            self.hub.faults.redirect = target
            line = self.no_pull(f"{NAME}:q8_0", HF_ENDPOINT="http://hub.example.org", http_proxy=self.proxy())
            self.assertIn("not public", line, target)
        self.assertEqual(self.hub.asked("store"), [])

    def proxy(self):
        """A proxy that answers for http://hub.example.org with what the hub says."""
        import http.client
        from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
        from urllib.parse import urlsplit
        port = self.hub.servers["hub"].server_port

        class Proxy(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                url = urlsplit(self.path)
                connection = http.client.HTTPConnection("127.0.0.1", port)
                connection.request("GET", url.path + ("?" + url.query if url.query else ""), headers={k: v for k, v in self.headers.items() if k != "Proxy-Connection"})
                answer = connection.getresponse()
                body = answer.read()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name not in ("Server", "Date"):
                        self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

        server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return f"http://127.0.0.1:{server.server_port}"


class Local(PullTest):
    """list, rm, and names of models in other commands."""

    def test_list(self):
        self.assertEqual(self.ok("list", env=self.env()).count(b"hf:"), 0)
        self.pull()
        self.pull(f"{NAME}:q8_0")
        self.hub.add("ggml-org/gemma-4-E2B-it-GGUF", {"gemma-4-E2B-it-Q4_K_M.gguf": b"x", "gemma-4-E2B-it-Q8_0.gguf": b"y"})
        self.pull("gemma4:e2b")
        self.pull("gemma4:e2b-q8_0")
        listed = self.ok_json("list", "--json", env=self.env())
        names = {model["name"]: model for model in listed["models"] if "repo" in model}
        self.assertEqual(sorted(names), ["gemma4:e2b", "gemma4:e2b-q8_0", f"{NAME}:Q4_K_M", f"{NAME}:Q8_0"])
        self.assertEqual(names[f"{NAME}:Q8_0"]["bytes"], len(BIG) + len(b"bf16 towers"))
        self.assertEqual(names["gemma4:e2b"]["revisions"], ["main"])
        table = self.ok("list", env=self.env()).decode()
        self.assertRegex(table, rf"(?m)^{NAME}:Q8_0 +6\.3 MB +{COMMIT[:7]} +{REPO}$")
        for name in names:   # each name that is shown can be used
            self.assertEqual(self.pull(name)["downloaded_bytes"], 0)

    def test_rm(self):
        self.pull()
        self.pull(f"{NAME}:q8_0")
        self.assertIn("--yes", self.refused(1, "rm", f"{NAME}:q8_0", env=self.env()))
        result = self.ok_json("rm", f"{NAME}:q8_0", "--json", env=self.env(CARAT_YES="1"))
        self.assertEqual(result["bytes"], len(BIG))
        self.assertEqual(self.blobs(), sorted([sha256(TINY_GEMMA3.read_bytes()), sha256(b"bf16 towers")]))
        self.assertIn(b"freed", self.ok("rm", NAME, "--yes", env=self.env()))
        self.assertFalse((self.store / FOLDER).exists())
        self.refused(1, "rm", NAME, "--yes", env=self.env())

    def test_a_name_is_pulled_only_when_that_was_allowed(self):
        line = self.refused(1, "inspect", NAME, env=self.env())
        self.assertIn("carat pull", line)
        self.assertEqual(self.hub.requests, [], "nobody was asked")
        self.assertIn("HF_HUB_OFFLINE", self.refused(1, "inspect", NAME, "--yes", env=self.env(HF_HUB_OFFLINE="1")))
        self.assertEqual(self.hub.requests, [])
        self.assertIn("metadata", self.ok_json("inspect", NAME, "--json", "--yes", env=self.env()))
        count = len(self.hub.requests)
        self.assertGreater(count, 0)
        for variables in ({}, {"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:1"}):
            self.ok("inspect", NAME, env=self.env(**variables))
            self.assertEqual(self.ok("tokenize", NAME, "--text", "a", env=self.env(**variables))[:2], b"[2")
        self.assertEqual(len(self.hub.requests), count, "what is here needs no network")
        self.assertEqual(self.pull(HF_HUB_OFFLINE="1")["downloaded_bytes"], 0)
        shutil.rmtree(self.store)
        self.ok("inspect", NAME, env=self.env(CARAT_YES="1"))

    def test_names_of_the_user(self):
        (self.home / "names.json").write_text(json.dumps({"mine:tiny": NAME, "mine:big": f"{NAME}:q8_0", "mine:file": str(TINY_GEMMA3)}))
        self.assertTrue(self.pull("mine:tiny")["path"].endswith("tiny-Q4_K_M.gguf"))
        self.assertTrue(self.pull("Mine:Big")["path"].endswith("tiny-Q8_0.gguf"))
        names = [model["name"] for model in self.ok_json("list", "--json", env=self.env())["models"]]
        self.assertTrue({"mine:file", "mine:big", "mine:tiny"} <= set(names), names)
        self.ok("inspect", "mine:file", env=self.env())
        (self.home / "names.json").write_text('{"mine:tiny": 7}')
        self.assertIn("names.json, \"mine:tiny\"", self.refused(1, "pull", "mine:tiny", env=self.env()))

    def test_names_of_what_is_no_model(self):
        (self.home / "names.json").write_text(json.dumps({"my:zeros": "/dev/zero", "my:file": str(TINY_GEMMA3), "my:gone": "/nowhere"}))
        models = self.ok_json("list", "--json", env=self.env())["models"]
        self.assertEqual([(model["name"], model["bytes"]) for model in models if model["name"].startswith("my:")], [("my:file", TINY_GEMMA3.stat().st_size)])

    def test_without_home_the_system_says_where_it_is(self):
        user = 65534 if os.geteuid() == 0 else os.geteuid()   # for root a wrong answer would be the right one
        variables = {key: value for key, value in self.env().items() if key not in ("HOME", "HF_HOME", "CARAT_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME")}
        try:
            result = subprocess.run([PROGRAM, "list", "--json"], user=None if user == os.geteuid() else user, env=variables, capture_output=True, timeout=60,
                                    check=False)
        except PermissionError:
            self.skipTest(f"{PROGRAM} is where only root may go")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(json.loads(result.stdout)["store"], f"{pwd.getpwuid(user).pw_dir}/.cache/huggingface/hub")

    def on_terminal(self, answer, *arguments):
        """Runs with a terminal as stdin and stderr, gives the answer to the first question."""
        leader, follower = pty.openpty()
        process = subprocess.Popen([PROGRAM, *arguments], stdin=follower, stdout=subprocess.PIPE, stderr=follower, env=self.env(TERM="xterm"))
        os.close(follower)
        seen = b""
        answered = False
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if select.select([leader], [], [], 0.1)[0]:
                try:
                    seen += os.read(leader, 4096)
                except OSError:
                    break
            elif process.poll() is not None:
                break
            if not answered and b"/N]" in seen or not answered and b"/n]" in seen:
                os.write(leader, answer)
                answered = True
        out = process.communicate(timeout=30)[0]
        os.close(leader)
        return process.returncode, out, seen

    def test_on_a_terminal_it_asks(self):
        status, out, seen = self.on_terminal(b"n\n", "inspect", NAME)
        self.assertEqual((status, out), (130, b""), seen)
        self.assertEqual(self.hub.asked("store"), [])
        status, out, seen = self.on_terminal(b"\n", "inspect", NAME, "--json")
        self.assertEqual(status, 0, seen)
        self.assertIn("metadata", json.loads(out))
        self.assertIn(b"710.3 kB", seen)
        status, out, seen = self.on_terminal(b"\n", "rm", NAME)
        self.assertEqual(status, 130, "nothing is removed without a yes")
        status, out, seen = self.on_terminal(b"yes\n", "rm", NAME)
        self.assertEqual(status, 0, seen)
        self.assertFalse((self.store / FOLDER).exists())

    def test_a_bar_is_drawn_on_a_terminal_only(self):
        self.hub.faults.bytes_per_second = 1_500_000
        status, out, seen = self.on_terminal(b"", "pull", f"{NAME}:q8_0")
        self.assertEqual(status, 0, seen)
        self.assertRegex(seen, rb"pulling tiny-Q8_0.gguf.* \d+ %.*B/s.*left")
        shutil.rmtree(self.store)
        self.hub.faults.bytes_per_second = 0
        self.assertEqual(carat("pull", f"{NAME}:q8_0", env=self.env()).stderr, b"")
