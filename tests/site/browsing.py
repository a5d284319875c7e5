"""What tests in a browser share: the built pages, the installed browser, and when to skip."""

import os
from pathlib import Path

import pytest

from _tools.check.browser import installed

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "_build" / "html"
ENTRY = "index.html"  # leads on to the first page
PAGES = sorted(page.relative_to(SITE).as_posix() for page in SITE.rglob("*.html")
               if "_static" not in page.parts and page not in {SITE / ENTRY, SITE / "404.html"})
BROWSER = installed()
SUBPATH = "/some/where/"  # of the test's host
WIDTHS = {"desktop": (1280, 900), "phone": (390, 844)}

missing = [what for what, there in {"no Chromium or Chrome is installed": BROWSER,
                                    "no site is built (make book)": (SITE / "searchindex.js").exists()}.items() if not there]


def needed():
    """Skip the calling module where something is missing, but not where the tests must run."""
    if missing and os.environ.get("BROWSER_TESTS") != "required":
        pytest.skip(f"browser tests: {' and '.join(missing)}", allow_module_level=True)


def unfold(page):
    """Show what the reader may unfold: solutions, hidden cells."""
    page.evaluate("""() => {
        document.querySelectorAll('details').forEach(each => { each.open = true; });
        document.querySelectorAll('.toggle-hidden').forEach(each => each.classList.remove('toggle-hidden'));
    }""")
