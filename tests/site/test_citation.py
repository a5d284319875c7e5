"""How to cite the book: what the page says is what CITATION.cff says, and BibTeX reads it."""

import pytest
from pybtex.database import parse_string
from pybtex.scanner import PybtexSyntaxError

import miniature
from _tools.publish import citation

RECORD = citation.read()
PEOPLE = {
    "title": "A Title: and more",
    "type": "software",
    "version": "2.0",
    "date-released": "2027-05-01",
    "doi": "10.1/x",
    "authors": [{"family-names": "Lovelace", "given-names": "Ada"}, {"name": "The Others"}],
}


def disagreements(text, record):
    """Where an entry for BibTeX says something else than the record."""
    (entry,) = parse_string(text, "bibtex").entries.values()
    people = [" ".join(person.last_names).strip("{}") for person in entry.persons["author"]]
    said = {
        "title": entry.fields["title"].strip("{}"),
        "version": entry.fields.get("version"),
        "doi": entry.fields.get("doi"),
        "authors": people,
        "type": entry.type,
    }
    meant = {
        "title": record["title"],
        "version": record.get("version"),
        "doi": record.get("doi"),
        "type": record["type"],
        "authors": [person.get("name") or person["family-names"] for person in record["authors"]],
    }
    return [name for name in meant if said[name] != meant[name]]


@pytest.mark.parametrize("record", [RECORD, PEOPLE], ids=["the book", "people"])
def test_bibtex_agrees_with_the_file(record):
    assert disagreements(citation.bibtex(record), record) == []


@pytest.mark.parametrize(
    "name, other",
    [
        ("title", "Another"),
        ("version", "9.9"),
        ("doi", "10.9/y"),
        ("authors", [{"name": "Another"}]),
        ("type", "dataset"),
    ],
)
def test_a_disagreement_is_noticed(name, other):
    assert disagreements(citation.bibtex(RECORD), {**RECORD, name: other}) == [name]


def test_broken_bibtex_is_noticed():
    with pytest.raises(PybtexSyntaxError):
        disagreements(citation.bibtex({**RECORD, "title": "A brace { too many"}), RECORD)


def test_nothing_is_made_up(tmp_path):
    fields = citation.fields(RECORD, root=tmp_path)  # a folder without git
    assert set(fields) == {"author", "title", "version"}
    assert "url" not in citation.bibtex(RECORD) and "http" not in citation.sentence(RECORD)


def test_year_and_commit():
    assert citation.fields(PEOPLE)["year"] == "2027" and "note" not in citation.fields(PEOPLE)
    assert citation.fields(RECORD)["note"].startswith("Commit ")


def test_sentence():
    assert citation.sentence(PEOPLE, address="https://example.org/book/") == (
        "Lovelace, Ada; The Others (2027). *A Title: and more*. Version 2.0. doi:10.1/x. https://example.org/book/."
    )


def test_the_page(tmp_path):
    page = "# Cite\n\n```{citation} text\n```\n\n```{citation} bibtex\n```\n"
    out, said = miniature.build(
        tmp_path, {"index.md": page}, ["_tools.publish.citation"], html_baseurl="https://example.org/book/"
    )
    page = (out / "index.html").read_text("utf8")
    assert said == "" and f"<em>{RECORD['title']}</em>" in page
    assert "highlight-bibtex" in page and "https://example.org/book/" in page
