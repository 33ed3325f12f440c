"""carat pull against a hub that does what it should not, and downloads that are broken off.

CARAT_PULL_KILLS=100 kills that many downloads (else 10)."""
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from hub_server import COMMIT
from program import PROGRAM, carat
from pull_support import BIG, FOLDER, NAME, PullTest, sha256

KILLS = int(os.environ.get("CARAT_PULL_KILLS", "10"))


class Faults(PullTest):
    """Nothing of what a server does wrong gives a wrong file; most of it gives the right one."""

    def whole(self, **variables):
        result = self.pull(f"{NAME}:q8_0", **variables)
        self.assertEqual(sha256(Path(result["path"]).read_bytes()), sha256(BIG))
        self.assertEqual(len(self.blobs()), 2)

    def test_cut_connections(self):
        self.hub.faults.cut_after, self.hub.faults.cuts = 300_000, 8
        self.whole()

    def test_a_server_that_ignores_ranges(self):
        self.hub.faults.ignore_ranges = True
        self.whole()

    def test_a_server_that_ignores_ranges_and_is_cut(self):
        self.hub.faults.ignore_ranges = True
        self.hub.faults.cut_after, self.hub.faults.cuts = 2_000_000, 2
        self.whole()

    def test_a_server_that_gives_less_than_was_asked_for(self):
        self.hub.faults.short_ranges = 200_000
        self.whole()

    def test_bodies_without_a_length(self):
        self.hub.faults.no_lengths = True
        self.whole()

    def test_busy_servers(self):
        self.hub.faults.hub_statuses = [(503, {}), (429, {"Retry-After": "1"})]
        self.hub.faults.statuses = [(500, {}), (429, {"Retry-After": "1"})]
        start = time.monotonic()
        self.whole()
        self.assertGreater(time.monotonic() - start, 2, "Retry-After was waited for")

    def test_signed_links_that_expire(self):
        self.hub.faults.expire_links = 3
        self.whole()

    def test_one_body_of_wrong_bytes(self):
        self.hub.faults.wrong_bytes = 1
        self.whole()

    def test_wrong_bytes_every_time(self):
        self.hub.faults.wrong_bytes = 1000
        line = self.no_pull(f"{NAME}:q8_0")
        self.assertIn("wrong bytes", line)
        self.assertEqual([blob for blob in self.blobs() if not blob == sha256(b"bf16 towers")], [], "nothing of it was kept")

    def test_lengths_that_are_not_true(self):
        self.hub.faults.ignore_ranges = True
        for lie in (1000, -5):
            self.hub.faults.length_lie = lie
            self.assertIn("bytes", self.no_pull(f"{NAME}:q8_0"))
        self.hub.faults.length_lie = 0
        self.whole()

    def test_another_part_than_was_asked_for(self):
        self.hub.faults.shifted_ranges = True
        self.assertIn("another part", self.no_pull(f"{NAME}:q8_0"))

    def test_another_digest_than_in_the_listing(self):
        self.hub.faults.etag = "f" * 64
        self.assertIn("digest", self.no_pull(f"{NAME}:q8_0"))

    def test_a_server_that_falls_silent(self):
        self.hub.faults.stall_after, self.hub.faults.stalls = 100_000, 2
        self.whole(HF_HUB_DOWNLOAD_TIMEOUT="1")

    def test_a_hub_that_is_away(self):
        line = self.no_pull(HF_ENDPOINT="http://127.0.0.1:1")
        self.assertIn("cannot be reached", line)
        self.pull()
        # What is here is still found, and the pull says that nobody was asked.
        result = carat("pull", NAME, env=self.env(HF_ENDPOINT="http://127.0.0.1:1"))
        self.assertEqual(result.returncode, 0)
        self.assertIn(b"is here already", result.stderr)

    def test_answers_that_are_no_listings(self):
        for text in (b" ", b"{", b"[]", b"null", b'{"sha": 1}', b'{"sha": "../x"}', b"[" * 100_000, b'"' + b"x" * (17 << 20) + b'"', b"<html>"):
            self.hub.faults.api_text = text
            self.no_pull()
        self.hub.faults.api_text = b""
        self.hub.faults.page_size, self.hub.faults.endless_listing = 3, True
        self.assertIn("does not end", self.no_pull())
        self.hub.faults.endless_listing, self.hub.faults.next_host = False, self.hub.store_url
        self.assertIn("another host", self.no_pull())

    def test_a_disk_that_is_full(self):
        if os.geteuid() == 0 and subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", self.home], capture_output=True, check=False).returncode == 0:
            self.addCleanup(subprocess.run, ["umount", self.home], check=False)
            line = self.no_pull(f"{NAME}:q8_0")
            self.assertIn("no space", line)
            self.assertEqual(self.blobs(), [])
            (self.home / "filler").write_bytes(b"x" * 100_000)   # and it is no lasting harm
        limited = ["bash", "-c", 'ulimit -f 2000; exec "$@"', "bash", PROGRAM, "pull", f"{NAME}:q8_0"]   # KiB a file
        result = subprocess.run(limited, env=self.env(HF_HOME=str(self.home / "limited")), stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
        self.assertEqual((result.returncode, result.stdout), (1, b""), result.stderr)
        self.assertIn(b"no space", result.stderr)
        left = [path for path in (self.home / "limited").rglob("*") if path.is_file() and path.stat().st_size > 1000]
        self.assertEqual(left, [])

    def test_a_store_that_cannot_be_written(self):
        self.home.joinpath("hub").write_bytes(b"a file, no folder")
        self.refused_pull(1, NAME)


class Interrupted(PullTest):
    def started(self, name=f"{NAME}:q8_0", *options, **variables):
        return subprocess.Popen([PROGRAM, "pull", name, *options], env=self.env(**variables), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def incomplete(self):
        return self.store / FOLDER / "blobs" / f"{sha256(BIG)}.carat.incomplete"

    def test_killed_at_any_moment_it_goes_on_and_is_right(self):
        """SIGKILL at a random moment, many times: under the final name there is nothing or the whole, and the next pull ends with the right bytes."""
        chance = random.Random(KILLS)
        killed = resumed = 0
        for attempt in range(KILLS):
            self.hub.faults.bytes_per_second = 2_000_000   # of each of 4 connections: 0.8 s altogether
            process = self.started()
            time.sleep(chance.uniform(0.01, 1.0))
            process.kill()
            process.communicate()
            killed += process.returncode == -signal.SIGKILL
            blob = self.store / FOLDER / "blobs" / sha256(BIG)
            link = self.store / FOLDER / "snapshots" / COMMIT / "tiny-Q8_0.gguf"
            if blob.exists():
                self.assertEqual(sha256(blob.read_bytes()), sha256(BIG), attempt)
            if link.is_symlink():
                self.assertTrue(link.exists(), attempt)
            self.hub.faults.bytes_per_second = 0
            before = len(self.hub.asked("store"))
            journal = self.incomplete().with_name(self.incomplete().name.replace("incomplete", "journal"))
            claimed = sum(end - begin for begin, end in json.loads(journal.read_text())["on_disk"]) if journal.exists() and not blob.exists() else 0
            self.pull(f"{NAME}:q8_0")
            self.assertEqual(sha256(link.read_bytes()), sha256(BIG), attempt)
            self.assertEqual(len(self.blobs()), 2, f"{attempt}: nothing is left over: {self.blobs()}")
            if claimed:
                resumed += 1
                fetched = 0
                for entry in self.hub.asked("store")[before:]:
                    if sha256(BIG) in entry[2]:
                        begin, end = (int(part) for part in entry[3]["Range"].removeprefix("bytes=").split("-"))
                        fetched += end + 1 - begin
                self.assertEqual(fetched, len(BIG) - claimed, f"{attempt}: what the journal claims is not fetched again")
            shutil.rmtree(self.store)
        self.assertGreater(killed, KILLS // 2)
        if KILLS >= 10:
            self.assertGreater(resumed, 0)
        print(f"killed {killed} of {KILLS}, {resumed} of them with a journal to go on from", file=sys.stderr)

    def test_killed_again_and_again_it_arrives(self):
        self.hub.faults.bytes_per_second = 1_000_000
        for _ in range(3):
            process = self.started()
            time.sleep(1.4)
            process.kill()
            process.communicate()
        self.hub.faults.bytes_per_second = 0
        self.assertEqual(sha256(Path(self.pull(f"{NAME}:q8_0")["path"]).read_bytes()), sha256(BIG))

    def test_ctrl_c_keeps_what_is_here(self):
        self.hub.faults.bytes_per_second = 300_000
        process = self.started()
        deadline = time.monotonic() + 20
        while not self.incomplete().exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
        self.assertEqual((process.returncode, out), (130, b""))
        self.assertIn(b"interrupted", err)
        listed = self.ok_json("list", "--json", env=self.env())["unfinished"]
        self.assertEqual([(entry["digest"], entry["bytes"]) for entry in listed], [(sha256(BIG), len(BIG))])
        self.assertGreater(listed[0]["bytes_here"], 0)
        self.hub.faults.bytes_per_second = 0
        before = len(self.hub.asked("store"))
        self.pull(f"{NAME}:q8_0")
        ranges = [entry[3]["Range"].removeprefix("bytes=").split("-") for entry in self.hub.asked("store")[before:]]
        self.assertEqual(sum(int(end) + 1 - int(begin) for begin, end in ranges), len(BIG) - listed[0]["bytes_here"])

    def test_what_was_begun_can_be_removed(self):
        self.hub.faults.bytes_per_second = 300_000
        process = self.started()
        deadline = time.monotonic() + 20
        while not self.incomplete().exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        self.assertIn("another program", self.refused(1, "rm", f"{NAME}:q8_0", "--yes", env=self.env()))
        process.kill()
        process.communicate()
        self.ok("rm", f"{NAME}:q8_0", "--yes", env=self.env())
        self.assertFalse(self.incomplete().exists())

    def test_a_journal_that_lies_costs_a_second_download_and_no_wrong_byte(self):
        self.incomplete().parent.mkdir(parents=True)
        self.incomplete().write_bytes(bytes(len(BIG)))
        journal = self.incomplete().with_name(self.incomplete().name.replace("incomplete", "journal"))
        journal.write_text(json.dumps({"carat_journal": 1, "size": len(BIG), "on_disk": [[0, len(BIG)]]}))
        self.assertEqual(sha256(Path(self.pull(f"{NAME}:q8_0")["path"]).read_bytes()), sha256(BIG))

    def test_two_at_once_fetch_a_file_once(self):
        self.hub.faults.bytes_per_second = 2_000_000
        both = [self.started(), self.started()]
        for process in both:
            _, err = process.communicate(timeout=60)
            self.assertEqual(process.returncode, 0, err)
        begins = [entry for entry in self.hub.asked("store") if entry[3].get("Range", "").startswith("bytes=0-") and sha256(BIG) in entry[2]]
        self.assertEqual(len(begins), 1)
