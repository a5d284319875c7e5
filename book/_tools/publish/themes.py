"""Figures follow the page's light or dark theme: beside every SVG stands a dark variant, and pages show one of the two.

A variant is the same drawing with each colour of the book's style replaced by its dark counterpart. Both images stand
in the page, of which the theme's style displays one; as they load lazily, a browser fetches no other.
"""

import re
from pathlib import Path

from _lib.style import DARK

ENLARGED = 1.2  # against the drawing's own size, so that its text is as large as the page's
PIXELS = 96 / 72 * ENLARGED  # of CSS, for a point of the drawing
COLOUR = re.compile(r"#[0-9a-fA-F]{6}\b")
IMAGE = re.compile(r'<img\b(?! class="only-)[^>]*? src="(?P<path>[^"]*_images/(?P<name>[\w-]+)\.svg)"[^>]*>')


def colours(svg):
    """The colours of a drawing that are no part of the book's style, and would be the same on a dark page."""
    return sorted({colour.lower() for colour in COLOUR.findall(svg)} - DARK.keys())


def dark(svg):
    """The drawing for a dark page."""
    return COLOUR.sub(lambda colour: DARK.get(colour[0].lower(), colour[0]), svg)


def extent(svg):
    """Width and height of a drawing in the page, in pixels of CSS."""
    width, height = (re.search(rf'<svg\b[^>]*\b{side}="([\d.]+)pt"', svg)[1] for side in ("width", "height"))
    return round(float(width) * PIXELS), round(float(height) * PIXELS)


def paired(html, images):
    """A page in which every figure is there for both themes, with its extent, so that nothing moves when it arrives.

    Args:
        html: the page.
        images: the folder of its drawings, in which the dark variants are written.
    """

    def pair(image):
        name = image["name"]
        svg = (images / f"{name}.svg").read_text("utf8")
        (images / f"{name}-dark.svg").write_text(dark(svg), "utf8")
        width, height = extent(svg)
        light = image[0].replace("<img", f'<img class="only-light" loading="lazy" width="{width}" height="{height}"', 1)
        night = light.replace("only-light", "only-dark", 1).replace(f"{name}.svg", f"{name}-dark.svg")
        return f'<span class="themed">{light}{night}</span>'

    return IMAGE.sub(pair, html)


def finish(app, exception):
    """Give every page of the built site its figures in both themes."""
    if not exception and app.builder.format == "html":
        site = Path(app.outdir)
        for page in site.rglob("*.html"):
            text = page.read_text("utf8")
            if (themed := paired(text, site / "_images")) != text:
                page.write_text(themed, "utf8")


def setup(app):
    app.connect("build-finished", finish)  # before styles lose the rules that no page needs
    return {"parallel_read_safe": True}
