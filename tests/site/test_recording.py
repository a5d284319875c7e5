"""The one visit to a page sees what is wrong in a single view, and what axe is spared hides nothing."""

import json

import pytest

import recording
from browsing import FORMULA, WIDTHS, needed
from checkers import hollow, thin, violations
from recording import complaints

needed()

VIEWS = {f"{width}, {scheme}" for width in WIDTHS for scheme in ("light", "dark")}
DARK, PHONE = ({view for view in VIEWS if word in view} for word in ("dark", "phone"))
PHONES = "@media (max-width: 600px)"
PALE = "{color: #888; background: #999}"
TOKENS = "".join(f'<span class="n">name{i}</span> ' for i in range(50))

PICTURE = "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA="

# What is found of a fault, and in which views; its style; its body.
FAULTS = {
    "pale in the dark": ("axe", "color-contrast: #a", DARK, f"[data-theme=dark] #a {PALE}", '<p id="a">pale</p>'),
    "pale on a phone in the light": (
        "axe",
        "color-contrast: #b",
        {"phone, light"},
        f"{PHONES} {{[data-theme=light] #b {PALE}}}",
        '<p id="b">pale</p>',
    ),
    "a button without a name on a phone": (
        "axe",
        "button-name: #c",
        PHONE,
        f"#c {{display: none}} {PHONES} {{#c {{display: block}}}}",
        '<button id="c"></button>',
    ),
    "a picture without words in the dark": (
        "axe",
        "image-alt: #d",
        DARK,
        "[data-theme=light] #d {display: none}",
        f'<img id="d" width="9" src="{PICTURE}">',
    ),
    "one of many tokens pale in the dark": (
        "axe",
        '<span class="n"',
        DARK,
        f"[data-theme=dark] #e > :nth-child(30) {PALE}",
        f'<pre id="e" style="white-space: normal">{TOKENS}</pre>',
    ),
    "code that scrolls on a phone": (
        "axe",
        "scrollable-region-focusable: #f",
        PHONE,
        "#f {width: 100%; overflow: auto}",
        f'<pre id="f">{"x" * 90}</pre>',
    ),
    "a box too wide for a phone": (
        "sideways",
        "sticks out: div.g",
        PHONE,
        ".g {width: 600px}",
        '<div class="g">x</div>',
    ),
    "and the page with it": ("sideways", "the page is", PHONE, "", ""),
    "a formula pale in the dark": (
        "mathematics",
        "hardly visible",
        DARK,
        f"[data-theme=dark] #h {PALE}",
        f'<p id="h">{FORMULA}</p>',
    ),
}

# No fault: a chart that is drawn anew for another width, a little later.
LATE = """<div id="late">chart</div><script>
    const late = document.getElementById("late"), draw = () => {
        late.style.width = `${document.documentElement.clientWidth - 40}px`;
    };
    new ResizeObserver(() => setTimeout(draw, 150)).observe(document.documentElement);
</script>"""


@pytest.fixture(scope="module")
def faulty(request, once, serve, tmp_path_factory):
    """The record of a page with all the faults, and a chart that is late."""
    folder = tmp_path_factory.mktemp("faulty")
    style, body = ("\n".join(part) for part in list(zip(*FAULTS.values()))[3:])
    (folder / "page.html").write_text(
        f'<!doctype html><html lang="en"><head><meta name="viewport" content="width=device-width"><title>A</title>'
        f'<link rel="icon" href="data:,"><style>.katex-mathml {{display: none}} {style}</style><script>'
        "const dark = matchMedia('(prefers-color-scheme: dark)');"
        "dark.onchange = () => { document.documentElement.dataset.theme = dark.matches ? 'dark' : 'light'; };"
        "dark.onchange();"
        f"</script></head><body><main><article><h1>A</h1>{body}{LATE}</article></main></body>",
        "utf8",
    )

    def record():
        return json.dumps(recording.record(request.getfixturevalue("browser"), serve(folder), "page.html"))

    return json.loads(once("faulty.json", record).read_text("utf8"))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_seen_in_its_views_only(faulty, fault):
    kind, words, views, *_ = FAULTS[fault]
    assert {view for view, found in faulty[kind].items() if any(words in complaint for complaint in found)} == views


def test_a_view_has_no_faults_but_its_own(faulty):
    for kind in "axe", "sideways", "mathematics":
        for view in VIEWS:
            planted = [fault for fault, (of_kind, _, views, *_) in FAULTS.items() if kind == of_kind and view in views]
            assert len(faulty[kind][view]) == len(planted), (kind, view)


def test_complaints_are_kept_with_their_view():
    assert complaints({"a": [], "b": ["x"], "c": []}) == {"b": ["x"]}


def test_what_is_replaced_for_axe_returns(made):
    page, _ = made(f'{FORMULA}<pre>{TOKENS}<span class="n o">name<b>d</b></span></pre>')
    whole = page.content()
    with hollow(page), thin(page):
        assert page.locator("pre .n").count() == 2 and page.locator(".katex-mathml").count() == 0
        assert page.locator("pre").inner_text().split() == [f"name{i}" for i in range(50)] + ["named"]
    assert page.content() == whole


@pytest.mark.parametrize(
    "token, rule",
    [
        ('<span class="n" style="color: #999">pale</span>', "color-contrast"),
        ('<span class="n"><span class="n" style="opacity: 0.3">pale</span></span>', "color-contrast"),
        ('<i style="opacity: 0.3"><span class="n">pale</span></i>', "color-contrast"),
        ('<span class="n" role="nonsense">x</span>', "aria-roles"),
        ('<span class="n" role="img"></span>', "role-img-alt"),
    ],
)
def test_among_many_tokens_the_bad_one_is_found(made, token, rule):
    page, _ = made(f'<pre style="white-space: normal">{TOKENS}{token}{TOKENS}</pre>')
    assert [found.partition(":")[0] for found in violations(page)] == [rule]


def test_of_tokens_of_one_look_the_longest_stays(made):
    """Of a single character axe would not tell."""
    tokens = "".join(f'<span class="n">{text}</span> ' for text in ("x", "name", "y"))
    page, _ = made(f"<style>.n {{color: #999}}</style><pre>{tokens}</pre>")
    assert [found.partition(":")[0] for found in violations(page)] == ["color-contrast"]
