"""The index names the chapters that use a term, and the search knows words and no TeX."""

import json

import pytest
from docutils import nodes

import miniature
from _tools.publish import indexing

PAGES = {
    "index.rst": "Front\n=====\n\n.. toctree::\n   :numbered:\n\n   one\n   two\n\n"
    ".. toctree::\n\n   book/notation\n   book/reference\n",
    "one.rst": "First\n=====\n\n"
    "A :term:`score` is near a :term:`draw`, and again the :term:`score`. Also :index:`Stein`.\n\n"
    "It is :math:`\\frac{a}{b}` here.\n\n.. math::\n   :label: eq-a\n\n   \\mathbb{R}\n",
    "two.rst": "Second\n======\n\nAnother :term:`draw`, and :index:`Stein` twice: :index:`Stein`.\n",
    "book/notation.rst": "Words\n=====\n\n"
    ".. glossary::\n\n   score\n     See :term:`draw`.\n\n   draw\n     A value.\n",
    "book/reference.rst": "Names\n=====\n\n.. py:currentmodule:: gradlib\n\n.. py:function:: exact()\n\n"
    ".. py:currentmodule:: gradlib.inner\n\n.. py:function:: hidden()\n",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    out, said = miniature.build(
        tmp_path_factory.mktemp("index"), PAGES, ["_tools.publish.indexing"], html_domain_indices=False
    )
    assert said == ""
    return out


def entry(site, name):
    """The line of the index for a name."""
    return next(
        (line for line in (site / "genindex.html").read_text("utf8").splitlines() if f"<li>{name}," in line), None
    )


def test_an_entry_leads_to_the_definition_and_to_the_chapters(site):
    assert [text for text in ("definition", ">1</a>", ">2</a>") if text in entry(site, "draw")] == [
        "definition",
        ">1</a>",
        ">2</a>",
    ]
    assert 'href="book/notation.html#term-draw"' in entry(site, "draw") and 'href="two.html#term-use-1"' in entry(
        site, "draw"
    )
    assert 'aria-label="Chapter 2, Second"' in entry(site, "draw")
    assert 'id="term-use-1"' in (site / "two.html").read_text("utf8")


def test_only_the_first_mention_of_a_page_counts_and_the_glossary_does_not(site):
    assert entry(site, "score").count("<a ") == 2 and ">2</a>" not in entry(site, "score")
    assert entry(site, "draw").count("notation.html") == 1
    assert entry(site, "Stein").count(">2</a>") == 1
    assert (site / "one.html").read_text("utf8").count('id="term-use-') == 2, "the third mention repeats the first"


def test_of_the_library_the_public_names_stand_there(site):
    assert 'href="book/reference.html#gradlib.exact"' in entry(site, r"exact() (gradlib)")
    assert "hidden" not in (site / "genindex.html").read_text("utf8")


def test_the_index_is_in_the_contents(site, tmp_path):
    assert '<a class="reference internal" href="genindex.html">Index</a>' in (site / "index.html").read_text("utf8")
    without, _ = miniature.build(
        tmp_path, PAGES, ["_tools.publish.indexing"], html_use_index=False, html_domain_indices=False
    )
    assert "genindex.html" not in (without / "index.html").read_text("utf8")


@pytest.mark.parametrize("extensions, known", [(["_tools.publish.indexing"], False), ([], True)])
def test_the_search_knows_words_and_no_tex(tmp_path, extensions, known):
    pages = {"index.rst": PAGES["one.rst"].replace(":term:", ":emphasis:")}
    out, _ = miniature.build(
        tmp_path, pages, extensions, root_doc="index", **({} if extensions else {"templates_path": []})
    )
    terms = json.loads((out / "searchindex.js").read_text("utf8").removeprefix("Search.setIndex(").removesuffix(")"))[
        "terms"
    ]
    assert ("frac" in terms, "mathbb" in terms) == (known, known)
    assert "score" in terms and "draw" in terms


def test_the_page_itself_keeps_its_mathematics():
    page = nodes.paragraph("", "", nodes.Text("a "), nodes.math("x", "x"))
    assert indexing.without_mathematics(page).astext() == "a " and page.astext() == "a x"
