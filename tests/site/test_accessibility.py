"""Every built page with axe-core, in light and dark, on desktop and phone; headings; the keyboard; reduced motion."""

import pytest

from browsing import PAGES, SITE, WIDTHS, needed, settle, widen
from checkers import bad_focus, bad_headings, violations
from recording import complaints

needed()

# What is looked for. Each checker returns what it found; an empty list is what we want. --------------------------


def walk(page, most=3000):
    """Press Tab until the focus has been everywhere: what could not be reached, where no focus could be seen, traps."""
    wanted = page.evaluate("""() => {
        document.activeElement?.blur();
        scrollTo(0, 0);
        const kinds = 'a[href], button, input, select, textarea, summary, [tabindex]';
        const all = [...document.querySelectorAll(kinds)].filter(stop =>
            stop.tabIndex >= 0 && !stop.disabled && stop.checkVisibility({visibilityProperty: true})
            && !stop.closest('[inert], .katex'));
        all.forEach((stop, i) => { stop.dataset.stop = i; });
        return all.length;
    }""")
    look = """() => {
        const focused = document.activeElement;
        if (!focused || focused === document.body) return null;
        const style = getComputedStyle(focused), text = focused.outerHTML.slice(0, 100);
        const seen = (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0)
            || style.boxShadow !== 'none';
        return [focused.dataset.stop ?? null, text, seen, focused.matches(':focus-visible')];
    }"""
    reached, found, before = set(), [], None
    for _ in range(min(most, 3 * wanted + 10)):
        page.keyboard.press("Tab")
        now = page.evaluate(look)
        if now is None and reached:
            break  # the focus has left the page at its end
        if now is None:
            continue
        stop, text, seen, _ = now
        if now[:2] == before and stop in reached:
            found.append(f"trapped in {text}")
            break
        if stop in reached and len(reached) == wanted:
            break
        if not seen:
            found.append(f"no focus to be seen: {text}")
        reached.add(stop)
        before = now[:2]
    missed = page.evaluate(
        """reached => [...document.querySelectorAll('[data-stop]')]
        .filter(stop => !reached.includes(stop.dataset.stop)).map(stop => stop.outerHTML.slice(0, 100))""",
        [stop for stop in reached if stop is not None],
    )
    return found + [f"not reached: {html}" for html in missed]


def moving(page):
    """What moves by itself or glides, for a reader who asked for no motion."""
    return page.evaluate("""() => [...document.querySelectorAll('*')].filter(element => {
        const style = getComputedStyle(element), seconds = list => Math.max(...list.split(',').map(parseFloat));
        return seconds(style.transitionDuration) > 0.01
            || (style.animationName !== 'none' && seconds(style.animationDuration) > 0.01)
            || style.scrollBehavior === 'smooth';
    }).map(element => element.tagName + '.' + element.className)""")


# Every page -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PAGES)
def test_page(recorded, path):
    found = recorded(path)
    assert set(found["axe"]) == {f"{width}, {scheme}" for width in WIDTHS for scheme in ("light", "dark")}
    assert complaints(found["axe"]) == {}
    assert complaints(found["headings"]) == {}
    assert found["lang"] == "en"


@pytest.mark.parametrize("path", PAGES)
def test_what_scrolls_takes_the_focus_and_what_does_not_does_not(recorded, path):
    assert complaints(recorded(path)["focus"]) == {}


LONGEST = max(
    (page for page in PAGES if page.startswith("book/")), key=lambda page: (SITE / page).stat().st_size, default=""
)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("path", ["book/index.html", "book/choosing.html", "book/lab.html", "search.html"])
def test_all_is_reached_by_keyboard(served, visit, path, width):
    page, _ = visit(served, path, width)
    widen(page, width)
    settle(page)
    assert walk(page) == []


@pytest.mark.parametrize("path", ["book/index.html", "book/lab.html", LONGEST])
def test_nothing_moves_for_who_asks_for_no_motion(served, visit, path):
    page, _ = visit(served, path, reduced_motion="reduce")
    assert moving(page) == []


def test_on_a_phone_more_scrolls(recorded):
    scrolling = recorded(LONGEST)["scrolling"]
    assert 0 <= scrolling["desktop"] < scrolling["phone"]


def folds_by_keys(page, fold):
    opened = """fold => (fold.closest('details') ?? fold).matches('[open], [aria-expanded="true"]')"""
    was = fold.evaluate(opened)
    fold.focus()
    page.keyboard.press("Enter")
    assert fold.evaluate(opened) != was
    page.keyboard.press("Space")
    assert fold.evaluate(opened) == was


def test_hidden_cells_unfold_by_keys(served, visit):
    page, _ = visit(served, "book/index.html")
    folds_by_keys(page, page.locator("article details summary").first)


def test_keys_open_and_close(served, visit):
    """The skip link, the search, a solution, the theme."""
    page, _ = visit(served, LONGEST)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to main content"
    page.keyboard.press("Enter")
    page.wait_for_function("location.hash === '#main-content'")

    page.keyboard.press("Control+k")
    page.wait_for_function("document.querySelector('#pst-search-dialog').open && document.activeElement.name === 'q'")
    page.keyboard.press("Escape")
    page.wait_for_function("!document.querySelector('#pst-search-dialog').open")

    folds_by_keys(page, page.locator("article .admonition .toggle-button").first)

    theme = page.locator(".theme-switch-button:visible").first
    theme.focus()
    before = page.evaluate("document.documentElement.dataset.mode")
    page.keyboard.press("Enter")
    assert page.evaluate("document.documentElement.dataset.mode") != before


def test_the_side_bar_of_a_phone_opens_and_closes_by_keys(served, visit):
    page, _ = visit(served, "book/index.html", "phone")
    page.locator(".primary-toggle:visible").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelector('#pst-primary-sidebar-modal').open")
    assert page.evaluate("!!document.activeElement.closest('#pst-primary-sidebar-modal')")
    page.keyboard.press("Escape")
    page.wait_for_function("!document.querySelector('#pst-primary-sidebar-modal').open")


# The checkers reject --------------------------------------------------------------------------------------------


def test_a_sound_page_passes(made):
    page, _ = made('<h1>A</h1><h2>B</h2><p>Text with a <a href="#x" id="x">link</a>.</p><h3>C</h3><h2>D</h2>')
    assert violations(page) + bad_headings(page) + walk(page) + moving(page) == []


@pytest.mark.parametrize(
    "body, rule",
    [
        ('<p style="color: #999; background: #fff">pale</p>', "color-contrast"),
        ('<img src="data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA=">', "image-alt"),
        ('<input type="range">', "label"),
        ("<button></button>", "button-name"),
        ('<a href="#"></a>', "link-name"),
        (f'<pre style="width: 90px; overflow: auto">{"wide " * 99}</pre>', "scrollable-region-focusable"),
        ('<div role="nonsense">x</div>', "aria-roles"),
        ("<ul><p>x</p></ul>", "list"),
        ("<script>document.documentElement.removeAttribute('lang')</script>", "html-has-lang"),
        ("<script>document.title = ''</script>", "document-title"),
    ],
)
def test_violations_are_rejected(made, body, rule):
    page, _ = made(body)
    assert rule in {found.partition(":")[0] for found in violations(page)}


@pytest.mark.parametrize(
    "body, complaint",
    [("<h2>A</h2>", "not one h1"), ("<h1>A</h1><h1>B</h1>", "not one h1"), ("<h1>A</h1><h3>B</h3>", "h3 after h1: B")],
)
def test_bad_headings_are_rejected(made, body, complaint):
    page, _ = made(body)
    assert bad_headings(page) == [complaint]


def display(attributes, width):
    return (
        f'<div class="katex-display" {attributes} style="width: 90px; overflow: auto"><span class="katex">'
        f'<span class="katex-html" style="display: inline-block; width: {width}px">x</span></span></div>'
    )


@pytest.mark.parametrize(
    "attributes, width, complaint",
    [
        ("", 50, None),
        ('tabindex="0" aria-label="E"', 200, None),
        ("", 200, "scrolls, does not take"),
        ('tabindex="0"', 200, 'called ""'),
        ('tabindex="0"', 50, "does not scroll, takes"),
        ('aria-label="E"', 50, 'is called "E"'),
    ],
)
def test_a_focus_in_vain_or_missing_is_rejected(made, attributes, width, complaint):
    page, _ = made(display(attributes, width))
    found = bad_focus(page)
    assert len(found) == bool(complaint) and all(complaint in said for said in found)


@pytest.mark.parametrize(
    "body, complaint",
    [
        ('<a href="#">one</a><style>a:focus {outline: none}</style>', "no focus to be seen: <a"),
        (
            '<a href="#">one</a><button onkeydown="event.preventDefault()">two</button><a href="#">three</a>',
            "trapped in <button",
        ),
        ('<a href="#">one</a><a href="#" onfocus="this.blur()">two</a>', "not reached: <a"),
    ],
)
def test_what_the_keyboard_cannot_do_is_rejected(made, body, complaint):
    page, _ = made(body)
    assert any(fault.startswith(complaint) for fault in walk(page)), walk(page)


@pytest.mark.parametrize(
    "style",
    [
        "p {transition: color 1s}",
        "p {animation: a 2s infinite} @keyframes a {to {color: red}}",
        "html {scroll-behavior: smooth}",
    ],
)
def test_motion_is_rejected(made, style):
    page, _ = made(f"<style>{style}</style><p>x</p>")
    assert moving(page) != []
