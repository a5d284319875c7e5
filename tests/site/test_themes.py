"""Figures in the page's two themes: the dark variants, the palette's contrast, and the stored drawings themselves."""

import gzip
import io
import re

import numpy as np
import pytest

from _lib import style
from _lib.style import DARK
from _tools import notebooks
from _tools.publish import themes

FIGURES = [
    (cell.metadata.get("mystnb", {}), output.data["image/svg+xml"])
    for path in notebooks.notebooks()
    for cell in notebooks.read(path).cells
    for output in cell.get("outputs", [])
    if "image/svg+xml" in output.get("data", {})
]
NAMES = [words.get("figure", {}).get("name", "nameless") for words, _ in FIGURES]
LIGHT = {colour: colour for colour in DARK}
SERIES = (style.SCORE, style.PATH, style.THIRD, style.FOURTH)


# The palette ----------------------------------------------------------------------------------------------------

# What a protanope, a deuteranope and a tritanope see, in linear RGB: Machado, Oliveira and Fernandes (2009),
# severity 1.
SIGHT = {
    "usual": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def linear(colour):
    value = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def contrast(one, other):
    """WCAG's contrast ratio, from 1 to 21."""
    low, high = sorted(linear(colour) @ [0.2126, 0.7152, 0.0722] for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


def oklab(rgb):
    lms = np.cbrt(
        [
            [0.4122214708, 0.5363325363, 0.0514459929],
            [0.2119034982, 0.6806995451, 0.1073969566],
            [0.0883024619, 0.2817188376, 0.6299787005],
        ]
        @ rgb
    )
    return (
        np.array(
            [
                [0.2104542553, 0.7936177850, -0.0040720468],
                [1.9779984951, -2.4285922050, 0.4505937099],
                [0.0259040371, 0.7827717662, -0.8086757660],
            ]
        )
        @ lms
    )


def distance(one, other, sight):
    """The distance in Oklab (black and white are 1 apart) of two colours as someone with this sight sees them."""
    return np.linalg.norm(
        np.subtract(*(oklab(np.clip(SIGHT[sight] @ linear(colour), 0, 1)) for colour in (one, other)))
    )


def too_close(theme, series=SERIES, least=0.07):
    return [
        (sight, a, b)
        for sight in SIGHT
        for i, a in enumerate(series)
        for b in series[:i]
        if distance(theme[a], theme[b], sight) < least
    ]


def too_faint(theme):
    """Marks below 3:1 and words below 4.5:1, against the sheet and the areas that they stand on."""
    sheet = theme[style.SHEET]
    marks = [(mark, sheet) for mark in (*SERIES, style.TRUTH)]
    words = [(style.INK, ground) for ground in (style.SHEET, style.PLAIN, style.COOL, style.WARM)]
    return [mark for mark, ground in marks if contrast(theme[mark], ground) < 3] + [
        ground for ink, ground in words if contrast(theme[ink], theme[ground]) < 4.5
    ]


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_the_palette_is_seen_by_everybody(theme):
    assert too_faint(theme) == []
    assert too_close(theme) == []


def test_a_bad_palette_is_rejected():
    assert contrast("#ffffff", "#000000") == pytest.approx(21) and contrast("#767676", "#ffffff") == pytest.approx(
        4.54, abs=0.01
    )
    assert too_faint(LIGHT | {style.SHEET: DARK[style.SHEET]}) != [], "the light theme's ink on a dark sheet"
    assert style.THIRD in too_faint(LIGHT | {style.THIRD: "#7fd6b8"})
    red_and_green = too_close(LIGHT | {style.PATH: "#c04000", style.THIRD: "#5f7a00"})
    assert {sight for sight, *_ in red_and_green} >= {"deuteranopia"} and "usual" not in {
        sight for sight, *_ in red_and_green
    }


def test_the_sheet_is_the_page():
    """The theme's own colour of a dark page; a figure that lies on another sheet shows its edges."""
    assert DARK[style.SHEET] == "#121212" and style.SHEET == "#ffffff"


# Variants and pages ---------------------------------------------------------------------------------------------

DRAWING = '<svg fill="#222222" width="100pt" height="50.4pt"><path style="fill: #FFFFFF; stroke: #0072b2"/></svg>'


def test_a_dark_variant_has_every_colour_replaced():
    assert themes.dark(DRAWING) == DRAWING.replace("#222222", "#e2e2e2").replace("#FFFFFF", "#121212").replace(
        "#0072b2", "#56b4e9"
    )
    assert themes.colours(DRAWING) == [] and themes.colours(themes.dark(DRAWING)) == ["#121212", "#56b4e9", "#e2e2e2"]


def test_a_page_shows_both(tmp_path):
    (tmp_path / "abc.svg").write_text(DRAWING, "utf8")
    page = (
        '<figure><img alt="A &gt; b.svg" src="../_images/abc.svg" />\n<figcaption>It falls.</figcaption></figure>'
        '<img src="../_images/a.png" />'
    )
    light, dark = re.findall("<img [^>]*svg[^>]*>", themed := themes.paired(page, tmp_path))
    assert light == (
        '<img class="only-light" loading="lazy" width="160" height="81" alt="A &gt; b.svg" src="../_images/abc.svg" />'
    )
    assert dark == light.replace("only-light", "only-dark").replace("abc.svg", "abc-dark.svg")
    assert themed.replace(f'<span class="themed">{light}{dark}</span>', re.search("<img [^>]*>", page)[0]) == page
    assert (tmp_path / "abc-dark.svg").read_text("utf8") == themes.dark(DRAWING)
    assert themes.paired(themed, tmp_path) == themed, "a page that was not built again"


# The stored drawings --------------------------------------------------------------------------------------------

SCREEN = 390  # pixels: a phone


def flaws(svg):
    """Colours that would not change, parts that are pixels, weight, words too small for a phone."""
    found = [f"colour {colour}" for colour in themes.colours(svg)]
    if "<image" in svg or "rgb(" in svg:
        found.append("made of pixels, or of colours of another form")
    if len(gzip.compress(svg.encode())) > 30_000:
        found.append("more than 30 kB, compressed")
    shrunk = min(themes.PIXELS, SCREEN / float(re.search(r'width="([\d.]+)pt"', svg)[1]))
    sizes = [
        100 * float(size) * shrunk
        for size in re.findall(r"translate\([^)]*\) (?:rotate\([^)]*\) )?scale\(([\d.]+) -", svg)
    ]
    if min(sizes, default=0) < 7.5:
        found.append(f"words of {min(sizes, default=0):.1f} pixels on a phone")
    return found


def lacking(words):
    """What a reader who cannot see the figure, or who looks for it, would miss."""
    alt, caption = words.get("image", {}).get("alt", ""), words.get("figure", {}).get("caption", "")
    checks = {
        "a name": words.get("figure", {}).get("name", "").startswith("fig-"),
        "a caption of whole sentences": caption.endswith("."),
        "a description of whole sentences": alt.endswith(".") and len(alt) > 80,
        "a description that is no picture of a picture": not re.match(
            "(An? |The )?(figure|plot|chart|graph|image|picture)\\b", alt, re.I
        ),
        "a description of its own": alt != caption,
        "words instead of TeX": not re.search(r"[$\\\\]", alt),
    }
    return [what for what, there in checks.items() if not there]


@pytest.mark.parametrize("words, svg", FIGURES, ids=NAMES)
def test_stored_figure(words, svg):
    assert flaws(svg) == []
    assert lacking(words) == []


def test_there_are_figures_and_each_has_its_own_name():
    assert len(set(NAMES)) == len(NAMES) > 40


def test_a_figure_without_words_is_rejected():
    sound = {
        "image": {
            "alt": "The error falls like one over the root of n, and all seven measured points lie on the exact line."
        },
        "figure": {"caption": "Errors.", "name": "fig-errors"},
    }
    assert lacking(sound) == []
    assert len(lacking({})) == 4
    for alt, what in [
        ("It falls.", "whole sentences"),
        ("Plot of " + sound["image"]["alt"], "picture of a picture"),
        (sound["image"]["alt"].replace("n,", "$n$,"), "TeX"),
    ]:
        assert [fault for fault in lacking(sound | {"image": {"alt": alt}}) if what in fault], alt


def test_bad_drawings_are_rejected():
    sound = '<svg fill="#222222" width="390pt"><g transform="translate(1 2) scale(0.09 -0.09)"/></svg>'
    assert flaws(sound) == []
    for bad, flaw in [
        (sound.replace("#222222", "#123456"), "colour #123456"),
        (sound + "<image/>", "made of pixels"),
        (sound + np.random.default_rng(0).bytes(40_000).hex(), "30 kB"),
        (sound.replace("390pt", "650pt"), "words of 5.4 pixels"),
        (sound.replace("0.09", "0.07"), "words of 7.0 pixels"),
        ('<svg width="9pt"/>', "words of 0.0 pixels"),
    ]:
        assert any(flaw in fault for fault in flaws(bad)), flaw


def drawn(values, **labels):
    figure, (axis,) = style.panels()
    axis.plot(values, color=style.SCORE, label="$x$")
    axis.axhline(0, color="black")
    axis.set(**labels)
    axis.legend()
    return style.show(figure)


def test_a_drawing_is_the_same_in_every_run_and_speaks_svg_alone():
    picture = drawn([1.0, 3.0, 2.0], title="a title")
    assert picture == drawn([1.0, 3.0, 2.0], title="a title") != drawn([1.0, 3.0, 2.5], title="a title")
    assert picture._repr_svg_() == picture.svg and picture.svg.startswith("<svg ") and picture.svg.endswith("</svg>")
    assert repr(picture) == "Picture with 1 panel (run the cell to see it)"
    assert not re.search(
        r"Matplotlib|metadata|<!--|#000000|\d\.\d{3}(?!.*scale)", re.sub(r"scale\([^)]*\)", "", picture.svg)
    )
    assert themes.colours(picture.svg) == []


def test_rounding_moves_nothing():
    """Compact and full drawing have the same lines to a tenth of a point."""
    figure, (axis,) = style.panels()
    axis.plot([0, 1], [0, 1])
    full = io.StringIO()
    figure.savefig(full, format="svg")
    points = [
        np.array(re.findall(r"-?[\d.]+", path), float) for path in re.findall(r'<path d="([^"]*)"', full.getvalue())
    ]
    kept = [
        np.array(re.findall(r"-?[\d.]+", path), float)
        for path in re.findall(r'<path d="([^"]*)"', style._compact(full.getvalue()))
    ]
    assert len(points) == len(kept) > 5
    assert all(np.allclose(a, b, atol=0.051, rtol=0) for a, b in zip(points, kept, strict=True))
