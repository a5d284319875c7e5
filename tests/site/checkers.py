"""What is looked for in a page that a browser shows. Each checker returns what it found; an empty list is what we want.

Those here are asked of every page by the one visit of `recording.py`; the tests of each say what it has to reject.
"""

import contextlib

from browsing import ROOT

AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
STANDARD = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]


def bad_mathematics(page):
    """Raw TeX, errors of KaTeX, empty formulas, fonts that did not load, formulas that cannot be told from the page."""
    return page.evaluate(r"""() => {
        const found = [];
        const main = document.querySelector('main') ?? document.body;
        const texts = document.createTreeWalker(main, NodeFilter.SHOW_TEXT);
        while (texts.nextNode()) {
            const text = texts.currentNode;
            if (text.parentElement.closest('pre, code, script, style, annotation, noscript')) continue;
            if (/\$\$|\\\(|\\\[|\\begin\{|\$[^$]*\\[a-z]+[^$]*\$/.test(text.data))
                found.push('raw: ' + text.data.trim());
        }
        for (const formula of document.querySelectorAll('.katex'))
            if (!main.contains(formula) || !formula.closest('.math'))
                found.push('not looked at: ' + formula.textContent);
        for (const formula of main.querySelectorAll('.katex-error, [style*="#cc0000"], mjx-container'))
            found.push('not KaTeX, or its error: ' + formula.textContent);
        const rgb = colour => (colour.match(/[\d.]+/g) ?? []).map(Number);
        const luminance = ([r, g, b]) => [r, g, b].map(v => v / 255)
            .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
            .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
        const ground = box => {
            for (; box; box = box.parentElement) {
                const colour = rgb(getComputedStyle(box).backgroundColor);
                if (colour.length === 3 || colour[3] === 1) return colour;
            }
            return [255, 255, 255];
        };
        for (const formula of main.querySelectorAll('span.math, div.math')) {
            const drawn = formula.querySelector('.katex-html'), tex = formula.querySelector('annotation')?.textContent;
            if (!drawn || !tex) { found.push('no formula in: ' + formula.textContent); continue; }
            if (!formula.offsetParent) continue;  // inside something folded
            const {width, height} = drawn.getBoundingClientRect();
            if (width < 2 || height < 2) found.push('without extent: ' + tex);
            for (const piece of [drawn, ...drawn.querySelectorAll('[style*="color"]')]) {
                const [light, dark] = [luminance(rgb(getComputedStyle(piece).color)), luminance(ground(piece))]
                    .sort((a, b) => b - a);
                if ((light + 0.05) / (dark + 0.05) < 4.5) found.push('hardly visible: ' + tex);
            }
        }
        for (const font of document.fonts) if (font.status === 'error') found.push('no font ' + font.family);
        return found;
    }""")


def sideways(page):
    """What sticks out of the window though nothing around it scrolls, and what is cut off with no way to get there."""
    return page.evaluate("""() => {
        const root = document.documentElement, found = [];
        if (root.scrollWidth > root.clientWidth) found.push(`the page is ${root.scrollWidth} wide`);
        const main = document.querySelector('main') ?? document.body, name = box =>
            `${box.tagName.toLowerCase()}.${box.className}: ${box.textContent.trim().slice(0, 60)}`;
        const scrolls = box => /auto|scroll/.test(getComputedStyle(box).overflowX);
        for (const part of main.querySelectorAll('article *')) {
            const box = part.getBoundingClientRect();
            if (!box.width || box.right <= root.clientWidth + 1 || part.closest('.katex-mathml, svg')) continue;
            let around = part.parentElement;
            while (around && around !== main && !scrolls(around)) around = around.parentElement;
            if (!around || around === main) found.push('sticks out: ' + name(part));
        }
        for (const box of main.querySelectorAll('div.math, span.math, .katex-display, table, pre, .cell_output'))
            if (box.scrollWidth > box.clientWidth + 1 && box.clientWidth
                && /hidden|clip/.test(getComputedStyle(box).overflowX)) found.push('cut off: ' + name(box));
        return found;
    }""")


def outside(page):
    """Notes of the margin that are cut off, or that lie on the text where there is room beside it."""
    return page.evaluate("""() => {
        const text = document.querySelector('article.bd-article')?.getBoundingClientRect(), wide = innerWidth >= 1200;
        return [...document.querySelectorAll('aside.margin')].filter(note => {
            const {left, right, width} = note.getBoundingClientRect();
            return width < 150 || left < 0 || right > document.documentElement.clientWidth
                || (wide ? left < text.right - 40 : width < 0.8 * text.width - 40);
        }).map(note => note.textContent);
    }""")


def unsized(page):
    """Pictures without a place of their own before they come."""
    return page.evaluate("""() => [...document.querySelectorAll('article img')]
        .filter(image => !image.getAttribute('width') || !image.getAttribute('height'))
        .map(image => image.outerHTML.slice(0, 120))""")


def bad_headings(page):
    """More or fewer than one h1, and headings that skip a level, among those that a screen reader meets."""
    levels = page.evaluate("""() => [...document.querySelectorAll('h1, h2, h3, h4, h5, h6')]
        .filter(heading => heading.checkVisibility())
        .map(heading => [Number(heading.tagName[1]), heading.textContent.trim()])""")
    found = [] if [level for level, _ in levels].count(1) == 1 else ["not one h1"]
    return found + [
        f"h{level} after h{before}: {text}"
        for (before, _), (level, text) in zip(levels, levels[1:])
        if level > before + 1
    ]


def bad_focus(page):
    """Equations that scroll without taking the focus and saying what they are, and those that do either in vain."""
    return page.evaluate("""() => [...document.querySelectorAll('article .katex-display')].flatMap(box => {
        const scrolls = box.querySelector('.katex-html').getBoundingClientRect().width > box.clientWidth + 1;
        const focus = box.tabIndex === 0, name = box.getAttribute('aria-label') ?? '';
        return scrolls === focus && focus === !!name ? []
            : [`${scrolls ? 'scrolls' : 'does not scroll'}, ${focus ? 'takes' : 'does not take'} the focus, `
                + `is called "${name}": ${box.textContent.trim().slice(0, 60)}`];
    })""")


def scrolling(page):
    """How many equations scroll sideways."""
    return page.evaluate("""() => [...document.querySelectorAll('article .katex-display')].filter(box =>
        box.querySelector('.katex-html').getBoundingClientRect().width > box.clientWidth + 1).length""")


# axe ------------------------------------------------------------------------------------------------------------

HOLLOW = """() => {
    const around = formula => {  // with the span that says no more than that it is mathematics
        const outer = formula.parentElement, plain = outer.matches('span.math') && outer.attributes.length === 1;
        return plain && outer.childNodes.length === 1 ? outer : formula;
    };
    const formulas = [...document.querySelectorAll('.katex')], whole = formulas.map(around);
    const widths = formulas.map(formula => formula.querySelector('.katex-html')?.getBoundingClientRect().width ?? 0);
    const shells = formulas.map((formula, i) => {
        const shell = formula.cloneNode(false), box = document.createElement('span');
        box.className = 'katex-html';
        box.style.cssText = `display: inline-block; width: ${widths[i]}px`;
        box.textContent = 'x';
        shell.append(box);
        whole[i].replaceWith(shell);
        return shell;
    });
    const drawn = document.createElement('style');
    drawn.textContent = '* {content-visibility: visible !important}';
    document.head.append(drawn);
    return () => drawn.remove() ?? shells.forEach((shell, i) => shell.replaceWith(whole[i]));
}"""

THIN = """() => {
    const STYLE = ['backgroundColor', 'backgroundImage', 'clip', 'color', 'display', 'fontSize', 'fontWeight',
        'opacity', 'overflow', 'position', 'textShadow', 'visibility', 'webkitTextStroke'];
    const styles = token => { const now = getComputedStyle(token); return STYLE.map(name => now[name]); };
    const look = (token, block, known) => {
        if (token === block) return '';
        if (!known.has(token)) {
            const own = [...token.attributes].map(({name, value}) => `${name}=${value}`);
            const around = look(token.parentElement, block, known);
            known.set(token, [around, token.tagName, ...own, ...styles(token)].join('|'));
        }
        return known.get(token);
    };
    const blocks = [...document.querySelectorAll('pre')].map(block => {
        const tokens = [...block.querySelectorAll('span')], known = new Map(), longest = new Map();
        const size = token => token.textContent.trim().length;
        const looks = tokens.map(token => token.children.length ? null : look(token, block, known) + (size(token) > 0));
        tokens.forEach((token, i) => {
            const other = longest.get(looks[i]);
            if (looks[i] && !(other && size(other) >= size(token))) longest.set(looks[i], token);
        });
        const spare = tokens.map((token, i) => looks[i] && longest.get(looks[i]) !== token);
        return [block, spare, tokens.map((token, i) => spare[i] ? null : styles(token))];
    });
    // Copies are made in a document of their own: axe leaves thousands of ranges in this one, and each is looked at
    // whenever a node comes or goes.
    const apart = document.implementation.createHTMLDocument(), kept = [], copies = [];
    for (const [block, spare, before] of blocks) {
        const copy = apart.importNode(block, true);
        copy.querySelectorAll('span').forEach((token, i) => {
            if (spare[i]) token.replaceWith(token.textContent); else kept.push([token, before[i]]);
        });
        copy.normalize();
        block.replaceWith(copy);
        copies.push(copy);
    }
    for (const [token, before, now] of kept.map(([token, before]) => [token, before, styles(token)]))
        STYLE.forEach((name, i) => { if (before[i] !== now[i]) token.style[name] = before[i]; });
    return () => blocks.forEach(([block], i) => copies[i].replaceWith(block));
}"""


@contextlib.contextmanager
def replaced(page, script):
    """The page as a script changes it, which returns how to undo it."""
    undo = page.evaluate_handle(script)
    try:
        yield
    finally:
        undo.evaluate("undo => undo()")
        undo.dispose()


def hollow(page):
    """With a box of the same width in each formula: axe would look at tens of thousands of pieces, or carry them along
    where they are excluded. `bad_mathematics` compares the contrast of every formula."""
    return replaced(page, HOLLOW)


def thin(page):
    """With the longest token of each look in a block of code, the others being part of the text around them.

    axe judges a token by its tag, its attributes, its style, and whether it has text. All these are the same for the
    tokens of one look in the present view: 9 of 10 are spared. Those that stay keep their style, also where it goes by
    what stands before them. The longest stays, since of a single character axe does not know whether it is to be read.
    """
    return replaced(page, THIN)


def violations(page):
    """Violations of WCAG 2.1 AA that axe-core finds outside of formulas."""
    if not page.evaluate("'axe' in window"):
        page.add_script_tag(path=AXE)
    with thin(page):
        return page.evaluate(
            """async tags => {
            const found = await axe.run({exclude: ['.katex']}, {
                runOnly: {type: 'tag', values: tags}, resultTypes: ['violations'],
                preload: !!document.querySelector('audio, video'),  // fetches once more what the rules on sound look at
            });
            return found.violations.flatMap(({id, nodes}) =>
                nodes.map(node => `${id}: ${node.target.join(' ')}: ${node.html.slice(0, 120)}`));
        }""",
            STANDARD,
        )
