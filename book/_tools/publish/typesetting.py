"""sphinxcontrib-katex with the environment's own node, patient with it, and with a few symbols more.

The extension connects as soon as the socket's file exists, an instant before node listens there; on a busy machine the
connection is refused and the build fails. Here it is tried again.
"""

import re
import socket
import time
from html import unescape
from pathlib import Path
from subprocess import PIPE, Popen

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from sphinxcontrib import katex

from _tools.publish.assets import NODE

PATIENCE = 60.0  # seconds
# Symbols that KaTeX knows in mathematics only, for the reasons of a derivation's steps, which are text.
SYMBOLS = {
    "∇": r"\nabla",
    "∫": r"\int",
    "∑": r"\sum",
    "∂": r"\partial",
    "∞": r"\infty",
    "≤": r"\le",
    "≥": r"\ge",
    "α": r"\alpha",
    "ε": r"\varepsilon",
    "θ": r"\theta",
    "λ": r"\lambda",
    "μ": r"\mu",
    "π": r"\pi",
    "σ": r"\sigma",
}
MACROS = {symbol: rf"\TextOrMath{{${command}$}}{{{command}}}" for symbol, command in SYMBOLS.items()}


def start(rundir, timeout=PATIENCE):
    """A node that typesets, and a socket to it."""
    server = katex.KaTeXServer
    file = Path(rundir) / "katex.sock"
    process = Popen(server.build_command(socket=file), stdin=PIPE, stdout=PIPE, cwd=rundir)
    until = time.monotonic() + timeout
    while time.monotonic() < until and process.poll() is None:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(str(file))
            return process, connection
        except (FileNotFoundError, ConnectionRefusedError):
            connection.close()
            time.sleep(0.01)
    process.kill()
    raise server.timeout_error(timeout)


class Unbroken(SphinxPostTransform):
    """Keep a formula together with the bracket before it and the punctuation after it: browsers would break there."""

    default_priority = 900
    formats = ("html",)

    def run(self):
        for formula in list(self.document.findall(nodes.math)):
            if "symbol" in formula.parent.get("classes", []):  # a link to the notation page
                formula = formula.parent
            siblings, i = formula.parent.children, formula.parent.index(formula)
            before = siblings[i - 1] if i and isinstance(siblings[i - 1], nodes.Text) else ""
            after = siblings[i + 1] if i + 1 < len(siblings) and isinstance(siblings[i + 1], nodes.Text) else ""
            opening, closing = re.search(r"[(\[“]*$", before)[0], re.match(r"[.,;:!?)\]”’]*", after)[0]
            if opening or closing:
                kept = [nodes.Text(before[: len(before) - len(opening)])] if opening else [before] if before else []
                kept.append(
                    nodes.inline(
                        "", "", nodes.Text(opening), formula.deepcopy(), nodes.Text(closing), classes=["unbroken"]
                    )
                )
                kept += [nodes.Text(after[len(closing) :])] if closing else [after] if after else []
                formula.parent[i - bool(before) : i + 1 + bool(after)] = [piece for piece in kept if piece]


def bad_mathematics(html):
    """What KaTeX could not typeset in a page, each with its reason. It marks such places red, and goes on."""
    return [
        unescape(found[1] or found[2])
        for found in re.finditer(
            r'class="katex-error" title="([^"]*)"|<math\b(?:(?!</math>).)*mathcolor="#cc0000".*?'
            r'<annotation encoding="application/x-tex">(.*?)</annotation>',
            html,
            re.S,
        )
    ]


def refuse_bad_mathematics(app, exception):
    if not exception and app.builder.format == "html":
        site = Path(app.outdir)
        for page in sorted(site.rglob("*.html")):
            for reason in bad_mathematics(page.read_text("utf8")):
                logging.getLogger(__name__).warning(
                    "KaTeX could not typeset %s", reason, location=page.relative_to(site).with_suffix("").as_posix()
                )


def setup(app):
    app.setup_extension("sphinxcontrib.katex")
    app.add_post_transform(Unbroken)
    app.connect("build-finished", refuse_bad_mathematics)
    katex.NODEJS_BINARY = str(NODE)
    katex.KATEX_DEFAULT_OPTIONS["macros"] = MACROS
    katex.STARTUP_TIMEOUT = katex.RENDER_TIMEOUT = PATIENCE
    katex.KaTeXServer.start_server_process = staticmethod(start)
    return {"parallel_read_safe": True}
