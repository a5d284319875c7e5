"""The printed book: how its pages are joined, and what is in the PDF.

The joining needs no browser. Printing does: without an installed Chromium or Chrome those tests are skipped, or fail
where BROWSER_TESTS=required, as in CI. The whole book is looked at where `make pdf` has printed the site that is built.
"""

import os
import re
import shutil
from collections import Counter
from urllib.parse import unquote

import pikepdf
import pypdfium2
import pytest
from bs4 import BeautifulSoup

from _tools import notebooks
from _tools.check.browser import installed
from _tools.print import pdf

BROWSER = installed()
SITE = pdf.HTML / "searchindex.js"  # the last file of a build
printed = pdf.PDF.exists() and SITE.exists() and pdf.PDF.stat().st_mtime > SITE.stat().st_mtime
needs_browser = pytest.mark.skipif(
    not BROWSER and os.environ.get("BROWSER_TESTS") != "required",
    reason="browser tests: no Chromium or Chrome is installed",
)
FACTS = {
    "title": "A Book",
    "subtitle": "With a subtitle",
    "author": "Some people",
    "version": "1.2",
    "date": "2020-01-02",
    "commit": "abc123",
    "stamp": "D:20200102030405Z",
}


def formula(tex, drawn="x", display=""):
    html = (
        f'<span class="katex"><span class="katex-mathml"><math><semantics><mrow><mi>x</mi></mrow>'
        f'<annotation encoding="application/x-tex">{tex}</annotation></semantics></math></span>'
        f'<span class="katex-html" aria-hidden="true"><span class="base">{drawn}</span></span></span>'
    )
    return (
        f'<div class="math"><span class="katex-display">{html}</span></div>'
        if display
        else f'<span class="math">{html}</span>'
    )


@pytest.fixture
def site(tmp_path):
    """A function that writes the pages of a site from their articles; its pages are a, b, …"""

    def site(*bodies):
        (tmp_path / "_static").mkdir(exist_ok=True)
        shutil.copytree(pdf.KATEX / "dist" / "fonts", tmp_path / "_static" / "fonts", dirs_exist_ok=True)
        shutil.copy(pdf.KATEX / "dist" / "katex.css", tmp_path / "_static")
        shutil.copy(notebooks.BOOK / "_static" / "custom.css", tmp_path / "_static")
        (tmp_path / "book").mkdir(exist_ok=True)
        (tmp_path / "file.zip").write_text("")
        for name, body in zip("abc", bodies):
            (tmp_path / f"book/{name}.html").write_text(
                '<html><head><link rel="stylesheet" href="../_static/katex.css?v=1">'
                '<link rel="stylesheet" href="../_static/custom.css"></head><body>'
                f'<article class="bd-article">{body}</article></body></html>',
                "utf8",
            )
        return tmp_path

    return site


def joined(site, sentence=lambda lab: ""):
    pages = pdf.articles(
        site, sorted(page.relative_to(site).with_suffix("").as_posix() for page in site.glob("book/*.html"))
    )
    pdf.join(pages, site, sentence)
    return pages


def links(article):
    return [link.get("href") for link in article.find_all("a")]


# Joining --------------------------------------------------------------------------------------------------------


def test_links_between_pages_become_links_inside_the_document(site):
    pages = joined(
        site(
            '<section id="one"><a href="#one">x</a> <a href="b.html">x</a> <a href="b.html#t%C3%BC">x</a> '
            '<a href="a.html#one">x</a>'
            '<a href="https://example.org/a.html#none">x</a> <a href="../file.zip">x</a></section>',
            '<p id="tü"><a href="../book/a.html#one">x</a></p>',
        )
    )
    assert links(pages["book/a"]) == [
        "#book-a--one",
        "#book-b",
        "#book-b--tü",
        "#book-a--one",
        "https://example.org/a.html#none",
        None,
    ]
    assert links(pages["book/b"]) == ["#book-a--one"]
    assert [page["id"] for page in pages.values()] == ["book-a", "book-b"]


def test_what_refers_to_an_id_follows_it(site):
    page = joined(
        site(
            '<p id="a b"></p><svg><g id="g"></g><path marker-end="url(#g)" style="fill:url(#g)"/></svg>'
            '<i id="i">x</i><p aria-labelledby="i g">y</p><i id="i">z</i>'
        )
    )["book/a"]
    assert page.path["marker-end"] == "url(#book-a--g)" and page.path["style"] == "fill:url(#book-a--g)"
    assert page.find("p", string="y")["aria-labelledby"] == "book-a--i book-a--g"
    assert [tag.get("id") for tag in page.find_all("i")] == ["book-a--i", None]  # an id stands once


@pytest.mark.parametrize(
    "body, complaint",
    [
        ('<a href="#none">x</a>', "book/a: #none leads nowhere"),
        ('<a href="b.html#none">x</a>', "book/a: b.html#none leads nowhere"),
        ('<a href="none.html">x</a>', "book/a: none.html leads nowhere"),
        ('<img src="none.png">', "book/a: no picture none.png"),
        ('<img src="https://example.org/a.png">', "book/a: no picture https"),
        ("</article><article class='other'>", None),
        ('</article><article class="bd-article">', "book/a: 2 articles"),
    ],
)
def test_what_leads_nowhere_is_rejected(site, body, complaint):
    built = site(body, "<p>x</p>")
    if complaint:
        with pytest.raises(pdf.Broken, match=re.escape(complaint)):
            joined(built)
    else:
        joined(built)


def test_what_is_folded_is_open_and_what_only_a_screen_uses_is_gone(site):
    page = joined(
        site(
            '<h1>T<a class="headerlink" href="#nowhere">#</a></h1><button>copy</button><script>x</script>'
            '<link rel="stylesheet" href="x.css">'
            '<details class="hide"><summary>Show code</summary><pre>1</pre></details>'
            "<details><summary>Hint</summary><p>2</p></details>"
            '<img class="only-light" src="../file.zip" loading="lazy"><img class="only-dark" src="../file.zip">'
            '<div class="lab" data-law="normal"><p>needs JavaScript</p></div>'
        ),
        lambda lab: f"moves: {lab['data-law']}",
    )["book/a"]
    assert page.get_text() == "T1Hint2moves: normal"
    assert not page.find(["details", "summary", "button", "script", "link"])
    assert len(page.find_all("img")) == 1 and "loading" not in page.img.attrs


def test_a_formula_has_its_tex_as_alternative_text(site):
    page = joined(site(formula(r'a &lt; \text{"b"}' + "\n c")))["book/a"]
    katex = page.find(class_="katex")
    assert (katex["role"], katex["aria-label"]) == ("img", r'a < \text{"b"} c')
    assert page.get_text() == "x" and not page.math


def test_a_formula_without_its_tex_is_refused(site):
    whole = formula("x")
    assert pdf.articles(site(whole.replace('class="katex"', 'class="katex breakable"')), ["book/a"])
    for broken in (whole.replace("application/x-tex", "other"), whole.replace('class="katex"', 'class="katex new"')):
        with pytest.raises(pdf.Broken, match="book/a: a formula without its TeX"):
            pdf.articles(site(broken), ["book/a"])


def test_the_sentence_for_the_lab_names_its_case():
    said = pdf.sentence({"data-integrand": "cosine", "data-law": "normal"})
    assert "F(x) = cos kx" in said and "Normal(μ, σ²)" in said


def test_document(site):
    built = site(
        '<section id="s"><h1 id="t">A Book</h1><section id="u"><h2>One</h2></section></section>',
        '<section id="s"><h1>Two "x"\\</h1><section id="v"><h2>Three</h2><h3>Four</h3></section></section>',
    )
    html = BeautifulSoup(
        pdf.document([(None, ["book/a"]), ("Part & more", ["book/b"])], joined(built), FACTS, built), "html.parser"
    )
    assert [(heading.name, heading.get_text()) for heading in html.find_all(re.compile("^h[1-6]$"))] == [
        ("h1", "A Book"),
        ("h1", "Contents"),
        ("h1", "Preface"),
        ("h2", "One"),
        ("h1", "Part & more"),
        ("h2", 'Two "x"\\'),
        ("h3", "Three"),
        ("h4", "Four"),
    ]
    assert [(li["class"], li.get_text(), li.a and li.a["href"]) for li in html.nav.find_all("li")] == [
        (["chapter"], "Preface", "#book-a"),
        (["section"], "One", "#book-a--u"),
        (["part"], "Part & more", None),
        (["chapter"], 'Two "x"\\', "#book-b"),
        (["section"], "Three", "#book-b--v"),
    ]
    assert r'@page book-b { @top-right { content: "Two \22 x\22 \5c " } }' in str(html.style)
    assert "Version 1.2 · commit abc123 · 2020-01-02" in html.header.get_text()
    assert html.html["lang"] == "en" and html.title.string == "A Book"


def test_the_title_page_tells_only_what_is_known(tmp_path):
    for file in "_config.yml", "CITATION.cff":
        shutil.copy(notebooks.ROOT / file, tmp_path)
    facts = pdf.about(tmp_path)  # no repository
    assert facts["date"] is facts["commit"] is facts["stamp"] is None
    assert "None" not in pdf.title_page(facts)


def test_the_parts_hold_the_pages_in_reading_order():
    assert [page for _, pages in notebooks.parts() for page in pages] == notebooks.reading_order()
    assert notebooks.parts()[0] == (None, ["book/index"])


def test_a_machine_without_a_browser_is_told_what_to_do(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(SystemExit, match="apt install chromium"):
        pdf.chromium()


# What is in a PDF: a checker, and a small book for it -------------------------------------------------------------


def texts(path):
    """The text of each page."""
    with pypdfium2.PdfDocument(path) as document:
        return [page.get_textpage().get_text_bounded() for page in document]


def embedded(font):
    if "/DescendantFonts" in font:
        return all(map(embedded, font.DescendantFonts))
    return font.Subtype == "/Type3" or any(
        key in font.get("/FontDescriptor", {}) for key in ("/FontFile", "/FontFile2", "/FontFile3")
    )


def outline(opened):
    """The bookmarks, as (level, title)."""

    def walk(items, level):
        for item in items:
            yield level, item.title
            yield from walk(item.children, level + 1)

    with opened.open_outline() as found:
        return list(walk(found.root, 1))


def alternatives(opened):
    return {str(entry.Alt) for entry in opened.objects if isinstance(entry, pikepdf.Dictionary) and "/Alt" in entry}


def faults(path, html):
    """What is wrong with a PDF that was printed from an HTML document."""
    document, found = BeautifulSoup(html.read_text("utf8"), "html.parser"), []
    with pikepdf.open(path) as opened:
        root = opened.Root
        for name, there in {
            "not tagged": root.get("/MarkInfo", {}).get("/Marked") and "/StructTreeRoot" in root,
            "no language": root.get("/Lang") == "en",
            "no title": opened.docinfo.get("/Title") == document.title.string,
            "no author": opened.docinfo.get("/Author"),
        }.items():
            found += [] if there else [name]
        # Chromium prints no links of drawings.
        wanted = Counter(unquote(link["href"][1:]) for link in document.select('a[href^="#"]:not(svg a)'))
        leads = Counter(
            str(link.Dest)[1:] for page in opened.pages for link in page.get("/Annots", []) if "/Dest" in link
        )
        where = {name[1:] for name in root.get("/Dests", {})}
        found += [f"link to nowhere: {name}" for name in leads if name not in where]
        found += [
            f"{count} links to {name}, printed {leads[name]}" for name, count in wanted.items() if leads[name] < count
        ]
        found += [
            f"font not embedded: {font.BaseFont}"
            for page in opened.pages
            for font in page.get("/Resources", {}).get("/Font", {}).values()
            if not embedded(font)
        ]
        headings = [" ".join(heading.get_text().split()) for heading in document.find_all(re.compile("^h[1-6]$"))]
        found += (
            [f"{len(headings)} headings, {len(outline(opened))} bookmarks"]
            if len(outline(opened)) != len(headings)
            else []
        )
        said = alternatives(opened)
        found += [
            f"formula without its text: {typeset['aria-label']}"
            for typeset in document.select(".katex[aria-label]")
            if typeset["aria-label"] not in said
        ]

    def tex(text):
        return Counter(re.findall(r"\$\$|\\[a-zA-Z]{2,}", text))

    in_code = sum(
        (tex(code.get_text()) for code in document.select("pre, code:not(pre code)")), Counter()
    )  # there it is meant
    raw = sum((tex(text) for text in texts(path)), Counter()) - in_code
    found += [f"raw TeX: {command}" for command in raw]
    return found


@pytest.fixture
def print_book(site):
    """A function that prints a book of two pages: its PDF, and the HTML it was printed from."""

    def print_book(first="", second=""):
        built = site(
            f'<section id="one"><h1>One</h1>{first}<p><a href="b.html#sec">to the other page</a></p></section>',
            f'<section id="two"><h1>Two ∇</h1><p>x {formula(chr(92) + "mu", "μ")}</p>'
            '<section id="sec"><h2>A section</h2>'
            f'<p>back to <a href="a.html">one</a>, {formula("y^2", "y")}, <code>"\\frac"</code></p>'
            f"{second}</section></section>",
        )
        html, out = built / "book.html", built / "book.pdf"
        book = [(None, ["book/a"]), ("A part", ["book/b"])]
        html.write_text(pdf.document(book, joined(built), FACTS, built), "utf8")
        scales = pdf.printing(html, out)
        pdf.finish(out, FACTS)
        return out, html, scales

    return print_book


@needs_browser
def test_a_small_book(print_book):
    path, html, scales = print_book()
    assert faults(path, html) == [] and scales == []
    title, contents, *chapters = [" ".join(text.split()) for text in texts(path)]
    assert "A Book With a subtitle" in title
    assert re.search(r"One 3 .*Two ∇ 4 A section 4", contents)
    assert len(chapters) == 2  # each begins a new page
    assert re.search(r"^A Book One .*\b3\b", chapters[0]) and re.search(r"^A Book Two ∇ .*\b4\b", chapters[1])
    with pikepdf.open(path) as opened:
        assert outline(opened) == [
            (1, "A Book"),
            (1, "Contents"),
            (1, "One"),
            (1, "A part"),
            (2, "Two ∇"),
            (3, "A section"),
        ]
        assert opened.docinfo["/CreationDate"] == FACTS["stamp"]


@needs_browser
def test_printing_twice_gives_the_same_file(print_book):
    path, html, _ = print_book()
    first = path.read_bytes()
    pdf.printing(html, path)
    pdf.finish(path, FACTS)
    assert path.read_bytes() == first


@needs_browser
def test_a_bad_pdf_is_rejected(print_book):
    path, html, _ = print_book()

    def spoilt(spoil):
        with pikepdf.open(path) as opened:
            spoil(opened)
            opened.save(path.with_name("spoilt.pdf"))
        return faults(path.with_name("spoilt.pdf"), html)

    def without(where, key):
        def spoil(opened):
            del where(opened)[key]

        return spoil

    for spoil, complaint in [
        (without(lambda opened: opened.Root, "/StructTreeRoot"), "not tagged"),
        (without(lambda opened: opened.Root, "/Lang"), "no language"),
        (without(lambda opened: opened.docinfo, "/Author"), "no author"),
        (without(lambda opened: opened.docinfo, "/Title"), "no title"),
        (without(lambda opened: opened.Root.Dests, "/book-b--sec"), "link to nowhere: book-b--sec"),
        (without(lambda opened: opened.pages[1].obj, "/Annots"), "2 links to book-b--sec, printed 1"),
        (
            without(
                lambda opened: next(iter(opened.pages[0].Resources.Font.values())).DescendantFonts[0].FontDescriptor,
                "/FontFile2",
            ),
            "font not embedded",
        ),
        (without(lambda opened: opened.Root, "/Outlines"), "6 headings, 0 bookmarks"),
    ]:
        assert any(fault.startswith(complaint) for fault in spoilt(spoil)), complaint
    html.write_text(
        html.read_text("utf8").replace('aria-label="y^2"', 'aria-label="z"').replace('"\\frac"', ""), "utf8"
    )
    said = faults(path, html)
    assert "formula without its text: z" in said and "raw TeX: \\frac" in said


@needs_browser
def test_what_is_wide_is_broken_or_set_smaller(print_book):
    terms = "+".join(f"x_{{{i}}}" for i in range(60))
    drawn = "<span style='display:inline-block;width:60em'>x</span>"
    _, _, scales = print_book(formula(f"y={terms}", drawn, "display"))
    assert scales == []  # broken over lines it needs no other size
    _, _, scales = print_book('<table><tr><td style="white-space:nowrap">' + "word " * 24 + "</td></tr></table>")
    assert len(scales) == 1 and pdf.SMALLEST <= scales[0] < 1


@needs_browser
@pytest.mark.parametrize(
    "body, complaint",
    [
        ('<div style="width: 700px">wide</div>', "book-a--one: wide: sticks out of the column"),
        ('<svg width="900" height="9"></svg>', "sticks out of the column (svg"),
        ('<table><tr><td style="white-space:nowrap">' + "word " * 99 + "</td></tr></table>", "fits the column only at"),
        (formula("w", "<span style='display:inline-block;width:90em'>x</span>", "display"), "fits the column only at"),
        ('<p style="background: url(https://example.org/a.png)">x</p>', "https://example.org/a.png"),
        ('<p style="background: url(none.png)">x</p>', "none.png"),
    ],
)
def test_what_does_not_fit_or_load_stops_the_printing(print_book, body, complaint):
    with pytest.raises(pdf.Broken, match=re.escape(complaint)):
        print_book(body)


# The whole book -------------------------------------------------------------------------------------------------


@pytest.mark.skipif(
    not printed and os.environ.get("BROWSER_TESTS") != "required",
    reason="the printed book: this site has not been printed (make pdf)",
)
@needs_browser
def test_the_whole_book():
    assert printed, "this site has not been printed (make pdf)"
    html = pdf.PDF.with_suffix(".html")
    assert faults(pdf.PDF, html) == []
    with pikepdf.open(pdf.PDF) as opened:
        assert len(opened.pages) > 200 and pdf.PDF.stat().st_size < 15e6
        numbers = [title for level, title in outline(opened) if re.match(r"\d+\. ", title)]
        assert [title.split(".")[0] for title in numbers] == [str(i) for i in range(1, len(numbers) + 1)]
        fonts = {
            re.sub(r"^/\w+\+", "", str(font.BaseFont))
            for page in opened.pages
            for font in page.Resources.get("/Font", {}).values()
            if "/BaseFont" in font
        }
    # From packages, so that the book looks the same on every machine.
    assert {
        font for font in fonts if not re.match("STIXTwoText|DejaVu(Serif|SansMono)|KaTeX|FontAwesome", font)
    } == set()
