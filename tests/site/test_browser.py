"""Every built page in a browser: nothing from elsewhere, no error, all mathematics, nothing wider than a phone.

The site is opened both as files and from a sub-path of a local server. Needs `make book` and an installed Chromium or
Chrome; without them these tests are skipped, or fail where BROWSER_TESTS=required, as in CI. No browser is downloaded.
"""

import io
import json
import re
import zipfile
from urllib.parse import unquote, urldefrag, urljoin

import pytest
from playwright.sync_api import Error

from _tools.notebooks import reading_order
from _tools.publish import publishing
from browsing import ENTRY, FORMULA, PAGES, SITE, SUBPATH, WIDTHS, blank, missing, needed, unfold
from checkers import bad_mathematics, outside, sideways
from recording import complaints

needed()

FILES = f"{SITE.as_uri()}/"  # the site without a host


def test_there_is_something_to_test():
    assert not missing
    assert "book/index.html" in PAGES and len(PAGES) > 15


# What is looked for. Each checker returns what it found; an empty list is what we want. --------------------------


def anchors(page, html, address):
    """Where one can go in a page (id: number, if an equation's), and its links (address, text, whether it cites)."""
    return page.evaluate(
        """([html, address]) => {
        const parsed = new DOMParser().parseFromString(html, 'text/html');
        return [
            Object.fromEntries([...parsed.querySelectorAll('[id]')].map(target =>
                [target.id, target.querySelector(':scope > .eqno')?.firstChild.textContent.trim() ?? ''])),
            [...parsed.querySelectorAll('a[href]:not(.headerlink)')].map(link =>
                [new URL(link.getAttribute('href'), address).href, link.textContent.trim(),
                 link.matches('.reference.internal')]),
        ];
    }""",
        [html, address],
    )


def collect(page, folder, base, paths):
    return {path: anchors(page, (folder / path).read_text("utf8"), urljoin(base, path)) for path in paths}


def broken_links(base, pages):
    """Links into this site that lead nowhere, and those that cite an equation by a number that is not its own."""
    found = []
    for path, (_, links) in pages.items():
        for address, text, _ in links:
            target, fragment = urldefrag(address)
            if not target.startswith(base):
                continue
            target = unquote(target.removeprefix(base).partition("?")[0])
            if target.endswith(".html") and target not in pages:
                found.append(f"{path}: no page {target}")
            elif target in pages and fragment and unquote(fragment) not in pages[target][0]:
                found.append(f"{path}: {target} has no #{fragment}")
            elif target in pages and fragment and (number := pages[target][0][unquote(fragment)]):
                if text.startswith("(") and text != number:
                    found.append(f"{path}: {text} cites {number} of {target}")
    return found


def hits(page, word, timeout=60_000):
    """The pages that the search finds for a word."""
    page.goto(urljoin(page.url, f"search.html?q={word}"))
    page.wait_for_function(
        """() => {
        const said = document.querySelector('#search-results .search-summary, #search-results p');
        return said && /found|did not match/i.test(said.textContent);
    }""",
        timeout=timeout,
    )
    return page.eval_on_selector_all(
        "#search-results ul.search a", "links => links.map(link => link.getAttribute('href'))"
    )


# Every page -----------------------------------------------------------------------------------------------------


def test_the_entry_leads_to_the_book(visit, served):
    page, wrong = visit(served, ENTRY)
    page.wait_for_url(urljoin(served, "book/index.html"))
    assert wrong == []


@pytest.mark.parametrize("path", PAGES)
def test_page(recorded, path):
    found = recorded(path)
    assert complaints(found["mathematics"]) == {}
    assert complaints(found["sideways"]) == {}
    assert found["wrong"] == []


def test_pages_from_files_in_reading_order(browser):
    """A reader on a phone in the dark, without a host, goes from page to page by "next" and then to all others."""
    page, wrong = blank(browser, FILES, "phone", "dark")
    found, read = {}, []

    def look(path):
        page.evaluate("document.fonts.ready.then(() => true)")
        unfold(page)
        found[path], wrong[:] = bad_mathematics(page) + sideways(page) + wrong, []

    page.goto(urljoin(FILES, "book/index.html"))
    while True:
        read.append(unquote(page.url.removeprefix(FILES)))
        look(read[-1])
        if not (after := page.locator("a.right-next")).count():
            break
        after.click()
        page.wait_for_load_state("load")
        assert urljoin(page.url, page.locator("a.left-prev").get_attribute("href")) == urljoin(FILES, read[-1])
    assert read == [f"{name}.html" for name in reading_order()]
    for path in set(PAGES) - set(read):
        page.goto(urljoin(FILES, path))
        look(path)
    assert set(found) == set(PAGES) and complaints(found) == {}
    page.context.close()


def test_next_leads_through_the_book_in_reading_order(recorded):
    order = [f"{name}.html" for name in reading_order()]
    for before, path, after in zip([None, *order], order, [*order[1:], None]):
        assert recorded(path)["leads"] == [[after] if after else [], [before] if before else []]


def test_mathematics_needs_no_script(visit, served):
    page, wrong = visit(served, "book/distribution.html", java_script_enabled=False)
    assert page.locator(".katex-html").count() > 30
    assert bad_mathematics(page) + wrong == []


def test_links_and_equation_numbers(visit, served):
    page, _ = visit(served, "search.html")
    pages = collect(page, SITE, served, [ENTRY, *PAGES])
    numbers = [number for ids, _ in pages.values() for number in ids.values() if number]
    cited = [text for _, links in pages.values() for _, text, internal in links if internal and text.startswith("(")]
    assert len(numbers) > 100 and len(cited) > 100
    assert broken_links(served, pages) == []


def figures(page):
    """What is wrong with the figures once the reader has come to each: not exactly one theme shown, or not drawn."""
    return page.evaluate("""async () => {
        const found = [], theme = document.documentElement.dataset.theme === 'dark' ? 'dark' : 'light';
        for (const themed of document.querySelectorAll('.themed')) {
            const shown = [...themed.querySelectorAll('img')].filter(img => img.offsetParent);
            if (shown.length !== 1 || !shown[0].classList.contains(`only-${theme}`)) {
                found.push('shown: ' + shown.length);
                continue;
            }
            shown[0].scrollIntoView();
            await shown[0].decode().catch(() => found.push('not drawn: ' + shown[0].src));
            const caption = themed.closest('figure')?.querySelector('figcaption');
            if (!caption?.offsetParent) found.push('no caption: ' + shown[0].src);
        }
        return found;
    }""")


def test_figures_follow_the_theme_and_come_once(visit, served):
    page, wrong = visit(served, "book/bias.html")
    fetched = []
    page.context.on(
        "request", lambda request: request.url.endswith(".svg") and fetched.append("-dark.svg" in request.url)
    )
    count = page.locator(".themed").count()
    assert count == 4 and figures(page) == []
    assert fetched == [] or set(fetched) == {False}, "in light no dark drawing is fetched"
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    assert figures(page) == []
    assert fetched.count(True) == count, "each drawing follows the page's own switch"
    page.emulate_media(media="print")
    assert page.evaluate(
        "[...document.querySelectorAll('.themed img')].filter(e => e.offsetParent).every(e => e.matches('.only-light'))"
    )
    assert wrong == []


def test_figures_need_no_script(visit, served):
    page, wrong = visit(served, "book/bias.html", scheme="dark", java_script_enabled=False)
    assert figures(page) + wrong == []


def poor_descriptions(pages):
    """The pages without one description of their own, of a sentence's length."""
    said = {
        path: re.findall(r'<meta (?=[^>]*name="description")[^>]*content="([^"]*)"', html)
        for path, html in pages.items()
    }
    return [
        path
        for path, found in said.items()
        if len(found) != 1 or not 30 <= len(found[0]) <= 250 or sum(found == other for other in said.values()) > 1
    ]


def test_every_page_describes_itself():
    assert poor_descriptions({path: (SITE / path).read_text("utf8") for path in PAGES}) == []


@pytest.mark.parametrize("where", ["server", "file"])
def test_search_finds(visit, served, where):
    page, wrong = visit(served if where == "server" else FILES, "search.html")
    assert any("distribution.html" in hit for hit in hits(page, "REINFORCE"))
    assert hits(page, "zyzzyva") == [] == hits(page, "mathrm"), "a command of TeX is no word"
    hits(page, "REINFORCE")
    page.locator("#search-results ul.search a").first.click()
    page.wait_for_load_state("load")
    assert page.locator("article h1").is_visible() and "/book/" in page.url
    assert wrong == []


# What a reader does with a page ---------------------------------------------------------------------------------


def test_code_is_copied_as_it_stands(visit, served):
    page, wrong = visit(served, "book/citing.html")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    assert page.locator("button.copybtn").count() == page.locator("div.highlight pre").count() > 0
    page.locator("div.highlight-bibtex button.copybtn").focus()
    page.keyboard.press("Enter")
    page.locator("button.copybtn.success").wait_for()
    assert (
        page.evaluate("navigator.clipboard.readText()").strip()
        == page.locator("div.highlight-bibtex pre").text_content().strip()
    )
    assert wrong == []


def test_every_block_of_code_can_be_copied(visit, served):
    page, _ = visit(served, "book/distribution.html")
    blocks = page.locator("div.cell_input div.highlight pre").count()
    assert blocks == page.locator("div.cell_input button.copybtn").count() > 10


def downloads(page):
    """The links in the menu of downloads, by their text."""
    links = page.eval_on_selector_all(
        ".dropdown-download-buttons a", "links => links.map(link => [link.textContent.trim(), link.href])"
    )
    return dict(links)


def test_the_notebook_of_a_page_is_offered_executed(visit, served):
    page, _ = visit(served, "book/distribution.html")
    notebook = json.loads(page.request.get(downloads(page)[".ipynb"]).text())
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert len(code) > 10 and all(cell["execution_count"] for cell in code) and any(cell["outputs"] for cell in code)


@pytest.mark.parametrize("path", ["book/index.html", "book/lower.html", "book/notation.html"])
def test_all_notebooks_are_offered_in_one_archive(visit, served, path):
    page, _ = visit(served, path)
    address = downloads(page)["all .ipynb (.zip)"]
    if path == "book/index.html":
        assert page.locator("article a.download").evaluate("link => link.href") == address
    names = zipfile.ZipFile(io.BytesIO(page.request.get(address).body())).namelist()
    assert sum(name.endswith(".ipynb") for name in names) == len(list((SITE / "_sources").rglob("*.ipynb")))


@pytest.mark.parametrize("path", PAGES)
def test_notes_stand_in_the_margin_or_between_paragraphs(recorded, path):
    found = recorded(path)
    assert complaints(found["outside"]) == {}
    if path in {"book/motivation.html", "book/distribution.html", "book/lower.html"}:
        assert all(found["notes"][width] for width in WIDTHS)


def test_a_symbol_leads_to_its_row(visit, served):
    page, _ = visit(served, "book/distribution.html")
    page.locator("a.symbol[href$='#sym-p-theta-x']").first.click()
    page.wait_for_url("**/notation.html#sym-p-theta-x")
    assert "mass function that depends on" in page.locator("tr:target").inner_text()


def test_numbered_boxes_can_be_cited_by_address(visit, served):
    page, _ = visit(served, "book/lower.html")
    for box in page.locator("div.proof.theorem, div.exercise").all():
        name, title = box.get_attribute("id"), box.locator(".admonition-title")
        assert re.match(r"(Theorem|Exercise) 8\.\d", title.inner_text())
        assert title.locator("a.headerlink").get_attribute("href") == f"#{name}"
        assert page.locator(f"[id='{name}']").count() == 1


# The page for what is not there ----------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["without an address", "with an address"])
def host(request, serve, tmp_path_factory):
    """The site on a host that shows 404.html for every address that it does not have."""
    folder = tmp_path_factory.mktemp("host") / "site"
    folder.mkdir()
    for part in SITE.iterdir():
        if part.name != "404.html":
            (folder / part.name).symlink_to(part)
    html = (SITE / "404.html").read_text("utf8")
    if found := re.search(r'content_root="(/[^"]*)"', html):  # built with an address
        html = html.replace(f'="{found[1]}', '="./')
    (folder / "404.html").write_text(
        publishing.rooted(html, SUBPATH) if request.param == "with an address" else html, "utf8"
    )
    return serve(folder), request.param


@pytest.mark.parametrize("path", ["none.html", "book/none.html", "book/deep/er/none.html", "other/place/none"])
def test_the_page_for_errors_works_at_any_depth(visit, host, path):
    base, how = host
    page, wrong = visit(base, path)
    assert page.locator("article h1").inner_text().startswith("Page not found")
    if path.startswith("other/") and how == "without an address":
        return  # nothing tells where the site begins; the page can be read, and no more
    guessed = (
        how == "without an address"
    )  # then the browser has looked ahead before the script tells it where the site begins
    assert [
        fault
        for fault in wrong
        if "status of 404" not in fault
        and fault != f"404 for {urljoin(base, path)}"
        and not (guessed and fault.startswith("404 for "))
    ] == []
    assert page.evaluate("getComputedStyle(document.querySelector('.bd-main')).display") == "flex", "styled"
    assert sideways(page) == []
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # the link to the main content stays on this page
    assert page.url.startswith(urljoin(base, path))
    page.get_by_label("Search the book").fill("REINFORCE")
    page.get_by_role("button", name="Search", exact=True).last.click()
    page.locator("#search-results ul.search a").first.wait_for()
    assert page.url.startswith(f"{base}search.html?q=REINFORCE")


def test_a_page_for_errors_that_breaks_is_rejected(visit, serve, tmp_path):
    (tmp_path / "404.html").write_text(
        '<!doctype html><link rel="icon" href="data:,"><link rel="stylesheet" href="a.css"><h1>No</h1>'
    )
    (tmp_path / "a.css").write_text("h1 {color: red}")
    base = serve(tmp_path)
    page, wrong = visit(base, "deep/er/none.html")
    assert any("a.css" in fault for fault in wrong)


# The checkers reject --------------------------------------------------------------------------------------------


def test_a_sound_page_passes(made):
    page, wrong = made(
        f"<p>{FORMULA} costs $5, not $6.</p><pre>$$x$$ {'long ' * 99}</pre><style>pre{{overflow:auto}}</style>"
    )
    assert bad_mathematics(page) + sideways(page) + wrong == []


@pytest.mark.parametrize(
    "body, complaint",
    [
        ('<script src="https://example.org/a.js"></script>', "asks for https://example.org/a.js"),
        ('<link rel="stylesheet" href="//example.org/a.css">', "asks for http://example.org/a.css"),
        ('<script>fetch("https://example.org/a.json").catch(() => 0)</script>', "asks for https://example.org/a.json"),
        ('<img src="none.png" alt="">', "404 for"),
        ('<img src="/at-the-root.png" alt="">', "asks for http://127.0.0.1"),
        ('<script>console.error("odd")</script>', "console: odd"),
        ('<script>throw new Error("worse")</script>', "uncaught: worse"),
    ],
)
def test_a_page_that_asks_or_errs_is_rejected(made, body, complaint):
    page, wrong = made(body)
    page.wait_for_timeout(300)
    assert any(fault.startswith(complaint) for fault in wrong), wrong


@pytest.mark.parametrize(
    "body, complaint",
    [
        ("<p>$$x$$</p>", "raw"),
        (r"<p>\(x\)</p>", "raw"),
        (r"<p>$\mu$</p>", "raw"),
        (r"<p>\begin{aligned}</p>", "raw"),
        ('<span class="math">x</span>', "no formula"),
        ('<span class="katex-error">x</span>', "not KaTeX"),
        ('<span style="color:#cc0000">x</span>', "not KaTeX"),
        (FORMULA.replace('html">x', 'html">'), "without extent"),
        (f'<div style="color: #777; background: #888">{FORMULA}</div>', "hardly visible"),
        (FORMULA.replace('html">x', 'html">x<span style="color: #ddd">y</span>'), "hardly visible"),
        (FORMULA.replace('class="math"', ""), "not looked at"),
        (f"</article></main>{FORMULA}", "not looked at"),
        ('<style>@font-face {font-family: A; src: url(none.woff2)}</style><p style="font-family: A">x</p>', "no font"),
    ],
)
def test_bad_mathematics_is_rejected(made, body, complaint):
    page, _ = made(body)
    assert any(fault.startswith(complaint) for fault in bad_mathematics(page))


@pytest.mark.parametrize(
    "body, complaint",
    [
        ('<div style="width: 500px">x</div>', "the page is"),
        ('<style>html, body {overflow-x: hidden}</style><div style="width: 500px">x</div>', "sticks out"),
        ('<div class="math" style="overflow: hidden"><div style="width: 500px">x</div></div>', "cut off"),
    ],
)
def test_what_is_too_wide_is_rejected(made, body, complaint):
    page, _ = made(body)
    assert any(fault.startswith(complaint) for fault in sideways(page))


@pytest.mark.parametrize(
    "body, complaint",
    [
        (
            '<img class="only-light" src="data:image/svg+xml,'
            '<svg xmlns=%22http://www.w3.org/2000/svg%22 width=%229%22/>"><img class="only-dark">',
            "shown: 2",
        ),
        ('<img class="only-dark">', "shown: 1"),
        ('<img class="only-light" hidden style="display: none">', "shown: 0"),
        ('<img class="only-light" src="data:image/svg+xml,none">', "not drawn"),
    ],
)
def test_bad_figures_are_rejected(made, body, complaint):
    page, _ = made(f'<figure><span class="themed">{body}</span></figure>')
    assert any(fault.startswith(complaint) for fault in figures(page))


def test_poor_descriptions_are_rejected():
    tag = '<meta name="description" content="{}" />'.format
    pages = {
        "good": tag("This sentence describes this one page."),
        "turned": '<meta content="Another one, and it is long enough." name="description" />',
        "none": '<meta name="robots" content="A sentence that is long enough to be one." />',
        "short": tag("Short."),
        "two": tag("A sentence that is long enough, first.") + tag("A sentence that is long enough, second."),
        "a": tag("The same sentence on two of the pages."),
        "b": tag("The same sentence on two of the pages."),
    }
    assert poor_descriptions(pages) == ["none", "short", "two", "a", "b"]


@pytest.mark.parametrize(
    "style, complaint",
    [("width: 300px", []), ("width: 300px; margin-left: 200px", ["A note"]), ("width: 100px", ["A note"])],
)
def test_a_note_that_is_cut_off_or_squeezed_is_rejected(made, style, complaint):
    page, _ = made(f'<article class="bd-article"><aside class="margin" style="{style}">A note</aside></article>')
    assert outside(page) == complaint


@pytest.mark.parametrize(
    "link, complaint",
    [
        ('<a href="none.html">x</a>', "page.html: no page none.html"),
        ('<a href="#none">x</a>', "page.html: page.html has no #none"),
        ('<a href="#e">(1.2)</a>', "page.html: (1.2) cites (1.1) of page.html"),
        ('<a href="#e">(1.1)</a> <a href="page.html">x</a> <a href="https://example.org/none.html">x</a>', None),
    ],
)
def test_bad_links_are_rejected(made, tmp_path, link, complaint):
    page, _ = made(f'{link}<div id="e"><span class="eqno">(1.1)<a class="headerlink" href="#e">#</a></span></div>')
    base = page.url.removesuffix("page.html")
    assert broken_links(base, collect(page, tmp_path, base, ["page.html"])) == ([complaint] if complaint else [])


@pytest.mark.parametrize(
    "body, found",
    [
        (
            '<p class="search-summary">Search finished, found 1 page</p>'
            '<ul class="search"><li><a href="a.html">A</a></ul>',
            ["a.html"],
        ),
        ('<p class="search-summary">Searching</p>', None),
        ("", None),
    ],
)
def test_a_search_that_never_ends_is_rejected(made, tmp_path, body, found):
    page, _ = made("")
    (tmp_path / "search.html").write_text(f'<!doctype html><div id="search-results">{body}</div>')
    if found:
        assert hits(page, "word") == found
    else:
        with pytest.raises(Error, match="Timeout"):
            hits(page, "word", timeout=500)
