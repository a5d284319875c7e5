"""Data flows one way: which package may import which, private names included."""

import ast
import graphlib
from pathlib import Path

import gradlib

ROOT = Path(gradlib.__file__).parent
MAY_IMPORT = {  # a package, and those that it may build on
    "core": set(),
    "sound": {"core"},
    "oracle": {"core", "sound"},
    "engine": {"core", "sound"},  # what has no mean is not averaged
    "rules": {"core", "sound", "oracle"},  # the best baseline and the best coefficients are expectations: exact ones
    "arrays": {"core", "sound", "rules", "engine"},
    "compare": {"core", "sound", "rules", "engine", "oracle"},
    "proof": {"core"},
}


def imports(source: str):
    """(module, name) for everything that a file takes from gradlib, at its head or inside a function."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in {"gradlib", "_lib"}:
            yield from ((node.module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names if alias.name.split(".")[0] in {"gradlib", "_lib"})


def faults(files: dict[str, str]) -> list[str]:
    """What the files (path below gradlib ↦ source) import against the arrows, and their circles."""
    found, graph = [], {}
    for path, source in files.items():
        here = path.removesuffix(".py").split("/")
        for module, name in imports(source):
            there = module.split(".")[1:]
            if f"{'/'.join([*there, name])}.py" in files:  # from gradlib.engine import implicit
                there = [*there, name]
            if module.startswith("_lib") or not there or there[0] != here[0] and there[0] not in MAY_IMPORT[here[0]]:
                found.append(f"{path} imports {module}")
            elif there[0] != here[0] and name.startswith("_"):
                found.append(f"{path} imports the private {module}.{name}")
            graph.setdefault("/".join(here), set()).add("/".join(there))
    try:
        tuple(graphlib.TopologicalSorter(graph).static_order())
    except graphlib.CycleError as circle:
        found.append(f"a circle: {' -> '.join(circle.args[1])}")
    return found


FILES = {
    path.relative_to(ROOT).as_posix(): path.read_text("utf8")
    for path in sorted(ROOT.rglob("*.py"))
    if path.name != "__init__.py"
}


def test_data_flows_one_way():
    assert {path.removesuffix(".py").split("/")[0] for path in FILES} == set(MAY_IMPORT)
    assert faults(FILES) == []


def test_what_must_not_be_is_found():
    def wrong(path, line):
        return faults({**FILES, path: FILES[path] + f"\n{line}\n"})

    lazily = "def f():\n    from gradlib.engine.sampling import Draws"
    assert wrong("core/law.py", lazily)[0] == "core/law.py imports gradlib.engine.sampling"
    assert (
        wrong("engine/runner.py", "import gradlib.oracle.exact")[0] == "engine/runner.py imports gradlib.oracle.exact"
    )
    assert wrong("engine/implicit.py", "from gradlib.core.law import _tidy") == [
        "engine/implicit.py imports the private gradlib.core.law._tidy"
    ]
    assert wrong("compare.py", "def plot(self):\n    from _lib import charts") == ["compare.py imports _lib"]
    assert "a circle" in wrong("core/memory.py", "from gradlib.core.normals import standard_normal")[0]
    assert wrong("proof/lower.py", "from gradlib import Expectation") == ["proof/lower.py imports gradlib"]
