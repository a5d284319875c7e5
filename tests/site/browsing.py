"""What tests in a browser share: the built pages, the installed browser, and when to skip."""

import os
from pathlib import Path

import pytest

from _tools.check.browser import installed

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "_build" / "html"
ENTRY = "index.html"  # leads on to the first page
PAGES = sorted(
    page.relative_to(SITE).as_posix()
    for page in SITE.rglob("*.html")
    if "_static" not in page.parts and page not in {SITE / ENTRY, SITE / "404.html"}
)
BROWSER = installed()
SUBPATH = "/some/where/"  # of the test's host
WIDTHS = {"desktop": (1280, 900), "phone": (390, 844)}

# The least that counts as a formula.
FORMULA = (
    '<span class="math"><span class="katex"><span class="katex-mathml"><math><annotation>x</annotation></math>'
    '</span><span class="katex-html">x</span></span></span>'
)

missing = [
    what
    for what, there in {
        "no Chromium or Chrome is installed": BROWSER,
        "no site is built (make book)": (SITE / "searchindex.js").exists(),
    }.items()
    if not there
]


def needed():
    """Skip the calling module where something is missing, but not where the tests must run."""
    if missing and os.environ.get("BROWSER_TESTS") != "required":
        pytest.skip(f"browser tests: {' and '.join(missing)}", allow_module_level=True)


def unfold(page):
    """Show what the reader may unfold: solutions, hidden cells."""
    page.evaluate("""() => {
        document.querySelectorAll('details').forEach(fold => { fold.open = true; });
        document.querySelectorAll('.toggle-hidden').forEach(cell => cell.classList.remove('toggle-hidden'));
    }""")


def blank(browser, base, width="desktop", scheme="light", **options):
    """An empty page for the site at `base`, with a cache of its own, and a growing list of what goes wrong in it."""
    wide, high = WIDTHS[width]
    context = browser.new_context(viewport={"width": wide, "height": high}, color_scheme=scheme, **options)
    context.set_default_timeout(120_000)  # machines may be busy
    wrong = []
    context.on(
        "request",
        lambda request: request.url.startswith((base, "data:", "blob:")) or wrong.append(f"asks for {request.url}"),
    )
    context.on("response", lambda answer: answer.status >= 400 and wrong.append(f"{answer.status} for {answer.url}"))
    context.on(
        "requestfailed",
        lambda request: (
            "ERR_ABORTED" in request.failure  # the page was left before it came
            or wrong.append(f"{request.failure}: {request.url}")
        ),
    )
    page = context.new_page()
    # A browser asks by itself for the icon of a page that names none, as does the entry, which only leads on.
    page.on(
        "console",
        lambda said: (
            said.type in {"error", "warning"}
            and not said.location["url"].endswith("/favicon.ico")
            and wrong.append(f"console: {said.text}")
        ),
    )
    page.on("pageerror", lambda error: wrong.append(f"uncaught: {error}"))
    return page, wrong


def widen(page, width):
    """Give the window a width. The theme looks again at what scrolls when it has rested for 0.3 s."""
    wide, high = WIDTHS[width]
    page.set_viewport_size({"width": wide, "height": high})
    page.evaluate("() => { window.rested = new Promise(done => setTimeout(done, 350)); }")


def turn(page, scheme):
    """Have the page follow a reader who prefers light or dark."""
    page.emulate_media(color_scheme=scheme)
    page.wait_for_function("scheme => document.documentElement.dataset.theme === scheme", arg=scheme)


def settle(page):
    """Wait until colours have turned, and after `widen` the charts, the theme and `reach.js` have followed."""
    page.evaluate("""async () => {
        await window.rested;
        const drawn = () => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
        await drawn();
        for (const motion of document.getAnimations())  // where nothing is drawn yet, it would never end by itself
            if (Number.isFinite(motion.effect.getComputedTiming().endTime)) motion.finish();
        await drawn();
    }""")
    page.wait_for_function("document.documentElement.dataset.reach !== 'busy'")
