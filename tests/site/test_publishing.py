"""Descriptions always; canonical addresses, previews, a site map, absolute links only with a public address."""

import re
import xml.etree.ElementTree as ET
from datetime import UTC, datetime

import pytest
from sphinx.errors import ConfigError

import miniature
from _tools.publish import addresses, publishing
from _tools.publish.history import Change

ADDRESS = "https://example.org/some/book/"
PAGES = {
    "index.md": '# Front\n\nA page with "quotes" & more, which is long enough to be a description.\n\n'
    "```{toctree}\nchapter\nbook/notation\n```\n",
    "chapter.md": "---\nmyst:\n  html_meta:\n    description: What the author wrote.\n---\n\n"
    "# Chapter\n\nSomething else, which is long enough to be one too.\n",
    "book/notation.md": "# Notation\n\nThe symbols of this book, in the order in which they are used.\n",
}


@pytest.fixture(scope="module", params=["", ADDRESS], ids=["no address", "address"])
def site(request, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        day = Change(datetime(2026, 3, 1, tzinfo=UTC), "1f")
        patch.setattr(publishing, "last_change_of", {"chapter": day}.get)
        out, said = miniature.build(
            tmp_path_factory.mktemp("site"),
            PAGES,
            ["_tools.publish.publishing"],
            html_baseurl=request.param,
            html_use_index=False,
        )
    assert said == ""
    return out, request.param


def tags(page):
    """What the head of a page says, by name."""
    html = page.read_text("utf8")
    named = re.findall(r'<meta (?:name|property)="([^"]+)" content="([^"]*)"', html)
    turned = [(name, content) for content, name in re.findall(r'<meta content="([^"]*)" name="([^"]+)"', html)]
    return dict([*named, *turned]) | {"canonical": "".join(re.findall(r'<link rel="canonical" href="([^"]*)"', html))}


def test_every_page_has_one_description(site):
    out, _ = site
    assert (
        tags(out / "index.html")["description"]
        == "A page with “quotes” &amp; more, which is long enough to be a description."
    )
    assert tags(out / "chapter.html")["description"] == "What the author wrote."
    for page in out.rglob("*.html"):
        if "_static" not in page.parts:
            assert page.read_text("utf8").count('name="description"') == 1, page


def test_previews_and_canonical_addresses(site):
    out, address = site
    said = tags(out / "chapter.html")
    if address:
        assert said["canonical"] == said["og:url"] == f"{ADDRESS}chapter.html"
        assert (said["og:title"], said["og:description"], said["og:type"]) == (
            "Chapter",
            "What the author wrote.",
            "article",
        )
        assert tags(out / "index.html")["og:type"] == "website"
        assert (
            said["og:image"] == f"{ADDRESS}_static/card.png"
            and (out / "_static" / "card.png").read_bytes()[1:4] == b"PNG"
        )
    else:
        assert said["canonical"] == "" and not [name for name in said if name.startswith(("og:", "twitter:"))]
        assert not (out / "_static" / "card.png").exists()


def test_site_map(site):
    out, address = site
    assert (out / "sitemap.xml").exists() == bool(address)
    if address:
        name = "{http://www.sitemaps.org/schemas/sitemap/0.9}"
        rows = {
            row.findtext(f"{name}loc"): row.findtext(f"{name}lastmod")
            for row in ET.parse(out / "sitemap.xml").getroot()
        }
        assert rows == {
            f"{ADDRESS}chapter.html": "2026-03-01",
            f"{ADDRESS}index.html": None,
            f"{ADDRESS}book/notation.html": None,
        }


def relative(html):
    """The addresses in a page that depend on where it is shown."""
    return [
        found
        for found in re.findall(r'\b(?:href|src|action|content_root)="([^"]*)"', html)
        if not re.match(r"#|/|[a-z][a-z+.-]*:", found)
    ]


def test_the_page_for_errors(site):
    out, address = site
    html = (out / "404.html").read_text("utf8")
    assert tags(out / "404.html")["robots"] == "noindex" and tags(out / "404.html")["canonical"] == ""
    assert 'role="search"' in html
    if address:
        assert relative(html) == []
        for rooted in (
            'href="/some/book/book/notation.html"',
            'content_root="/some/book/"',
            'action="/some/book/search.html"',
        ):
            assert rooted in html
    else:
        assert "book/notation.html" in relative(html) and "/some/book" not in html


def test_rooted_leaves_the_rest_alone():
    html = (
        '<a href="#top"></a><a href="https://example.org/"></a><a href="/x"></a><img src="data:,">'
        '<a title="a.html" href="./a.html#b">a.html</a>'
    )
    assert publishing.rooted(html, "/base/") == html.replace('"./a.html#b"', '"/base/a.html#b"')


@pytest.mark.parametrize(
    "given, address",
    [
        ("https://example.org/book", "https://example.org/book/"),
        ("https://example.org/", "https://example.org/"),
        ("", None),
        (None, None),
    ],
)
def test_address(given, address):
    assert addresses.checked(given) == address


@pytest.mark.parametrize(
    "given",
    [
        "example.org/book",
        "file:///srv/book",
        "https:///book",
        "/book/",
        "https://example.org/?a=b",
        "ftp://example.org/",
    ],
)
def test_what_is_no_address_stops_the_build(given):
    with pytest.raises(ConfigError, match="SITE_ADDRESS"):
        addresses.checked(given)


def test_the_environment_comes_first(monkeypatch):
    monkeypatch.delenv("SITE_ADDRESS", raising=False)
    assert (
        addresses.site_address() is None and addresses.site_address("https://example.org/a") == "https://example.org/a/"
    )
    monkeypatch.setenv("SITE_ADDRESS", "https://example.org/b")
    assert addresses.site_address("https://example.org/a") == "https://example.org/b/" == addresses.site_address()


@pytest.mark.parametrize(
    "text, kept",
    [
        ("Short.", "Short."),
        ("One. Two is longer. Three", "One. Two is longer."),
        ("Is it? Yes, at e.g. nine, and so on", "Is it?"),
        ("A single sentence, without an end", "A single sentence …"),
    ],
)
def test_a_description_ends_with_a_sentence(text, kept):
    assert publishing.shortened(text, 21) == kept
