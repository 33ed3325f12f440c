"""A hub and its store of large files, as two HTTP servers on loopback, with the faults that real ones have.

The hub answers as huggingface.co does: /api/models/REPO/revision/REV, /api/models/REPO/tree/COMMIT, REPO/resolve/REV/PATH. Large files (LFS) are redirected to
the store, which is another host: the hub is 127.0.0.1, the store localhost."""
import hashlib
import json
import re
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NEXT_COMMIT = "89abcdef0123456789abcdef0123456789abcdef"


def git_sha1(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@dataclass
class File:
    data: bytes
    lfs: bool = True

    @property
    def etag(self):
        return hashlib.sha256(self.data).hexdigest() if self.lfs else git_sha1(self.data)


@dataclass
class Faults:
    """What goes wrong at the store (bodies) and at the hub. Counters count down."""
    statuses: list = field(default_factory=list)      # (status, headers) for the next requests of the store
    hub_statuses: list = field(default_factory=list)  # ... of the hub
    cut_after: int = 0         # bytes of a body until the connection is cut ...
    cuts: int = 0              # ... that many times
    wrong_bytes: int = 0       # that many bodies have other bytes
    length_lie: int = 0        # added to Content-Length of answers without a range
    ignore_ranges: bool = False
    shifted_ranges: bool = False    # 206 with another part than was asked for
    short_ranges: int = 0           # 206 with at most this many bytes
    bytes_per_second: int = 0       # of each body
    stall_after: int = 0            # bytes until nothing comes any more, for stall_seconds, `stalls` times
    stalls: int = 0
    stall_seconds: float = 30
    redirect: str = ""              # where the hub sends for large files instead of to the store
    redirect_loop: bool = False
    endless_redirects: int = 0      # that many redirects have a text that goes on for a minute
    etag: str = ""                  # X-Linked-Etag instead of the right one
    token: str = ""                 # the hub wants this one
    gated: bool = False             # 403 GatedRepo in spite of a token, 401 without
    no_lengths: bool = False        # bodies without Content-Length
    page_size: int = 0              # files on a page of the listing
    endless_listing: bool = False
    next_host: str = ""             # the second page of the listing is at another host
    expire_links: int = 0           # that many signed links are refused after their first use
    api_text: bytes = b""           # what the API says instead


class Hub:
    def __init__(self):
        self.repos = {}      # id -> {revision or commit -> {path -> File}}
        self.heads = {}      # id -> {branch -> commit}
        self.faults = Faults()
        self.requests = []   # (server, method, path, headers)
        self.lock = threading.Lock()
        self.used_links = set()
        self.servers = {}
        for name in ("hub", "store"):
            handler = type(f"{name.title()}Handler", (Handler,), {"hub": self, "role": name})
            server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
            self.servers[name] = server

    @property
    def url(self):
        return f"http://127.0.0.1:{self.servers['hub'].server_port}"

    @property
    def store_url(self):
        return f"http://localhost:{self.servers['store'].server_port}"

    def add(self, repo, files, commit=COMMIT, branch="main"):
        """files: path -> bytes; small ones that are no weights are not LFS."""
        made = {path: File(data, path.endswith((".gguf", ".safetensors", "tokenizer.json"))) for path, data in files.items()}
        self.repos.setdefault(repo, {})[commit] = made
        self.heads.setdefault(repo, {})[branch] = commit
        return made

    def asked(self, server):
        with self.lock:
            return [entry for entry in self.requests if entry[0] == server]

    def take(self, name):
        """Counts a fault down; whether it happens."""
        with self.lock:
            left = getattr(self.faults, name)
            if left > 0:
                setattr(self.faults, name, left - 1)
            return left > 0

    def close(self):
        for server in self.servers.values():
            server.shutdown()
            server.server_close()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub
    role: str

    def log_message(self, *_):
        pass

    def handle(self):
        try:
            super().handle()
        except (BrokenPipeError, ConnectionResetError):
            pass   # clients are killed here

    def finish(self):
        try:
            super().finish()
        except (BrokenPipeError, ConnectionResetError):
            pass

    def setup(self):
        super().setup()
        self.connection.setsockopt(6, 1, 1)   # TCP_NODELAY

    def do_GET(self):
        try:
            with self.hub.lock:
                self.hub.requests.append((self.role, self.command, self.path, dict(self.headers.items())))
            getattr(self, f"serve_{self.role}")()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    do_HEAD = do_GET

    def reply(self, status, body=b"", **headers):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def error(self, status, code, message):
        self.reply(status, json.dumps({"error": message}).encode(), X_Error_Code=code, X_Error_Message=message)

    # --- the hub -------------------------------------------------------------------------------------------------------

    def serve_hub(self):
        faults, hub = self.hub.faults, self.hub
        with hub.lock:
            status = faults.hub_statuses.pop(0) if faults.hub_statuses else None
        if status:
            return self.reply(status[0], b"no", **status[1])
        sent = self.headers.get("Authorization", "")
        if faults.token and sent != f"Bearer {faults.token}":
            if sent:
                return self.error(401, "", "Invalid credentials in Authorization header")
            return self.error(401, "RepoNotFound", "Repository not found")
        if faults.gated:
            return self.error(403 if sent else 401, "GatedRepo", "Access to this model is restricted")
        path = unquote(urlsplit(self.path).path)
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+)|/tree/([0-9a-f]{40}))?", path):
            return self.serve_api(match[1], match[2] or "main", match[3])
        if match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            return self.serve_file(*match.groups())
        return self.error(404, "", "nothing there")

    def commit_of(self, repo, revision):
        if repo not in self.hub.repos:
            self.error(401, "RepoNotFound", "Repository not found")
            return None
        commit = self.hub.heads[repo].get(revision, revision)
        if commit not in self.hub.repos[repo]:
            self.error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            return None
        return commit

    def serve_api(self, repo, revision, tree):
        faults = self.hub.faults
        commit = self.commit_of(repo, tree or revision)
        if commit is None:
            return None
        if faults.api_text:
            return self.reply(200, faults.api_text, Content_Type="application/json")
        files = self.hub.repos[repo][commit]
        if not tree:
            info = {"_id": "1", "id": repo, "modelId": repo, "sha": commit, "siblings": [{"rfilename": path} for path in files], "private": False,
                    "tags": [], "downloads": 0, "likes": 0}
            return self.reply(200, json.dumps(info).encode(), Content_Type="application/json")
        entries = [{"type": "directory", "oid": "0" * 40, "size": 0, "path": "folder"}]
        for path, file in sorted(files.items()):
            entry = {"type": "file", "oid": git_sha1(file.data), "size": len(file.data), "path": path}
            if file.lfs:
                entry["lfs"] = {"oid": file.etag, "size": len(file.data), "pointerSize": 134}
            entries.append(entry)
        headers = {"Content_Type": "application/json"}
        if faults.page_size:
            cursor = int(re.search(r"cursor=(\d+)", self.path)[1]) if "cursor=" in self.path else 0
            more = cursor + faults.page_size < len(entries) or faults.endless_listing
            if more:
                headers["Link"] = f'<{faults.next_host or self.hub.url}{urlsplit(self.path).path}?recursive=true&cursor={cursor + faults.page_size}>; rel="next"'
            entries = entries[cursor:cursor + faults.page_size]
        return self.reply(200, json.dumps(entries).encode(), **headers)

    def serve_file(self, repo, revision, path):
        faults = self.hub.faults
        commit = self.commit_of(repo, revision)
        if commit is None:
            return None
        file = self.hub.repos[repo][commit].get(path)
        if file is None:
            return self.reply(404, b"", X_Error_Code="EntryNotFound", X_Error_Message="Entry not found", X_Repo_Commit=commit)
        if faults.redirect_loop:
            return self.reply(302, b"", Location=self.path, X_Repo_Commit=commit)
        if file.lfs:
            signed = f"{self.hub.store_url}/{file.etag}?signature={time.monotonic_ns()}"
            if self.hub.take("endless_redirects"):
                return self.endless_redirect(signed)
            return self.reply(302, b"Found", Location=faults.redirect or signed, X_Repo_Commit=commit, X_Linked_Etag=f'"{faults.etag or file.etag}"',
                              X_Linked_Size=str(len(file.data)), ETag='"something-else"')
        return self.reply(200, file.data, ETag=f'"{file.etag}"', X_Repo_Commit=commit)

    def endless_redirect(self, location):
        self.send_response(302)
        self.send_header("Location", location)
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        for _ in range(1200):
            self.wfile.write(b"x" * 1000)
            time.sleep(0.05)

    # --- the store of large files ----------------------------------------------------------------------------------------

    def serve_store(self):
        faults, hub = self.hub.faults, self.hub
        with hub.lock:
            status = faults.statuses.pop(0) if faults.statuses else None
        if status:
            return self.reply(status[0], b"no", **status[1])
        if faults.expire_links:
            with hub.lock:
                known = self.path in hub.used_links
                hub.used_links.add(self.path)
            if known and hub.take("expire_links"):
                return self.reply(403, b"expired")
        digest = urlsplit(self.path).path[1:]
        data = next((file.data for commits in hub.repos.values() for files in commits.values() for file in files.values() if file.etag == digest), None)
        if data is None:
            return self.reply(404, b"none")
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        begin, end = 0, len(data)
        if asked and not faults.ignore_ranges:
            begin, end = int(asked[1]), min(int(asked[2] or len(data) - 1) + 1, len(data))
            if begin >= end:
                return self.reply(416, b"")
            if faults.shifted_ranges:
                begin, end = begin + 1, min(end + 1, len(data))
            if faults.short_ranges:
                end = min(end, begin + faults.short_ranges)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{len(data)}")
            length = end - begin
        else:
            self.send_response(200)
            length = end + faults.length_lie
        body = data[begin:end]
        if hub.take("wrong_bytes"):
            body = bytes(byte ^ 1 for byte in body)
        if faults.no_lengths:
            self.close_connection = True
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(length))
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()
        if self.command != "HEAD":
            self.send_body(body)
        if length != len(body):
            self.close_connection = True
        return None

    def send_body(self, body):
        faults = self.hub.faults
        cut = faults.cut_after if faults.cut_after and len(body) > faults.cut_after and self.hub.take("cuts") else 0
        stall = faults.stall_after if faults.stall_after and len(body) > faults.stall_after and self.hub.take("stalls") else 0
        if cut:
            self.wfile.write(body[:cut])
            self.close_connection = True
            return
        if stall:
            self.wfile.write(body[:stall])
            time.sleep(faults.stall_seconds)
            self.close_connection = True
            return
        if not faults.bytes_per_second:
            self.wfile.write(body)
            return
        step = max(1, faults.bytes_per_second // 50)
        for begin in range(0, len(body), step):
            self.wfile.write(body[begin:begin + step])
            time.sleep(1 / 50)
