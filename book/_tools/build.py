"""Build the book: execute every notebook, write the ledger, run Sphinx. Any failure ends with a non-zero status.

1. Every notebook runs from its source, never from stored outputs, into `_build/src`. Nothing is cached: a cache keyed
   by the notebook's text would miss an edit of gradlib and show stale numbers.
2. The ledger page "What has been checked" is written from the bundles in the executed notebooks.
3. Sphinx reads `_build/src` with execution off, nit-picky, and with every warning an error. KaTeX typesets the
   mathematics (`typesetting.py`); a formula that it cannot typeset is an error too. Figures get a dark variant
   (`themes.py`).
"""

import json
import os
import re
import shutil
import subprocess
import sys
from html import unescape
from pathlib import Path
from urllib.parse import urlsplit

import yaml
from sphinxcontrib.katex import katex_version

import bundle
import publishing
from _lib import lab
from _lib import checked
from history import git
from notebooks import ANSI, BOOK, ROOT, NotebookError, execute, notebooks, write

BUILD = ROOT / "_build"
STAGE, HTML = BUILD / "src", BUILD / "html"
KATEX = ROOT / "node_modules" / "katex"
UPLOT = ROOT / "node_modules" / "uplot" / "dist"
SHOWN = ["tests/book/test_frameworks.py"]  # code that pages include
GENERATED = "book/checked"  # the page that stage 2 writes
BINDER = "https://mybinder.org"  # serves any hosted repository; the address of this one comes from the git remote


def step(text):
    print(f"\n{text}", flush=True)


def stage():
    """Copy the sources to a fresh staging tree, executed notebooks in place of stored ones."""
    for stale in (STAGE, HTML, BUILD / ".doctrees"):
        shutil.rmtree(stale, ignore_errors=True)
    shutil.copytree(BOOK, STAGE / "book", ignore=shutil.ignore_patterns(
        "*.ipynb", ".ipynb_checkpoints", "__pycache__", "_tools", "checked.*"))
    shutil.copy(ROOT / "_toc.yml", STAGE)
    for shown in SHOWN:
        (STAGE / shown).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / shown, STAGE / shown)
    (STAGE / "_config.yml").write_text(yaml.safe_dump(configuration(), sort_keys=False), "utf8")
    style_of_mathematics(KATEX, STAGE / "book" / "_static" / "katex")
    scripts_of_the_lab(STAGE / "book" / "_static")
    execute(notebooks(), lambda path, notebook: write(staged(path), notebook))
    bundle.pack(STAGE / "book" / f"{bundle.NAME}.zip", bundle.contents([staged(path) for path in notebooks()]))


def style_of_mathematics(katex, target):
    """Copy the style and the fonts of the KaTeX that typesets the book; of its font formats the one browsers ask for."""
    version = json.loads((katex / "package.json").read_text("utf8"))["version"]
    if version != katex_version:
        sys.exit(f"package.json has KaTeX {version}, but sphinxcontrib-katex typesets with {katex_version}: "
                 f"write {katex_version} there and run `make lock UPGRADE=`.")
    style = (katex / "dist" / "katex.min.css").read_text("utf8")
    fonts = sorted(set(re.findall(r"url\((fonts/[^)]+\.woff2)\)", style)))
    (target / "fonts").mkdir(parents=True)
    for font in fonts:
        shutil.copy(katex / "dist" / font, target / font)
    (target / "katex.css").write_text(re.sub(r',url\([^)]+\.(woff|ttf)\) format\("\w+"\)', "", style), "utf8")


def scripts_of_the_lab(target):
    """What the estimator lab needs beside its own script: the library that draws, and gradlib's formulas as JavaScript."""
    (target / "uplot").mkdir(parents=True)
    for file in ("uPlot.iife.min.js", "uPlot.min.css"):
        shutil.copy(UPLOT / file, target / "uplot" / file)
    (target / "lab-data.js").write_text(lab.module(), "utf8")


def staged(path):
    return STAGE / path.relative_to(ROOT)


# The repository's address ---------------------------------------------------------------------------------------

def web_address(remote):
    """The https address of a hosted git remote, without credentials; None for a path on this machine."""
    if scp := re.fullmatch(r"(?:[\w.-]+@)?([\w-]+(?:\.[\w-]+)+):(?!/)(.+)", remote or ""):
        host, path = scp.groups()
    else:
        parts = urlsplit(remote or "")
        if parts.scheme not in {"https", "ssh"}:
            return None
        host, path = parts.hostname, parts.path
    path = path.strip("/").removesuffix(".git")
    return f"https://{host}/{path}" if host and "." in host and path.count("/") >= 1 else None


def configuration(root=ROOT):
    """`_config.yml`, completed by what the git remote tells (repository, edit, issue and launch buttons, or none) and by
    the public address of the site."""
    config = yaml.safe_load((root / "_config.yml").read_text("utf8"))
    address = web_address(git("remote", "get-url", "origin", root=root))
    known = address and re.match(r"https://(github|gitlab|bitbucket)\.", address)
    if known:  # the theme can form links for these hosts only
        default = git("symbolic-ref", "--short", "refs/remotes/origin/HEAD", root=root) or "origin/main"
        config["repository"] = {"url": address, "branch": default.removeprefix("origin/"), "path_to_book": ""}
        config["launch_buttons"] = {"notebook_interface": "jupyterlab", "binderhub_url": BINDER}
        config.setdefault("html", {}).update(
            use_repository_button=True, use_edit_page_button=True, use_issues_button=known[1] != "bitbucket")
    if site := publishing.site_address(config):
        config["html"]["baseurl"] = site
    return config


# Sphinx ---------------------------------------------------------------------------------------------------------

def readable(line):
    """Name the source page, and the cell, where Sphinx names the staged file and 10000 × cell + line."""
    line = ANSI.sub("", line).replace(f"{STAGE}{os.sep}", "")
    return re.sub(r"\.ipynb:(\d+)", lambda m: f".ipynb, cell {int(m[1]) // 10000}, line {int(m[1]) % 10000}", line)


def sphinx():
    """Run Jupyter Book on the staging tree; exit when Sphinx has anything to complain of."""
    command = [Path(sys.executable).with_name("jupyter-book"), "build", STAGE, "--path-output", ROOT,
               "-W", "-n", "--keep-going", "-q"]
    said, complaints = [], []
    with subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)}) as run:
        for line in map(readable, run.stdout):
            said.append(line)
            if re.search(r"(^|: )(WARNING|ERROR|CRITICAL): ", line):
                complaints.append(line)
                print(line, end="", flush=True)
    if run.returncode or complaints:
        print(*([] if complaints else said), sep="", end="")
        sys.exit(f"\nThe book has not been built: Sphinx failed with {len(complaints)} warnings, above.")


def finish():
    """Mend in the HTML what no option reaches: attributes that accessibility checkers refuse, a link to no source."""
    attributes = [('<summary aria-label="Toggle hidden content">', "<summary>"),
                  ('<div role="list" class="citation-list">', '<div class="citation-list">'),
                  (' role="doc-biblioentry"', "")]
    for page in HTML.rglob("*.html"):
        text = old = page.read_text("utf8")
        for refused, mended in attributes:
            text = text.replace(refused, mended)
        if page == HTML / f"{GENERATED}.html":  # nothing to edit: the page is generated
            text = re.sub(r'<li><a href="[^"]*/edit/[^"]*".*?</li>', "", text, flags=re.S)
        if text != old:
            page.write_text(text, "utf8")


def bad_mathematics(html):
    """What KaTeX could not typeset in a page, each with its reason. It marks such places red, and goes on."""
    return [unescape(found[1] or found[2]) for found in re.finditer(
        r'class="katex-error" title="([^"]*)"|<math\b(?:(?!</math>).)*mathcolor="#cc0000".*?'
        r'<annotation encoding="application/x-tex">(.*?)</annotation>', html, re.S)]


def check_mathematics():
    bad = [f"{page.relative_to(HTML)}: {reason}" for page in sorted(HTML.rglob("*.html"))
           for reason in bad_mathematics(page.read_text("utf8"))]
    if bad:
        sys.exit("\n".join(["\nThe book is wrong: KaTeX could not typeset", *(f"  {each}" for each in bad)]))


def main():
    step("1/3  Executing the notebooks")
    try:
        stage()
    except NotebookError as error:
        sys.exit(f"\nThe book has not been built.\n\n{error}")
    step("2/3  Writing the ledger of what has been checked")
    checked.write_page([staged(path) for path in notebooks()], STAGE / f"{GENERATED}.md")
    step("3/3  Building the HTML")
    sphinx()
    finish()
    check_mathematics()
    page = HTML / "index.html"
    step(f"The book is ready. Open\n  {page}\n  {page.as_uri()}")


if __name__ == "__main__":
    main()
