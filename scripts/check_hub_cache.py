"""Proves that llava-ts and Python share one cache of models: each reads what the other has downloaded, offline.

    pip install -r scripts/requirements.txt && npm run build
    python scripts/check_hub_cache.py

A server on this machine stands in for the Hub; it serves a tiny checkpoint of test/golden/. Three caches: one that Python
fills and llava-ts reads, one that llava-ts fills and Python reads (`snapshot_download`, then `transformers`), and one that Python
fills by half and llava-ts completes. Prints JSON, one line a proof; exit code 1 if one fails.
"""

import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ROOT = pathlib.Path(__file__).parent.parent
MODEL = ROOT / "test/golden/models/llava-1.5"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE = re.compile(r"\.safetensors$")
FILES = {name: (MODEL / name).read_bytes() for name in ("config.json", "generation_config.json", "model.safetensors")}
FILES["tokenizer.json"] = (ROOT / "models/demo/tokenizer.json").read_bytes()


def git_hash(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class Hub(BaseHTTPRequestHandler):
    """Listing, tree and files of `org/tiny`; large files by redirect, as the Hub does."""

    protocol_version = "HTTP/1.1"
    asked = []

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, body):
        path = self.path.split("?")[0]
        Hub.asked.append(path)
        if re.fullmatch(r"/api/models/org/tiny(/revision/[^/]+)?", path):
            return self.send(200, json.dumps({"id": "org/tiny", "sha": COMMIT, "siblings": siblings()}).encode(), body)
        if path.startswith("/api/models/org/tiny/tree/"):
            return self.send(200, json.dumps(tree()).encode(), body)
        name = path.rsplit("/", 1)[1]
        if name not in FILES:
            return self.send(404, b"", body, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
        data = FILES[name]
        if LARGE.search(name) and path.startswith("/org/"):
            linked = {"X-Linked-ETag": f'"{hashlib.sha256(data).hexdigest()}"', "X-Linked-Size": str(len(data))}
            return self.send(302, b"", body, {"X-Repo-Commit": COMMIT, "Location": f"/storage/{name}", **linked})
        self.send(200, data, body, {"X-Repo-Commit": COMMIT, "ETag": f'"{git_hash(data)}"'})

    def send(self, status, data, body, headers={}):
        self.send_response(status)
        for key, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        if body:
            self.wfile.write(data)


def lfs(name, data):
    if not LARGE.search(name):
        return {}
    return {"lfs": {"sha256": hashlib.sha256(data).hexdigest(), "oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}}


def siblings():
    return [{"rfilename": n, "size": len(d), "blobId": git_hash(d), **lfs(n, d)} for n, d in FILES.items()]


def tree():
    return [{"type": "file", "path": n, "size": len(d), "oid": git_hash(d), **lfs(n, d)} for n, d in FILES.items()]


def environment(endpoint, home, offline):
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING"))}
    flag = {"HF_HUB_OFFLINE": "1"} if offline else {}
    return {**clean, "HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1", **flag}


def llava_download(env, name="org/tiny"):
    command = ["node", str(ROOT / "dist/app/cli/main.js"), "download", name]
    return subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout.strip()


def python(env, code):
    return subprocess.run([sys.executable, "-c", code], env=env, check=True, capture_output=True, text=True).stdout.strip()


DOWNLOAD = "from huggingface_hub import snapshot_download as s; print(s('org/tiny'{}))"
LOAD = "from transformers import LlavaForConditionalGeneration as M; print(M.from_pretrained('org/tiny').num_parameters())"


def tell(proof, ok, **more):
    print(json.dumps({"proof": proof, "ok": bool(ok), **more}), flush=True)
    return ok


def main():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    results = []
    with tempfile.TemporaryDirectory() as folder:
        homes = [pathlib.Path(folder, name) for name in ("python", "llava", "half")]
        online = [environment(endpoint, home, False) for home in homes]
        offline = [environment(endpoint, home, True) for home in homes]

        theirs = python(online[0], DOWNLOAD.format(""))
        asked = len(Hub.asked)
        results.append(tell("llava-ts reads Python's cache offline", llava_download(offline[0]) == theirs, folder=theirs))
        results.append(tell("and asks nobody", len(Hub.asked) == asked))

        ours = llava_download(online[1])
        asked = len(Hub.asked)
        results.append(tell("Python reads ours offline", python(offline[1], DOWNLOAD.format(", local_files_only=True")) == ours))
        results.append(tell("transformers loads from it", int(python(offline[1], LOAD)) > 0))
        results.append(tell("and asks nobody", len(Hub.asked) == asked))
        python(online[1], DOWNLOAD.format(""))
        blobs = sorted(p.name for p in pathlib.Path(ours, "../../blobs").iterdir())
        expected = sorted({hashlib.sha256(d).hexdigest() if LARGE.search(n) else git_hash(d) for n, d in FILES.items()})
        results.append(tell("Python adds no blob to ours", blobs == expected, blobs=len(blobs)))

        python(online[2], DOWNLOAD.format(", allow_patterns=['*.json']"))
        Hub.asked.clear()
        llava_download(online[2])
        fetched = [p for p in Hub.asked if p.startswith("/org/")]
        results.append(tell("llava-ts fetches only what Python left out", [p.rsplit("/", 1)[1] for p in fetched] == ["model.safetensors"], fetched=fetched))
    sys.exit(0 if all(results) else 1)


main()
