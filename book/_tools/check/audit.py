"""Weigh and time the built book, and let Lighthouse judge it. Ends with a non-zero status where a target is missed.

    python -m _tools.check.audit [--runs 3] [page ...]   pages as in `book/index.html`

Without pages: the preface, the longest page and the lab.

All pages are weighed: what a browser with an empty cache moves for the whole page, folded parts and pictures below the
fold included, and what one moves that comes from the page before. The host is `host.py`: gzip, HTTP/1.1, everything
kept for ten minutes. These numbers are the same in every run, and `tests/site/test_weight.py` holds the book to them.
Times and Lighthouse's scores vary with the machine and its other work: the median of several runs is shown, and the
spread.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from urllib.parse import urljoin

from playwright.sync_api import sync_playwright

from _tools.check.browser import installed
from _tools.check.host import serving
from _tools.notebooks import HTML as SITE
from _tools.notebooks import ROOT, reading_order
from _tools.publish.assets import NODE

LIGHTHOUSE = ROOT / "audit" / "node_modules" / "lighthouse" / "cli" / "index.js"
PREFACE, LAB = "book/index.html", "book/lab.html"
FIRST, FIRST_OF_THE_LAB, NEXT = 1000, 2000, 150  # kB, of 1000 bytes
PERFORMANCE = {"desktop": 95, "mobile": 75}
OTHERS = 95  # accessibility, best practices, search engines
CATEGORIES = ["performance", "accessibility", "best-practices", "seo"]


# Weight ---------------------------------------------------------------------------------------------------------


class Scales:
    """Counts what a page of a browser moves over the network: bytes with headers, and answers; not from its cache."""

    def __init__(self, page):
        self.bytes, self.requests = 0, 0
        session = page.context.new_cdp_session(page)
        session.on("Network.loadingFinished", self.count)
        session.send("Network.enable")

    def count(self, event):
        self.bytes += event["encodedDataLength"]
        self.requests += event["encodedDataLength"] > 0

    def read(self):
        """The counts since the last reading."""
        counted = self.bytes, self.requests
        self.bytes = self.requests = 0
        return counted


def read_through(page, address):
    """Open a page and have all of it drawn: folded parts unfolded, pictures and fonts down to the end of the page."""
    page.goto(address, wait_until="load")
    page.evaluate("""async () => {
        document.querySelectorAll('details').forEach(part => { part.open = true; });
        document.querySelectorAll('.toggle-hidden').forEach(part => part.classList.remove('toggle-hidden'));
        for (let y = 0; y < document.documentElement.scrollHeight; y += innerHeight) {
            scrollTo(0, y);
            await new Promise(done => requestAnimationFrame(() => setTimeout(done)));
        }
        const shown = [...document.images].filter(image => image.checkVisibility());
        await Promise.all(shown.map(image => image.decode().catch(() => 0)));
        await document.fonts.ready;
    }""")
    page.wait_for_load_state("networkidle")


def pages_before():
    """Each page of the table of contents, and the page before it."""
    pages = [f"{page}.html" for page in reading_order()]
    return dict(zip(pages, [None, *pages]))


def weigh(browser, base, path, before):
    """(kB, requests) of a first visit, and of a visit by a reader who comes from the page before."""
    readings = []
    for way in [[path], [before, path]]:
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        page = context.new_page()
        scales = Scales(page)
        for step in way:
            scales.read()
            read_through(page, urljoin(base, step))
        moved, requests = scales.read()
        readings.append((moved / 1000, requests))
        context.close()
    return readings


def overweight(path, first, following):
    """What of a page's weights is over its budget."""
    most = FIRST_OF_THE_LAB if path == LAB else FIRST
    return [
        f"{path}: {what} moves {kB:.0f} kB, more than {limit}"
        for what, kB, limit in [("a first visit", first, most), ("the next page", following, NEXT)]
        if kB >= limit
    ]


# Time -----------------------------------------------------------------------------------------------------------

TIMES = """
    window.lastEquation = new Promise(done => document.addEventListener('DOMContentLoaded', async () => {
        await document.fonts.ready;
        const all = document.querySelectorAll('main .katex-html, main mjx-container');
        all.length && all[all.length - 1].getBoundingClientRect();
        requestAnimationFrame(() => done(performance.now()));
    }));
"""


def times(browser, address):
    """Milliseconds, from an empty cache, to the first paint and to the last equation of the page, with its fonts."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.add_init_script(TIMES)
    page.goto(address, wait_until="load")
    last = page.evaluate("window.lastEquation")
    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    context.close()
    return paint, last


# Lighthouse -----------------------------------------------------------------------------------------------------


def lighthouse(address, form):
    """Lighthouse's scores of a page, from 0 to 100, in the order of `CATEGORIES`."""
    flags = "--headless=new --disable-gpu --no-first-run --disable-background-networking" + " --no-sandbox" * (
        os.geteuid() == 0
    )
    command = [
        NODE,
        LIGHTHOUSE,
        address,
        "--quiet",
        "--output=json",
        f"--chrome-flags={flags}",
        f"--only-categories={','.join(CATEGORIES)}",
        "--no-enable-error-reporting",
    ]
    done = subprocess.run(
        command + ["--preset=desktop"] * (form == "desktop"),
        capture_output=True,
        text=True,
        env={**os.environ, "CHROME_PATH": installed()},
    )
    if done.returncode:
        sys.exit(f"Lighthouse failed on {address}:\n{done.stderr[-2000:]}")
    found = json.loads(done.stdout)["categories"]
    return [100 * (found[category]["score"] or 0) for category in CATEGORIES]


# The table ------------------------------------------------------------------------------------------------------


def longest():
    """The chapter with the largest HTML."""
    return max((SITE / "book").glob("*.html"), key=lambda page: page.stat().st_size).relative_to(SITE).as_posix()


def short_of(path, form, scores):
    """What of a page's scores by Lighthouse is below its target."""
    targets = [PERFORMANCE[form], OTHERS, OTHERS, OTHERS]
    return [
        f"{path}: Lighthouse gives {category} {score:.0f} ({form}), less than {target}"
        for category, score, target in zip(CATEGORIES, scores, targets)
        if score < target
    ]


def spread(values):
    """The median, and the range if there is one."""
    low, middle, high = (f"{value:.0f}" for value in (min(values), statistics.median(values), max(values)))
    return middle if low == high else f"{middle} ({low}–{high})"


def table(rows):
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        print(
            "  "
            + "  ".join(
                cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in enumerate(zip(row, widths))
            ).rstrip(),
            flush=True,
        )


def weights(browser, base):
    """(kB, requests) of a first visit and of the next page, in reading order; pages outside it follow the preface."""
    order = pages_before()
    outside = sorted(
        {page.relative_to(SITE).as_posix() for page in SITE.rglob("*.html") if "_static" not in page.parts}
        - order.keys()
        - {"index.html"}
    )  # which only leads on
    order |= dict.fromkeys(outside, PREFACE)
    order[PREFACE] = next(path for path, before in order.items() if before == PREFACE)  # a reader who returns
    return {path: weigh(browser, base, path, before) for path, before in order.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("pages", nargs="*", help="for Lighthouse; by default the preface, the longest chapter, the lab")
    parser.add_argument("--runs", type=int, default=3, help="how often times and scores are measured (default: 3)")
    options = parser.parse_args()
    if not installed():
        sys.exit("The audit needs an installed Chromium or Chrome.")
    pages, missed = options.pages or [PREFACE, longest(), LAB], []
    with serving(SITE) as base:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=installed(), args=["--disable-gpu"])
            print("Weight: kB and requests; gzip, HTTP/1.1, a cache of ten minutes")
            weighed = weights(browser, base)
            for path, ((first, _), (following, _)) in weighed.items():
                missed += overweight(path, first, following)
            table(
                [
                    ["page", "first visit", "requests", "next page", "requests"],
                    *(
                        [path, f"{first:.0f}", str(asked), f"{following:.0f}", str(more)]
                        for path, ((first, asked), (following, more)) in weighed.items()
                    ),
                ]
            )
            print(f"\nTimes in ms on this machine, nothing slowed down: median of {options.runs} (and range)")
            timed = {path: zip(*[times(browser, urljoin(base, path)) for _ in range(options.runs)]) for path in pages}
            table(
                [
                    ["page", "first paint", "last equation"],
                    *([path, *map(spread, columns)] for path, columns in timed.items()),
                ]
            )
            browser.close()
        print(f"\nLighthouse, its own throttling: median of {options.runs} (and range)")
        rows = [["page", *CATEGORIES]]
        for path in pages:
            for form in PERFORMANCE:
                runs = list(zip(*[lighthouse(urljoin(base, path), form) for _ in range(options.runs)]))
                missed += short_of(path, form, [statistics.median(scores) for scores in runs])
                rows.append([f"{path}, {form}", *map(spread, runs)])
        table(rows)
    if missed:
        sys.exit("\n".join(["\nMissed:", *(f"  {sentence}" for sentence in missed)]))


if __name__ == "__main__":
    main()
