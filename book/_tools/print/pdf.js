// In the page that is printed: make everything fit the column, and number the table of contents. Called by pdf.py.

// The rows of a TeX formula, or its parts before + and − on the outermost level.
function split(tex, at) {
    const parts = [''];
    let depth = 0;
    for (const [token] of tex.matchAll(/\\(?:[a-zA-Z]+|.)|[^]/gs)) {
        if (/^(\{|\\left|\\begin)$/.test(token)) depth++;
        if (/^(\}|\\right|\\end)$/.test(token)) depth--;
        if (depth === 0 && at.test(token) && parts.at(-1).trim()) parts.push('');
        parts[parts.length - 1] += token;
    }
    return parts;
}

const LINE = 60;  // symbols, about as many as fit beside an equation's number

// About how many symbols wide a piece of TeX is set.
const width = tex => tex.replace(/\\(left|right|underset|mathbb|mathcal|operatorname|frac|qquad|text)(?![a-zA-Z])|[{}_^&\s]/g, '')
    .replace(/\\[a-zA-Z]+/g, 'x').length;

// A displayed formula with its long rows broken before outermost signs, like TeX's multline; null if that changes nothing.
function broken(tex) {
    const inner = tex.match(/^\\begin\{aligned\}(.*)\\end\{aligned\}$/s)?.[1] ?? `&${tex}`;
    const rows = split(inner, /^\\\\$/).map(row => row.replace(/^\\\\/, '')), lines = [];
    for (const row of rows) {
        const [first, ...others] = split(row, /^[+-]$/);
        lines.push(first);
        for (const part of others) {
            // A sign after a relation belongs to what follows it.
            if (/([=<>&]|\\[lgn]eq?)\s*$/.test(lines.at(-1)) || width(lines.at(-1) + part) < LINE) lines[lines.length - 1] += part;
            else lines.push(`&\\qquad {} ${part}`);
        }
    }
    return lines.length > rows.length ? `\\begin{aligned}${lines.join(' \\\\ ')}\\end{aligned}` : null;
}

const COMFORTABLE = 0.8;  // a displayed formula smaller than this is broken over lines first

// Set an element smaller until it is no wider than its room; the scale that it took.
function shrink(element, wide, room) {
    let scale = 1;
    element.style.fontSize = '';
    for (let i = 0; i < 30 && wide() > room() + 0.5; i++) {
        scale *= Math.min(0.99, room() / wide());
        element.style.fontSize = `${scale}em`;
    }
    return scale;
}

function fitFormula(display, macros) {
    const shrunk = () => shrink(display, () => display.querySelector('.katex-html').getBoundingClientRect().width, () => display.clientWidth);
    const scale = shrunk(), formula = display.querySelector('.katex');
    const tex = scale < COMFORTABLE && broken(formula.ariaLabel);
    if (!tex) return scale;
    const before = formula.innerHTML;
    formula.innerHTML = new DOMParser().parseFromString(katex.renderToString(tex, {displayMode: true, output: 'html', macros}), 'text/html')
        .querySelector('.katex').innerHTML;
    const smaller = shrunk();
    if (smaller > scale) return smaller;
    formula.innerHTML = before;
    return shrunk();
}

// Make all fit; what would have to be smaller than `smallest`, what sticks out all the same, and all scales below 1.
function fit(smallest, macros) {
    const column = document.querySelector('main').getBoundingClientRect(), found = [], scales = [];
    const name = each => `${each.closest('[id]')?.id}: ${(each.querySelector('[aria-label]')?.ariaLabel ?? each.textContent).trim().slice(0, 80)}`;
    const note = (each, scale) => {
        if (scale < 1) scales.push(scale);
        if (scale < smallest) found.push(`${name(each)}: fits the column only at ${Math.round(100 * scale)} %`);
    };
    document.querySelectorAll('.katex-display').forEach(each => note(each, fitFormula(each, macros)));
    document.querySelectorAll('main table').forEach(each =>
        note(each, shrink(each, () => each.scrollWidth, () => each.parentElement.clientWidth)));
    for (const each of document.querySelectorAll('body *')) {
        const box = each.getBoundingClientRect();
        // Spaces at the end of a line of code hang over the edge; its own box says whether it is too wide.
        const right = each.matches('pre') ? box.left + each.scrollWidth : box.right;
        if (box.width && box.height && !each.closest('svg *, pre *, .base *') && (right > column.right + 1 || box.left < column.left - 1))
            found.push(`${name(each)}: sticks out of the column (${each.tagName.toLowerCase()}.${each.className})`);
    }
    // Chromium would shrink all pages alike.
    const {scrollWidth, clientWidth} = document.documentElement;
    if (scrollWidth > clientWidth) found.push(`The document is ${scrollWidth} pixels wide, its pages are ${clientWidth}.`);
    return [found, scales];
}

function number(pages) {
    for (const each of document.querySelectorAll('.book-contents a'))
        each.querySelector('.folio').textContent = pages[decodeURIComponent(each.hash.slice(1))];
}
