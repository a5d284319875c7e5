"""Fixtures of the tests in a browser: a host under a sub-path, a browser, pages opened in it."""

import fcntl
import functools
import http.server
import json
import math
import os
import threading
from pathlib import Path
from urllib.parse import urljoin

import pytest
from playwright.sync_api import sync_playwright

import browsing
import recording
from browsing import BROWSER, ENTRY, SITE, SUBPATH, blank
from _tools.check.host import Host


def one_place(report):
    """All that is skipped for want of a browser makes one line of the summary: its place is not the test's."""
    if report.skipped and isinstance(report.longrepr, tuple) and "browser tests: " in report.longrepr[2]:
        report.longrepr = (browsing.__file__, None, report.longrepr[2])
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    return one_place((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    return one_place((yield))


def pytest_collection_modifyitems(items):
    """First what others read, the longest before all: no worker waits for what another makes."""
    built = [item for item in items if "plain" in item.fixturenames]

    def place(item):
        if item in built:
            return -math.inf if item is built[0] else math.inf
        path = item.callspec.params.get("path") if "test_browser.py::test_page[" in item.nodeid else None
        return -(SITE / path).stat().st_size if path else 0

    items.sort(key=place)


class Subpath(Host):
    """A host that has the site under a sub-path, and nothing elsewhere."""

    def send_error(self, code, *said):
        """Like common hosts: the site's own page for errors, whatever the address."""
        page = Path(self.directory) / "404.html"
        if code != 404 or not page.exists():
            return super().send_error(code, *said)
        self.send_response(404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(page.stat().st_size))
        self.end_headers()
        self.wfile.write(page.read_bytes())

    def translate_path(self, path):
        return super().translate_path(path.removeprefix(SUBPATH) if path.startswith(SUBPATH) else "/nowhere")


@pytest.fixture(scope="session")
def serve():
    """A function from a folder to the address under which it is served."""
    servers = []

    def start(folder):
        handler = functools.partial(Subpath, directory=str(folder))
        servers.append(http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_address[1]}{SUBPATH}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")  # Playwright runs an event loop, in which other tests cannot start theirs
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=BROWSER,
            timeout=120_000,
            args=[
                "--disable-gpu",
                "--no-first-run",
                "--disable-background-networking",
                "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            ],
        )  # nothing is asked of other hosts
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def served(serve):
    return serve(SITE)


@pytest.fixture(scope="session")
def once(tmp_path_factory):
    """A function that has a text made once in this run, by whichever worker comes first; the file that holds it."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "once"
    folder.mkdir(exist_ok=True)

    def once(name, make):
        file = folder / name.replace("/", "-")
        with open(folder / f"{file.name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not file.exists():
                text = make()
                file.write_text(text, "utf8")
        return file

    return once


@pytest.fixture
def recorded(request, once, served):
    """A function from a page to the record of the one visit to it in this run."""

    def recorded(path):
        def record():
            return json.dumps(recording.record(request.getfixturevalue("browser"), served, path))

        return json.loads(once(f"{path}.json", record).read_text("utf8"))

    return recorded


@pytest.fixture
def visit(browser):
    """A function that opens a page of the site at `base`: the page, and a growing list of what went wrong."""
    contexts = []

    def visit(base, path, width="desktop", scheme="light", **options):
        page, wrong = blank(browser, base, width, scheme, **options)
        contexts.append(page.context)
        page.goto(urljoin(base, path), wait_until="load")
        if path != ENTRY:
            page.evaluate("document.fonts.ready.then(() => true)")
        return page, wrong

    yield visit
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def drafts(serve, tmp_path_factory):
    """A function from the folder of a test to the address under which it is served."""
    folder = tmp_path_factory.getbasetemp()
    base = serve(folder)
    return lambda path: urljoin(base, f"{path.relative_to(folder).as_posix()}/")


@pytest.fixture
def made(tmp_path, drafts, visit):
    """A function that opens a page with the given body."""
    base = drafts(tmp_path)

    def made(body, width="phone"):
        (tmp_path / "page.html").write_text(
            '<!doctype html><html lang="en"><head><meta name="viewport" content="width=device-width"><title>A</title>'
            '<link rel="icon" href="data:,"><style>.katex-mathml{position:absolute;clip-path:inset(50%)}'
            f".katex-html{{display:inline-block}}</style></head>"
            f"<body><main><article>{body}</article></main></body>",
            "utf8",
        )
        return visit(base, "page.html", width)

    return made
