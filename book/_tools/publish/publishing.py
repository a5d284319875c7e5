"""What search engines, previews and hosts ask of a page: a description, its address, a site map, a page for errors.

Every page gets a description. All else needs the public address of the site (`addresses.py`); without one nothing is
said. Packages for these tasks were weighed and left:

- sphinxext-opengraph puts raw TeX into descriptions, and Sphinx's logo onto cards; what remains is the tags below;
- sphinx-sitemap starts a process for its list, and takes dates from sphinx-last-updated-by-git (see `history.py`):
  `site_map` is six lines;
- sphinx-notfound-page has a fixed prefix, and replaces functions of Sphinx for it: `rooted` is four lines, and without
  an address a script finds the root.
"""

import re
from html import escape
from pathlib import Path
from urllib.parse import urlsplit
from xml.sax.saxutils import escape as escape_xml

from docutils import nodes

from _tools.publish.history import last_change_of

LENGTH = 200  # characters of a description, at most
CARD = "_static/card.png"
GENERATED = {  # pages without a source
    "genindex": "Every term of the book: its definition, and the chapters that use it.",
    "search": "Search the full text of the book.",
    "404": "There is no such page in this book.",
}


# Descriptions ---------------------------------------------------------------------------------------------------


def shortened(text, length=LENGTH):
    """As many whole sentences as fit; words, if not even the first does."""
    if len(text) <= length:
        return text
    ends = [end.end(1) for end in re.finditer(r"([.?!])\s+(?=[A-Z])", text[: length + 2])]
    return text[: ends[-1]] if ends else f"{text[:length].rsplit(' ', 1)[0].rstrip(',;:')} …"


def description(doctree):
    """A page's own description (`html_meta` in its metadata), or the beginning of its first paragraph of words."""
    for meta in doctree.findall(nodes.meta):
        if meta.get("name") == "description":
            return meta["content"]
    for paragraph in doctree.findall(nodes.paragraph):
        if not any(paragraph.findall(lambda node: isinstance(node, (nodes.math, nodes.raw)))):
            text = re.sub(r"^The question\.\s*", "", " ".join(paragraph.astext().split()))
            if len(text) > 40:
                return shortened(text)
    return None


def tags(**properties):
    def kind(name):
        return "name" if name in ("description", "robots") or name.startswith("twitter") else "property"

    said = {name: escape(value) for name, value in properties.items() if value}
    return "\n".join(f'<meta {kind(name)}="{name}" content="{value}" />' for name, value in said.items())


def add_tags(app, page, template, context, doctree):
    """Complete the head of a page."""
    said = GENERATED.get(page) if doctree is None else description(doctree)
    found = {} if 'name="description"' in context.get("metatags", "") else {"description": said}
    if page == "404":
        context["pageurl"] = None  # it has no address of its own
        found["robots"] = "noindex"
    elif app.config.html_baseurl and page in app.env.titles:
        found |= {
            "og:type": "website" if page == app.config.root_doc else "article",
            "og:title": app.env.titles[page].astext(),
            "og:site_name": app.config.html_title,
            "og:url": context["pageurl"],
            "og:description": said,
            "og:image": app.config.html_baseurl + CARD,
            "og:image:alt": "The title of the book beside a curve and a step along its gradient.",
            "twitter:card": "summary_large_image",
        }
    context["metatags"] = f"{context.get('metatags', '')}\n{tags(**found)}"


def draw_card(path, title):
    """The picture that a link to the book shows elsewhere."""
    import numpy as np
    import sympy as sp
    from matplotlib.figure import Figure

    from _lib.style import INK, PATH, SCORE

    figure = Figure((12, 6.3), dpi=100, facecolor="white")
    axes = figure.add_axes((0.5, 0.08, 0.46, 0.84))
    symbol = sp.Symbol("x", real=True)
    bell = sp.exp(-(symbol**2) / 2)
    value, slope = sp.lambdify(symbol, bell), sp.lambdify(symbol, bell.diff(symbol))
    x, at, step = np.linspace(-3, 3, 200), -0.9, 0.8
    axes.plot(x, value(x), color=SCORE, lw=5)
    axes.annotate(
        "",
        (at + step, value(at) + step * slope(at)),
        (at, value(at)),
        arrowprops={"arrowstyle": "-|>", "color": PATH, "lw": 5, "mutation_scale": 35},
    )
    axes.plot([at], [value(at)], "o", color=PATH, ms=16)
    axes.set(ylim=(-0.05, 1.2))
    axes.set_axis_off()
    figure.text(0.06, 0.55, title.replace(" of ", "\nof "), fontsize=44, weight="bold", va="center", linespacing=1.3)
    figure.text(0.06, 0.25, "An executable book.\nEvery equation is checked.", fontsize=24, va="center", color=INK)
    figure.savefig(path)


# Site map, and the page for what is not there ------------------------------------------------------------------------


def site_map(address, pages):
    """The site map of (page, day of its last change or None) pairs."""
    rows = [
        f"<url><loc>{escape_xml(f'{address}{page}.html')}</loc>{f'<lastmod>{day}</lastmod>' if day else ''}</url>"
        for page, day in pages
    ]
    return "\n".join(
        [
            '<?xml version="1.0" encoding="UTF-8"?>',
            '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">',
            *rows,
            "</urlset>",
            "",
        ]
    )


def rooted(html, base):
    """A page of the site's root that also works when a host shows it under the address of a page that is not there."""
    return re.sub(
        r'\b(href|src|action|content_root)="(?!#|/|[a-z][a-z+.-]*:)(?:\./)?([^"]*)"',
        lambda found: f'{found[1]}="{base}{found[2]}"',
        html,
    )


def finish(app, exception):
    if exception or app.builder.format != "html" or not (address := app.config.html_baseurl):
        return
    out = Path(app.outdir)
    days = {page: change.day.date() for page in app.env.found_docs if (change := last_change_of(page))}
    pages = [*sorted(app.env.found_docs), *(["genindex"] if app.config.html_use_index else [])]
    (out / "sitemap.xml").write_text(site_map(address, [(page, days.get(page)) for page in pages]), "utf8")
    draw_card(out / CARD, app.config.html_title)
    missing = out / "404.html"
    missing.write_text(rooted(missing.read_text("utf8"), urlsplit(address).path), "utf8")


def setup(app):
    app.connect("html-collect-pages", lambda _: [("404", {}, "404.html")])
    app.connect("html-page-context", add_tags)
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True}
