"""What a browser moves for each page, and what stays where it is; how pages are made lighter."""

import re
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from fontTools.ttLib import TTFont
from PIL import Image

from _tools.check import audit
from _tools.publish import lighten
from browsing import PAGES, SITE, needed
from checkers import unsized

needed()


@pytest.fixture(scope="module")
def order():
    return audit.pages_before()


# Weight ---------------------------------------------------------------------------------------------------------


def test_the_reading_order_is_found(order):
    assert len(order) > 15 and set(order) <= set(PAGES) and order[audit.PREFACE] is None
    assert list(order.values())[1:] == list(order)[:-1]


@pytest.fixture
def weights(recorded, order):
    """A function from a page to the kB of a first visit, and of what the page before (or the preface) did not bring."""

    def weights(path):
        first, known = recorded(path)["moved"], recorded(order.get(path) or audit.PREFACE)["moved"]
        return sum(first.values()) / 1000, sum(moved for address, moved in first.items() if address not in known) / 1000

    return weights


@pytest.mark.parametrize("path", PAGES)
def test_page_is_light(weights, path):
    assert audit.overweight(path, *weights(path)) == []


@pytest.mark.parametrize("path", [audit.LAB, "book/bias.html"])
def test_a_reader_who_comes_from_the_page_before_moves_the_rest(browser, weights, order, path):
    """The bytes of a visit after another, with the cache of the first, are those that the records tell."""
    with audit.serving(SITE) as base:
        (first, _), (following, _) = audit.weigh(browser, base, path, order[path])
    assert weights(path) == (pytest.approx(first, abs=1), pytest.approx(following, abs=1)) and following < first / 2


@pytest.fixture
def folder(tmp_path):
    """A function that writes files to a folder: text, or grey noise of so many bytes, which cannot be compressed."""

    def write(**files):
        for name, content in files.items():
            file = tmp_path / name.replace("__", ".")
            if isinstance(content, str):
                file.write_text(content, "utf8")
            else:
                Image.frombytes("L", (content // 100, 100), np.random.default_rng(0).bytes(content)).save(file)
        return tmp_path

    return write


def page(body, following=""):
    return (
        '<!doctype html><title>A</title><link rel="icon" href="data:,">'
        f'<link rel="next" href="{following}"><p>{body}</p>'
    )


def test_bytes_are_counted_once(browser, folder):
    """What is compressed counts compressed, what the cache has not at all, what is folded or far below counts."""
    site = folder(
        a__html=page('<img src="a.png">'),
        b__html=page(
            "text " * 20_000 + '<img src="a.png"><details><img src="b.png"></details>'
            '<p style="margin-top: 20000px"><img src="c.png" loading="lazy">'
        ),
        a__png=300_000,
        b__png=50_000,
        c__png=20_000,
    )
    with audit.serving(site) as base:
        (first, asked), (following, more) = audit.weigh(browser, base, "b.html", "a.html")
    assert asked == 4 and 370 < first < 373
    assert more == 3 and 70 < following < 73


@pytest.mark.parametrize(
    "path, first, following, complaints",
    [
        ("book/a.html", 999, 149, 0),
        ("book/a.html", 1001, 10, 1),
        ("book/a.html", 10, 151, 1),
        ("book/a.html", 1001, 151, 2),
        (audit.LAB, 1999, 149, 0),
        (audit.LAB, 2001, 10, 1),
    ],
)
def test_a_heavy_page_is_rejected(path, first, following, complaints):
    assert len(audit.overweight(path, first, following)) == complaints


def test_low_scores_are_rejected():
    assert (
        audit.short_of("a.html", "desktop", [95, 95, 95, 95])
        == audit.short_of("a.html", "mobile", [75, 95, 95, 95])
        == []
    )
    assert audit.short_of("a.html", "desktop", [94, 100, 94, 100]) == [
        "a.html: Lighthouse gives performance 94 (desktop), less than 95",
        "a.html: Lighthouse gives best-practices 94 (desktop), less than 95",
    ]
    assert len(audit.short_of("a.html", "mobile", [74, 0, 0, 0])) == 4


# What stays where it is -----------------------------------------------------------------------------------------


def misplaced(page, target):
    """By how many pixels a link within the book misses its target at the top of the window, on a page long enough."""
    return page.evaluate(
        """async id => {
        location.hash = id;
        for (let before = -1, still = 0; still < 5; before = scrollY) {  // what comes into sight moves the rest
            await new Promise(done => requestAnimationFrame(() => setTimeout(done, 15)));
            still = scrollY === before ? still + 1 : 0;
        }
        const root = document.documentElement, target = document.getElementById(id);
        const margin = parseFloat(getComputedStyle(target).scrollMarginTop)
            + (parseFloat(getComputedStyle(root).scrollPaddingTop) || 0);
        const end = scrollY + innerHeight >= root.scrollHeight - 2;
        return end ? 0 : Math.abs(target.getBoundingClientRect().top - margin);
    }""",
        target,
    )


@pytest.mark.parametrize("path", PAGES)
def test_pictures_have_their_place(recorded, path):
    assert recorded(path)["unsized"] == []


def test_a_picture_without_a_place_is_rejected(made):
    assert len(unsized(made('<img src="data:," alt=""><img src="data:," alt="" width="3" height="3">')[0])) == 1


@pytest.mark.parametrize("width", ["desktop", "phone"])
def test_links_land_on_equations_far_below(visit, served, width):
    page, _ = visit(served, audit.longest().removeprefix("/"), width)
    targets = page.eval_on_selector_all(
        "article div.math[id]", "all => all.filter(equation => equation.offsetParent).map(equation => equation.id)"
    )
    assert len(targets) > 5
    half_a_line = 12
    assert {target: off for target in targets[::-4] if (off := misplaced(page, target)) > half_a_line} == {}


def test_the_page_has_its_height_before_it_is_laid_out(visit, served):
    page, _ = visit(served, audit.longest())
    before = page.evaluate("document.documentElement.scrollHeight")
    page.add_style_tag(content="* {content-visibility: visible !important}")
    assert page.evaluate("document.documentElement.scrollHeight") == pytest.approx(before, rel=0.01)


# How pages are made lighter -------------------------------------------------------------------------------------


def test_scripts_wait_except_those_of_the_search():
    book, search = (SITE / "book" / "index.html").read_text("utf8"), (SITE / "search.html").read_text("utf8")
    waiting = [script for script in re.findall(r"<script[^>]* src=[^>]*>", book) if "defer" not in script]
    assert len(waiting) == 1 and "documentation_options" in waiting[0]
    assert "searchindex" not in book and "searchindex.js" in search


def test_fonts_keep_what_is_shown(tmp_path):
    static = tmp_path / "_static"
    static.mkdir()
    (static / "a.html").write_text('<i class="fa-sun"></i> x &int;', "utf8")
    (static / "a.css").write_text(
        '.fa-sun:before{content:"\\f185"}.fa-moon:before{content:"\\f186"}q:before{content:"\\f107"}'
        ':root{--icon: "\\F06A"; --other: "\uf0f3"}',
        "utf8",
    )
    shown = lighten.characters(tmp_path)
    assert {ord("x"), ord("∫"), 0xF185, 0xF107, 0xF06A, 0xF0F3} <= shown and not shown & {0xF186, ord("∑")}
    font = tmp_path / "a.woff2"
    font.write_bytes((lighten.ROOT / "node_modules/katex/dist/fonts/KaTeX_Main-Regular.woff2").read_bytes())
    whole = font.stat().st_size
    lighten.subset_font(font, {ord("x"), ord("∫")})
    assert set(TTFont(font).getBestCmap()) == {ord("x"), ord("∫")} and font.stat().st_size < whole / 5


def test_every_icon_and_sign_of_the_book_has_its_glyph():
    fonts = {font.name: set(TTFont(font).getBestCmap()) for font in (SITE / "_static").rglob("*.woff2")}
    assert {0xF002, 0xF0C9, 0xF185, 0xF186, 0xF0F3} <= fonts["fa-solid-900.woff2"]  # search, menu, sun, moon, bell
    assert (
        set(map(ord, "0123456789=+∑∫∂")) - set().union(*(codes for name, codes in fonts.items() if "KaTeX" in name))
        == set()
    )


def test_styles_keep_what_can_apply(tmp_path):
    static = tmp_path / "_static"
    static.mkdir()
    (tmp_path / "a.html").write_text('<html data-theme="auto"><p class="used">', "utf8")
    (static / "a.js").write_text('document.body.classList.add("later"); document.body.dataset.theme = "dark"', "utf8")
    (static / "a.css").write_text(
        ".used{color:red}.later{color:green}.never{color:blue}html[data-theme=dark] p{color:tan}", "utf8"
    )
    (static / "custom.css").write_text(".never{color:blue}", "utf8")
    lighten.purge(tmp_path)
    kept = (static / "a.css").read_text("utf8")
    assert all(colour in kept for colour in ("red", "green", "tan")) and "blue" not in kept
    assert "blue" in (static / "custom.css").read_text("utf8")


def computed(page):
    """What the styles of a page come to, outside formulas."""
    return page.evaluate("""() => [...document.querySelectorAll('body, body *:not(.katex *)')].map(element => {
        const style = getComputedStyle(element), box = element.getBoundingClientRect();
        const names = ['display', 'color', 'backgroundColor', 'fontSize', 'fontWeight', 'margin', 'padding', 'border',
                       'position', 'visibility', 'opacity'];
        return [element.tagName, String(element.className), ...names.map(name => style[name]),
                Math.round(box.width), Math.round(box.height)].join();
    })""")


@pytest.mark.parametrize(
    "path, width, scheme",
    [
        ("book/index.html", "desktop", "dark"),
        ("book/choosing.html", "phone", "light"),
        ("search.html", "desktop", "light"),
        ("book/frameworks.html", "phone", "dark"),
    ],
)
def test_no_style_in_use_has_gone(visit, served, path, width, scheme):
    """The same page with the styles as their packages have them."""
    page, _ = visit(served, path, width, scheme)
    page.wait_for_timeout(500)
    ours, whole = computed(page), Path(lighten.katex.__file__).parents[1]

    def original(route):
        name = Path(urlsplit(route.request.url).path).name
        found = [
            *whole.glob(f"pydata_sphinx_theme/theme/*/static/styles/{name}"),
            *whole.glob(f"sphinx_book_theme/theme/*/static/styles/{name}"),
            *whole.glob(f"myst_nb/static/{name}"),
            *whole.glob(f"sphinx_design/static/{name}"),
            *whole.glob(f"sphinx_design/compiled/{name}"),
        ]
        replaced.extend(found[:1])
        route.fulfill(path=found[0]) if found else route.fallback()

    replaced = []
    page.context.route("**/*.css*", original)
    page.reload()
    page.wait_for_timeout(500)
    assert len(replaced) >= 2
    assert [pair for pair in zip(computed(page), ours, strict=True) if pair[0] != pair[1]] == []


def test_a_failing_purge_stops_the_build(tmp_path):
    (tmp_path / "_static").mkdir()
    (tmp_path / "_static" / "a.css").write_text("a {{{", "utf8")
    with pytest.raises(lighten.ExtensionError, match="PurgeCSS failed"):
        lighten.purge(tmp_path)


def test_heights_of_formulas():
    two = (
        '<span class="katex-display"><span class="katex"><span class="base"><span class="strut" style="height:2em;'
        'vertical-align:-0.5em;"></span></span><span class="base"><span class="strut" style="height:1.2em;"></span>'
        "</span></span></span>"
    )
    assert lighten.height(two) == pytest.approx(1.21 * 2)
    assert lighten.height("") == pytest.approx(1.21 * 1.2)
    assert "contain-intrinsic-height:auto 2.42em" in lighten.prepared(two) and "katex breakable" in lighten.prepared(
        two
    )
    assert "breakable" not in lighten.prepared(two.replace('class="base"', "", 1))
