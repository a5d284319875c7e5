"""A static host like those that serve such books: it compresses text, and lets browsers keep what they got for a while.

For measurements on this machine (`audit.py` and the tests); `make serve` needs none of it.
"""

import contextlib
import functools
import gzip
import hashlib
import http.server
import threading
from pathlib import Path

KEPT = 600  # seconds, as common hosts of static pages have it
TEXT = ("text/", "application/javascript", "application/json", "image/svg+xml")


@functools.lru_cache(maxsize=None)
def packed(path, changed):
    """What is sent for a file that stands as it was changed last, and its fingerprint."""
    body = path.read_bytes()
    return gzip.compress(body, 6, mtime=0), hashlib.sha256(body).hexdigest()[:16]


class Host(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections stay open, as everywhere

    def do_GET(self):
        path = Path(self.translate_path(self.path))
        path = path / "index.html" if path.is_dir() else path
        if not path.is_file():
            return self.send_error(404)
        kind = self.guess_type(path)
        body, fingerprint = packed(path, path.stat().st_mtime_ns)
        known = self.headers.get("If-None-Match") == f'"{fingerprint}"'
        self.send_response(304 if known else 200)
        self.send_header("ETag", f'"{fingerprint}"')
        self.send_header("Cache-Control", f"max-age={KEPT}")
        if known:
            return self.end_headers()
        if kind.startswith(TEXT):
            self.send_header("Content-Encoding", "gzip")
        else:
            body = path.read_bytes()
        self.send_header("Content-Type", f"{kind}; charset=utf-8" if kind.startswith("text/") else kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

    def handle(self):
        with contextlib.suppress(ConnectionError):  # a browser that was closed in between
            super().handle()


@contextlib.contextmanager
def serving(folder):
    """The address under which a folder is served, for the length of a `with` block."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Host, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
