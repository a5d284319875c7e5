"""What a page need not carry: scripts that block it, glyphs that no page shows, what is not in sight yet.

A Sphinx extension. It changes how things are loaded, not what a reader sees:

- scripts wait until the page has been read (`defer`), in the same order;
- styles keep the rules that can apply in some page (PurgeCSS), fonts the characters that occur in one;
- equations and code far from the window are not laid out before they are needed, but have their height.
"""

import json
import logging
import re
import subprocess
from html import unescape
from pathlib import Path

from docutils import nodes
from fontTools import subset
from sphinx.builders.html._assets import _JavaScript
from sphinx.errors import ExtensionError
from sphinx.writers.html5 import HTML5Translator
from sphinxcontrib import katex

from _tools.notebooks import ROOT
from _tools.publish.assets import NODE

logging.getLogger("fontTools").setLevel(logging.WARNING)  # it tells of every table of every font
EAGER = {"documentation_options.js"}  # small, and scripts within the page read it while the page is being read


# Scripts --------------------------------------------------------------------------------------------------------


def defer(app, pagename, templatename, context, doctree):
    """Let scripts wait for the page; not those of the search, whose template relies on their order."""
    if pagename != "search":
        context["script_files"] = [
            _JavaScript(script.filename, priority=script.priority, **{**script.attributes, "defer": "defer"})
            if script.filename and Path(script.filename).name not in EAGER
            else script
            for script in context["script_files"]
        ]


# Styles ---------------------------------------------------------------------------------------------------------

PURGE = ROOT / "node_modules" / "purgecss" / "bin" / "purgecss.js"
OWN = {"custom.css", "lab.css"}  # written for this book


def purge(site):
    """Take out of the styles of others what no page and no script can ask for."""
    styles = [style for style in sorted((site / "_static").rglob("*.css")) if style.name not in OWN]
    done = subprocess.run(
        [NODE, PURGE, "--css", *styles, "--content", site / "**/*.html", site / "_static/**/*.js"],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise ExtensionError(f"PurgeCSS failed: {done.stderr}")
    for style in json.loads(done.stdout):
        Path(style["file"]).write_text(style["css"], "utf8")


# Fonts ----------------------------------------------------------------------------------------------------------

RULE = re.compile(r"([^{}]+)\{([^{}]*)\}")
ESCAPE = re.compile(r"""["']\\([0-9a-fA-F]{1,6})["']""")  # of a character, in `content` or in a variable


def characters(site):
    """All characters that the pages show: those of their text, and the icons of style rules that apply in them."""
    pages = [page.read_text("utf8") for page in site.rglob("*.html")]
    scripts = [script.read_text("utf8") for script in site.rglob("*.js")]
    classes = set(re.findall(r"\bfa-[\w-]+", "".join(pages + scripts)))
    shown = set(map(ord, unescape("".join(pages))))
    for style in site.rglob("*.css"):
        for rule, body in RULE.findall(style.read_text("utf8")):
            names = set(re.findall(r"\.(fa-[\w-]+)", rule))
            if not names or names & classes:
                shown.update(map(ord, body), (int(code, 16) for code in ESCAPE.findall(body)))
    return shown


def subset_font(file, codes):
    """Keep of a font the glyphs of some characters."""
    options = subset.Options(flavor="woff2", layout_features=["*"], notdef_outline=True)
    font = subset.load_font(file, options)
    kept = subset.Subsetter(options)
    kept.populate(unicodes=codes)
    kept.subset(font)
    subset.save_font(font, file, options)


# Equations and code ---------------------------------------------------------------------------------------------

STRUT = re.compile(r'class="strut" style="height:([\d.]+)em;(?:vertical-align:(-?[\d.]+)em;)?"')
SCALE, LINE = 1.21, 1.2  # KaTeX's font size and line height, in ems of the text around


def height(formula):
    """The height of a displayed formula, in ems of the text around, from the struts that KaTeX puts into its pieces."""
    struts = [(float(whole), -float(shift or 0)) for whole, shift in STRUT.findall(formula)]
    above = max((whole - depth for whole, depth in struts), default=0)
    below = max((depth for _, depth in struts), default=0)
    return SCALE * max(above + below, LINE)


def prepared(formula):
    """A formula that takes its place although it is laid out only near the window, and says whether it may break."""
    if formula.count('class="base"') > 1:
        formula = formula.replace('<span class="katex">', '<span class="katex breakable">', 1)
    size = f"contain-intrinsic-height:auto {height(formula):.2f}em"
    return formula.replace('<span class="katex-display">', f'<span class="katex-display" style="{size}">', 1)


def visit_literal_block(self, node):
    """Code that takes its place although it is laid out only near the window."""
    start = len(self.body)
    try:
        HTML5Translator.visit_literal_block(self, node)  # ends by telling docutils that this node is done
    finally:
        lines = node.astext().rstrip("\n").count("\n") + 1
        plain, sized = '<div class="highlight">', f'<div class="highlight" style="--lines:{lines}">'
        self.body[start:] = [html.replace(plain, sized, 1) for html in self.body[start:]]


# ----------------------------------------------------------------------------------------------------------------


def finish(app, exception):
    """What can only be done when all pages are there."""
    if not exception and app.builder.format == "html":
        site = Path(app.outdir)
        for unused in [*site.rglob("*.map"), *site.rglob("fontawesome.js*")]:  # of the theme; no page loads them
            unused.unlink(missing_ok=True)
        purge(site)
        codes = characters(site)
        for file in sorted((site / "_static").rglob("*.woff2")):
            subset_font(file, codes)


def setup(app):
    render = katex.render_latex
    katex.render_latex = lambda latex, options=None: prepared(render(latex, options))
    app.connect("html-page-context", defer, priority=900)  # when themes and extensions have added theirs
    app.connect("build-finished", finish, priority=900)
    app.add_node(nodes.literal_block, override=True, html=(visit_literal_block, HTML5Translator.depart_literal_block))
    return {"parallel_read_safe": True}
