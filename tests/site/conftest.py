"""Fixtures of the tests in a browser: a host under a sub-path, a browser, pages opened in it."""

import functools
import http.server
import threading
from pathlib import Path
from urllib.parse import urljoin

import pytest
from playwright.sync_api import sync_playwright

import browsing
from browsing import BROWSER, ENTRY, SITE, SUBPATH, WIDTHS


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


class Subpath(http.server.SimpleHTTPRequestHandler):
    """A host that has the site under a sub-path, and nothing elsewhere."""

    def send_error(self, code, *said):
        """Like common hosts: the site's own page for errors, whatever the address."""
        page = Path(self.directory) / "404.html"
        if code != 404 or not page.exists():
            return super().send_error(code, *said)
        self.send_response(404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(page.read_bytes())

    def translate_path(self, path):
        return super().translate_path(path.removeprefix(SUBPATH) if path.startswith(SUBPATH) else "/nowhere")

    def log_message(self, *_):
        pass


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
            executable_path=BROWSER, args=["--disable-gpu", "--no-first-run", "--disable-background-networking"], timeout=120_000)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def served(serve):
    return serve(SITE)


@pytest.fixture
def visit(browser):
    """A function that opens a page of the site at `base`: the page, and a growing list of what went wrong."""
    contexts = []

    def visit(base, path, width="desktop", scheme="light", **options):
        wide, high = WIDTHS[width]
        context = browser.new_context(viewport={"width": wide, "height": high}, color_scheme=scheme, **options)
        contexts.append(context)
        context.set_default_timeout(120_000)  # machines may be busy
        wrong = []

        def request(route):
            url = route.request.url
            if url.startswith((base, "data:", "blob:")):
                route.continue_()
            else:
                wrong.append(f"asks for {url}")
                route.abort()
        context.route("**/*", request)
        context.on("response", lambda answer: answer.status >= 400 and wrong.append(f"{answer.status} for {answer.url}"))
        context.on("requestfailed", lambda request: "ERR_ABORTED" in request.failure  # the page was left before it came
                   or wrong.append(f"{request.failure}: {request.url}"))
        page = context.new_page()
        page.on("console", lambda said: said.type in {"error", "warning"} and wrong.append(f"console: {said.text}"))
        page.on("pageerror", lambda error: wrong.append(f"uncaught: {error}"))
        page.goto(urljoin(base, path), wait_until="load")
        if path != ENTRY:
            page.evaluate("document.fonts.ready.then(() => true)")
        return page, wrong
    yield visit
    for context in contexts:
        context.close()


@pytest.fixture
def made(tmp_path, serve, visit):
    """A function that opens a page with the given body."""
    base = serve(tmp_path)

    def made(body, width="phone"):
        (tmp_path / "page.html").write_text(
            '<!doctype html><html lang="en"><head><meta name="viewport" content="width=device-width"><title>A</title>'
            '<link rel="icon" href="data:,"><style>.katex-mathml{position:absolute;clip-path:inset(50%)}'
            f'.katex-html{{display:inline-block}}</style></head><body><main><article>{body}</article></main></body>', "utf8")
        return visit(base, "page.html", width)
    return made
