"""What is wrong with a stored notebook: all that would make the build or nbval pass over a cell in silence."""

import ast
import re

import nbformat

from _tools.execute import normalise
from _tools.publish.themes import colours

# Tags that change how a cell is shown, and the one that announces an error. Any other tag could make the build or
# nbval pass over a cell in silence (skip-execution, nbval-skip, nbval-ignore-output, remove-cell, ...).
TAGS = {"hide-input", "hide-output", "hide-cell", "remove-input", "full-width", "raises-exception"}
SILENCING = re.compile(r"#\s*(NBVAL_(IGNORE_OUTPUT|SKIP)|PYTEST_VALIDATE_IGNORE_OUTPUT)")
FOLDERS = "home|root|Users|tmp|var|usr|opt|work|mnt|private"
MACHINE = re.compile(rf"(?<![\w.])/(?:{FOLDERS})/\w|\b[A-Z]:\\Users\b|\b0x[0-9a-f]{{8,}}\b")


def must_print(source):
    """True where the last statement clearly yields an output: a print, or a value that is no bare call."""
    try:
        body = ast.parse(source).body
    except SyntaxError:
        return False
    if not body or not isinstance(body[-1], ast.Expr):
        return False
    value = body[-1].value
    if isinstance(value, ast.Call):
        name = ast.unparse(value.func)
        return name in {"print", "display"} or name.endswith(".show") or name.endswith("Derivation")
    return True


def alternative_text(cell):
    return cell.metadata.get("mystnb", {}).get("image", {}).get("alt")


def printed(output):
    """All that an output says, pictures left out."""
    said = [value for mime, value in output.get("data", {}).items() if not mime.startswith("image/")]
    return "\n".join(map(str, [*said, output.get("text", ""), output.get("evalue", "")]))


def cell_problems(cell):
    """What is wrong with one stored code cell: everything under which nbval would compare nothing and say nothing."""
    outputs = cell.outputs
    if cell.execution_count is None:
        yield "stored unexecuted"
    if any(out.output_type == "error" for out in outputs) and "raises-exception" not in cell.metadata.get("tags", []):
        yield "an error stands in the stored output"
    figures = [out.data for out in outputs if any(mime.startswith("image/") for mime in out.get("data", {}))]
    if figures and not alternative_text(cell):
        yield "the figure has no alternative text (cell metadata mystnb: image: alt)"
    if any("image/svg+xml" not in data for data in figures):
        yield "the figure is no SVG; end the cell in style.show(figure)"
    if strange := [colour for data in figures for colour in colours(data.get("image/svg+xml", ""))]:
        yield f"the figure has colours that style.DARK does not know: {', '.join(strange)}"
    if not outputs and must_print(cell.source):
        yield "the output is missing"
    if cell.source.lstrip()[:1] in {"%", "!"}:
        yield "begins with a magic: where it is unknown the cell passes without being executed"
    if SILENCING.search(cell.source):
        yield "a comment switches nbval off"
    if cell.source.rstrip().endswith(";"):
        yield "ends in a semicolon, which does not silence the cell under nbval; assign the value instead"
    if found := MACHINE.search("\n".join(map(printed, outputs))):
        yield f"an output names this machine: {found.group()}…"


def problems(notebook):
    """All that is wrong with a stored notebook, as sentences that name the cell."""
    found = []
    for number, cell in enumerate(notebook.cells, 1):
        said = [f"tag {tag!r} is not allowed" for tag in cell.metadata.get("tags", []) if tag not in TAGS]
        if cell.cell_type == "code":
            said += cell_problems(cell)
        found += [f"cell {number}: {sentence}" for sentence in said]
    if nbformat.writes(notebook) != nbformat.writes(normalise(notebook)):
        found.append("not normalised; `make execute` does it")
    return found
