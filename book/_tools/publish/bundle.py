"""One archive of all notebooks with what they need to run: gradlib, the book's own code, data, locked requirements.

The archive of the same sources is the same in every byte: names in order, no dates, no owners.
"""

import re
import tomllib
import zipfile
from pathlib import Path

from _tools.notebooks import BOOK, ROOT

NAME = "gradients-of-expectations"
EXTRAS = ["plot", "cluster", "control"]  # of pyproject.toml: what the notebooks import
READERS = ["jupyterlab", "ipykernel"]  # and what shows and runs them
EPOCH = (1980, 1, 1, 0, 0, 0)  # the first day that the format knows

README = """\
# Gradients of Expectations: the notebooks

With Python {python} or newer, in this folder:

Linux or macOS

    python3 -m venv .venv && .venv/bin/python -m pip install -r requirements.txt
    .venv/bin/python -m jupyterlab {first}

Windows (PowerShell)

    py -m venv .venv; .venv\\Scripts\\python -m pip install -r requirements.txt
    .venv\\Scripts\\python -m jupyterlab {first}

The first line fetches {packages} packages at most, in the versions and with the checksums that the book was built with.
The second opens the first notebook. On Debian or Ubuntu, venv is the package python3-venv.

In reading order: {order}.

- `gradlib/` is the book's library, `_lib/` draws its figures. The notebooks import both from this folder; nothing needs
  to be installed.
- `data/` holds the data set of four chapters, with its source and its licence.
- The notebooks are stored executed. *Run all cells* repeats what they show.
- Links between chapters, as in {{doc}}`notation`, work in the web book; here they are plain text.

Code: MIT (LICENSE). Text and figures: CC BY 4.0 (LICENSE-TEXT). Data: see data/README.md.
"""


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def needed(project):
    """The packages that a reader needs, of those that pyproject.toml names."""
    wanted = [*project["dependencies"], *READERS]
    for extra in EXTRAS:
        wanted += project["optional-dependencies"][extra]
    return {normal(re.match(r"[\w.-]+", package)[0]) for package in wanted}


def requirements(lock, wanted):
    """The part of the lock that the wanted packages need. The lock says of each package what it was taken in for."""
    blocks = [block for block in re.split(r"\n(?=[a-zA-Z0-9])", lock.rstrip("\n")) if not block.startswith("#")]
    names = [normal(re.match(r"[\w.-]+", block)[0]) for block in blocks]
    via = re.compile(r"^\s+#\s+(?:via )?([\w.-]+)(?:\[[\w,.-]+\])?$", re.M)
    parents = [set(map(normal, via.findall(block))) for block in blocks]
    if lost := wanted - set(names):
        raise SystemExit(f"requirements.txt does not hold {', '.join(sorted(lost))}; run `make lock UPGRADE=`.")
    kept, grown = set(), set(wanted)
    while grown - kept:
        kept |= grown
        grown = {name for name, parent in zip(names, parents) if parent & kept}
    return "\n".join(block for block, name in zip(blocks, names) if name in kept) + "\n", len(kept)


def contents(notebooks, root=ROOT):
    """The archive's files: path, bytes. The notebooks are given executed, in reading order."""
    with open(root / "pyproject.toml", "rb") as file:
        project = tomllib.load(file)["project"]
    lock, packages = requirements((root / "requirements.txt").read_text("utf8"), needed(project))
    readme = README.format(
        python=project["requires-python"].strip(">="),
        first=notebooks[0].name,
        packages=packages,
        order=", ".join(path.stem for path in notebooks),
    )
    files = {"README.md": readme.encode(), "requirements.txt": lock.encode()}
    files |= {name: (root / name).read_bytes() for name in ("LICENSE", "LICENSE-TEXT", "CITATION.cff")}
    files |= {path.name: path.read_bytes() for path in notebooks}
    book = root / BOOK.name
    for folder, beside in [("gradlib", root), ("_lib", book), ("data", book)]:
        files |= {
            path.relative_to(beside).as_posix(): path.read_bytes()
            for path in (beside / folder).rglob("*")
            if path.is_file() and path.suffix != ".pyc"
        }
    return files


def pack(target, files):
    with zipfile.ZipFile(target, "w") as archive:
        for name, data in sorted(files.items()):
            entry = zipfile.ZipInfo(f"{NAME}/{name}", EPOCH)
            entry.create_system, entry.external_attr = 3, 0o644 << 16  # the same on every system: a plain file
            archive.writestr(entry, data, zipfile.ZIP_DEFLATED, 9)


# In the site --------------------------------------------------------------------------------------------------------


def add_button(app, page, template, context, doctree):
    """Offer the archive, to which the first page links, in the menu of downloads too."""
    for file, (_, copy) in app.env.dlfiles.items():
        for menu in context.get("header_buttons", []):
            if Path(file).name == f"{NAME}.zip" and menu.get("label") == "download-buttons":
                menu["buttons"].append(
                    {
                        "type": "link",
                        "url": context["pathto"](f"_downloads/{copy}", 1),
                        "text": "all .ipynb (.zip)",
                        "tooltip": "All notebooks, with what they need to run",
                        "icon": "fas fa-file-zipper",
                        "label": "download-bundle-button",
                    }
                )


def setup(app):
    app.connect("html-page-context", add_button, priority=502)  # after the theme has made the menu
    return {"parallel_read_safe": True}
