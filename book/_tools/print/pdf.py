"""Print the built book as one PDF: `_build/pdf/gradients-of-expectations.pdf`. Any failure ends with a non-zero status.

1. The pages' articles are joined in reading order into one document beside the site, behind a title page and a table
   of contents. Ids get their page's name in front, so that links between pages become links inside the document. A
   link that leads nowhere is an error.
2. An installed Chromium prints it, as a file and without a network. What is wider than the column is set smaller; what
   still sticks out is an error, and so is anything that could not be loaded.
3. Chromium knows on which page a section begins only after printing. So it prints twice: the second time the table of
   contents has its page numbers.

On the web a reader opens solutions and folded code, and moves the estimator lab. In print all that is folded is open,
and a sentence stands for the lab.
"""

import posixpath
import re
import sys
from html import escape
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pikepdf
import yaml
from bs4 import BeautifulSoup
from playwright.sync_api import sync_playwright

from _tools.build import step
from _tools.check.browser import installed
from _tools.notebooks import BUILD, HTML, ROOT, git, parts
from _tools.publish.assets import KATEX
from _tools.publish.typesetting import MACROS

PDF = BUILD / "pdf" / "gradients-of-expectations.pdf"
FONTS = [
    "stix-two-text/400",
    "stix-two-text/400-italic",
    "stix-two-text/700",
    "stix-two-text/700-italic",
    "dejavu-mono/400",
    "dejavu-mono/400-italic",
    "dejavu-mono/700",
    "dejavu-serif/400",
    "dejavu-serif/700",
]
COLUMN = 616  # CSS pixels: the width of A4 without the margins of pdf.css
SMALLEST = 0.6  # nothing is set smaller than this, relative to the size that the style gives it
PATIENCE = 600_000  # milliseconds, for a busy machine
LICENCE = "Text and figures: CC BY 4.0. Code: MIT."  # as in LICENSE-TEXT and LICENSE


class Broken(Exception):
    """The joined document would have a fault; the message names the page."""


# Joining --------------------------------------------------------------------------------------------------------

# The MathML twin of each formula: Chromium leaves it out of a tagged PDF.
TWIN = re.compile(
    r'<span class="katex(?: breakable)?"><span class="katex-mathml">(?:(?!</math>).)*'
    r'<annotation encoding="application/x-tex">(.*?)</annotation></semantics></math></span>'
    r'<span class="katex-html" aria-hidden="true">',
    re.S,
)


def spoken(html):
    """Give each formula its TeX as alternative text, in place of the MathML twin."""

    def labelled(twin):
        tex = " ".join(twin[1].split()).replace('"', "&quot;")
        return f'<span class="katex" role="img" aria-label="{tex}"><span class="katex-html" aria-hidden="true">'

    return TWIN.sub(labelled, html)


def prefix(page):
    return page.replace("/", "-")


def articles(site, pages):
    """The article of each page, as a tree; pages are named as in `_toc.yml`."""
    found = {}
    for page in pages:
        html = (site / f"{page}.html").read_text("utf8")
        only = re.findall(r'<article class="bd-article">.*?</article>', html, re.S)
        if len(only) != 1:
            raise Broken(f"{page}: {len(only)} articles")
        if 'class="katex-mathml"' in (html := spoken(only[0])):
            raise Broken(f"{page}: a formula without its TeX")
        found[page] = BeautifulSoup(html, "html.parser").article
    return found


def open_all(article):
    """Leave out what only a screen can use and the code that checks, and open what is folded."""
    for node in article.select(
        ".headerlink, .toctree-wrapper, .only-dark, .noprint, .margin-toggle, .how, script, link, button, source"
    ):
        node.decompose()
    for node in article.select("pre span.n, pre span.p, pre span.w"):  # without a colour; else an element of the PDF
        node.unwrap()
    for node in article.select("details"):
        node.name = "div"
        if node.summary and "hide" in node.get("class", []):  # a code cell: "Show code cell source"
            node.summary.decompose()
        elif node.summary:
            node.summary.name = "p"
    for node in article.select("img"):
        node.attrs = {key: value for key, value in node.attrs.items() if key not in {"loading", "srcset", "sizes"}}


def replace_labs(article, sentence):
    for lab in article.select(".lab"):
        said = sentence(lab)
        lab.clear()
        lab.name, lab.attrs = "p", {"class": ["lab-in-print"]}
        lab.append(said)


def lower_headings(article):
    """One level down: above the chapters stand the parts."""
    for node in article.find_all(["h1", "h2", "h3", "h4", "h5"]):
        node.name = f"h{int(node.name[1]) + 1}"


def rename_ids(article, page):
    """Put the page's name before each id, and follow it where an attribute of the same page refers to one."""
    name, seen = prefix(page), set()
    for node in article.find_all(True):
        for key in ("id", "for", "headers", "aria-labelledby", "aria-describedby", "aria-controls"):
            if key in node.attrs:
                value = node[key] if isinstance(node[key], list) else node[key].split()
                node[key] = " ".join(f"{name}--{part}" for part in value)
        if "id" in node.attrs:
            if node["id"] in seen:  # Sphinx extensions number some ids by page, some not at all; links go to the first
                del node["id"]
            else:
                seen.add(node["id"])
        for key, value in node.attrs.items():
            if isinstance(value, str) and "url(#" in value:
                node[key] = value.replace("url(#", f"url(#{name}--")
    return seen


def address(page, href):
    """Where a link of a page leads: (file of the site, fragment), or None for another host."""
    parts = urlsplit(href)
    if parts.scheme or parts.netloc:
        return None
    here = f"{page}.html"
    file = posixpath.normpath(posixpath.join(posixpath.dirname(here), unquote(parts.path))) if parts.path else here
    return file, unquote(parts.fragment)


def relink(article, page, ids, site):
    """Turn links to pages into links inside the document, and give pictures their place beside it."""
    for node in article.find_all(href=True):
        if not (found := address(page, node["href"])):
            continue
        file, fragment = found
        target = file.removesuffix(".html")
        if target in ids and file.endswith(".html"):
            goal = f"{prefix(target)}--{fragment}" if fragment else prefix(target)
            if fragment and goal not in ids[target]:
                raise Broken(f"{page}: {node['href']} leads nowhere, {target} has no #{fragment}")
            node["href"] = f"#{goal}"
        elif (site / file).exists():  # a file of the site, such as a download: on paper there is none
            del node["href"]
        else:
            raise Broken(f"{page}: {node['href']} leads nowhere")
    for node in article.find_all(src=True):
        if not node["src"].startswith("data:"):
            file, _ = address(page, node["src"]) or ("", "")
            if not (site / file).is_file():
                raise Broken(f"{page}: no picture {node['src']}")
            node["src"] = (site / file).as_uri()


def join(pages, site, sentence=lambda lab: ""):
    """Make one document's parts out of {page: article}, in place; return the ids of each page."""
    ids = {}
    for page, article in pages.items():
        replace_labs(article, sentence)
        open_all(article)
        ids[page] = rename_ids(article, page)
        article.attrs = {"id": prefix(page), "class": ["bd-article"]}
    for page, article in pages.items():
        relink(article, page, ids, site)
    return ids


# The document ---------------------------------------------------------------------------------------------------


def about(root=ROOT):
    """What the title page says; date and commit only where git knows them."""
    config, citation = (yaml.safe_load((root / file).read_text("utf8")) for file in ("_config.yml", "CITATION.cff"))
    title, _, subtitle = citation["title"].partition(": ")
    return {
        "title": title,
        "subtitle": subtitle[:1].upper() + subtitle[1:],
        "author": config["author"],
        "version": citation["version"],
        "date": git("log", "-1", "--format=%cs", root=root),
        "commit": git("describe", "--always", "--dirty", root=root),
        "stamp": git("log", "-1", "--format=%cd", "--date=format-local:D:%Y%m%d%H%M%SZ", root=root),
    }


def inside(heading):
    """A heading's contents, for a second use elsewhere: without ids."""
    return re.sub(r' id="[^"]*"', "", heading.decode_contents())


def entry(target, text, level):
    return (
        f'<li class="{level}"><a href="#{target}"><span class="entry">{text}</span><span class="leader"></span>'
        '<span class="folio"></span></a></li>'
    )


def contents(book, pages):
    """The table of contents: parts, chapters, sections; the page numbers are filled in after the first printing."""
    rows = []
    for caption, names in book:
        rows += [f'<li class="part">{escape(caption)}</li>'] if caption else []
        for page in names:
            headings = pages[page].find_all(["h1", "h2"])
            rows.append(entry(prefix(page), inside(headings[0]), "chapter"))
            rows += [entry(heading.parent["id"], inside(heading), "section") for heading in headings[1:]]
    return f'<nav class="book-contents"><h1>Contents</h1><ul>{"".join(rows)}</ul></nav>'


def title_page(facts):
    dated = [f"Version {facts['version']}", facts["commit"] and f"commit {facts['commit']}", facts["date"]]
    return (
        f'<header class="title-page"><h1>{escape(facts["title"])}</h1>'
        f'<p class="subtitle">{escape(facts["subtitle"])}</p><p class="author">{escape(facts["author"])}</p>'
        f'<p class="dated">{" · ".join(map(escape, filter(None, dated)))}</p>'
        "<p>This is the printed form of a web book whose pages are notebooks. Folded code and the solutions of the "
        "exercises are open here; a note stands where the web book has a page that moves.</p>"
        f"<p>{LICENCE}</p></header>"
    )


def quoted(text):
    """A CSS string."""
    return '"{}"'.format(re.sub(r'["\\\n]', lambda found: f"\\{ord(found[0]):x} ", text))


def styles(site, page):
    """The addresses of a page's own style sheets."""
    head = (site / f"{page}.html").read_text("utf8").partition("</head>")[0]
    links = BeautifulSoup(head, "html.parser").find_all("link", rel="stylesheet")
    return [(site / address(page, link["href"])[0]).as_uri() for link in links]


def document(book, pages, facts, site):
    """The HTML of the whole book."""
    first = pages[book[0][1][0]].h1
    if first.get_text() == facts["title"]:  # the title stands on the title page
        first.string = "Preface"
    table, bodies = contents(book, pages), []
    titles = {page: " ".join(article.h1.get_text().split()) for page, article in pages.items()}
    headers = [
        f"@page {prefix(page)} {{ @top-right {{ content: {quoted(title)} }} }} "
        f"#{prefix(page)} {{ page: {prefix(page)} }}"
        for page, title in titles.items()
    ]
    for caption, names in book:
        if caption:
            for page in names:
                lower_headings(pages[page])
            part = BeautifulSoup(f'<h1 class="part">{escape(caption)}</h1>', "html.parser")
            pages[names[0]].insert(0, part)
        bodies += [str(pages[page]) for page in names]
    fonts = ROOT / "node_modules" / "@fontsource"
    sheets = [
        *styles(site, next(iter(pages))),
        *((fonts / f"{font}.css").as_uri() for font in FONTS),
        Path(__file__).with_suffix(".css").as_uri(),
    ]
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en" data-theme="light" data-mode="light">',
            '<head><meta charset="utf-8">',
            f"<title>{escape(facts['title'])}</title>",
            *(f'<link rel="stylesheet" href="{sheet}">' for sheet in sheets),
            "<style>",
            f"@page {{ @top-left {{ content: {quoted(facts['title'])} }} }}",
            *headers,
            "</style></head>",
            "<body>",
            title_page(facts),
            table,
            '<main class="bd-content">',
            *bodies,
            "</main></body></html>",
        ]
    )


# Printing -------------------------------------------------------------------------------------------------------


def chromium():
    found = installed()
    if not found:
        sys.exit(
            "The PDF is printed by Chromium or Chrome, and none is installed; on Debian or Ubuntu: apt install chromium"
        )
    return found


def page_numbers(pdf):
    """{id: number of the page on which it stands}, for each id that a link of the document leads to."""
    with pikepdf.open(pdf) as opened:
        number = {page.objgen: i for i, page in enumerate(opened.pages, 1)}
        places = opened.Root.get("/Dests", {})
        return {name.removeprefix("/"): number[where[0].objgen] for name, where in places.items()}


def printing(html, pdf, smallest=SMALLEST):
    """Print an HTML file; return the scales of what had to be set smaller."""
    wrong, options = [], {"path": pdf, "prefer_css_page_size": True, "print_background": True}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium(), args=["--disable-gpu", "--no-first-run", "--disable-background-networking"]
        )
        page = browser.new_page(viewport={"width": COLUMN, "height": 900}, color_scheme="light", offline=True)
        page.set_default_timeout(PATIENCE)
        page.on("requestfailed", lambda request: wrong.append(f"{request.failure}: {request.url}"))
        page.emulate_media(media="print")
        page.goto(html.as_uri(), wait_until="load")
        for script in KATEX / "dist" / "katex.min.js", Path(__file__).with_suffix(".js"):
            page.add_script_tag(path=script)
        page.evaluate("document.fonts.ready.then(() => true)")
        found, scales = page.evaluate("([smallest, macros]) => fit(smallest, macros)", [smallest, MACROS])
        if wrong or found:
            raise Broken("\n".join(wrong + found))
        page.pdf(**options, tagged=False)
        numbers = page_numbers(pdf)
        page.evaluate("numbers => number(numbers)", numbers)
        page.pdf(**options, tagged=True, outline=True)
        browser.close()
    if page_numbers(pdf) != numbers:
        raise Broken("The page numbers in the table of contents moved what they count.")
    return scales


def finish(pdf, facts):
    """Write what Chromium does not know: the author, and the date of the last commit, not of the printing. Pack it."""
    with pikepdf.open(pdf, allow_overwriting_input=True) as opened:
        info = opened.docinfo
        info["/Author"], info["/Creator"] = facts["author"], f"{facts['title']}, make pdf"
        for date in "/CreationDate", "/ModDate":
            if facts["stamp"]:
                info[date] = facts["stamp"]
            else:
                del info[date]
        opened.Root.PageMode = pikepdf.Name.UseOutlines
        opened.save(pdf, object_stream_mode=pikepdf.ObjectStreamMode.generate, deterministic_id=True)


def sentence(lab):
    """What stands in print for an estimator lab: what it shows, and where it is."""
    from _lib.lab import INTEGRANDS, LAWS  # here, as joining needs no gradlib

    integrand, law = INTEGRANDS[lab["data-integrand"]][0], LAWS[lab["data-law"]][0]
    return (
        "In the web book this place moves: you drag sliders, and see draws, the gradient of each draw, running "
        f"means with error bands, and the exact variances. It begins with F(x) = {integrand} and x ~ {law}."
    )


def main():
    book = parts()
    html = PDF.with_suffix(".html")
    PDF.parent.mkdir(parents=True, exist_ok=True)
    facts = about()
    try:
        with step("1/2  Joining the pages"):
            pages = articles(HTML, [page for _, names in book for page in names])
            join(pages, HTML, sentence)
            html.write_text(document(book, pages, facts, HTML), "utf8")
        with step("2/2  Printing, twice: the page numbers of the contents are known after the first time"):
            scales = printing(html, PDF)
            finish(PDF, facts)
    except Broken as error:
        sys.exit(f"\nThe PDF has not been made.\n\n{error}")
    with pikepdf.open(PDF) as opened:
        pages = len(opened.pages)
    print(
        f"\nThe PDF is ready: {pages} pages, {PDF.stat().st_size / 1e6:.1f} MB; {len(scales)} wide formulas and "
        f"tables are set smaller, the smallest at {min(scales, default=1):.0%}. Open\n  {PDF}"
    )


if __name__ == "__main__":
    main()
