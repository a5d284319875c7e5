/* What scrolls sideways can be scrolled from the keyboard: it takes the focus, and says what it is. What does not scroll
   does not take it. Without this script a reader loses nothing but that. */
(function () {
  "use strict";
  const NAMES = { PRE: "Code or output, scrolls sideways", TABLE: "Table, scrolls sideways" };

  function name(box) {
    const number = box.closest("div.math")?.querySelector(".eqno")?.firstChild?.textContent.trim();
    return NAMES[box.tagName] ?? `Equation${number ? ` ${number}` : ""}, scrolls sideways`;
  }

  function visit(box) {
    const width = box.clientWidth; // measuring what is inside has it laid out, which it may not be yet
    const inside = box.matches(".katex-display") ? box.querySelector(".katex-html")?.getBoundingClientRect().width : box.scrollWidth;
    if (width && inside > width + 1) {
      box.tabIndex = 0;
      box.setAttribute("aria-label", name(box));
      if (box.tagName !== "TABLE") box.setAttribute("role", "group"); // a table stays a table
    } else if (width) {
      box.removeAttribute("tabindex");
      box.removeAttribute("aria-label");
      if (box.tagName !== "TABLE") box.removeAttribute("role");
    }
  }

  /* A few at a time, when the browser has nothing better to do. Each comes again when its width changes or it is unfolded. */
  const waiting = new Set();
  const idle = globalThis.requestIdleCallback ?? ((then) => setTimeout(() => then({ timeRemaining: () => 10 }), 1));
  function work(deadline) {
    for (const box of waiting) {
      if (deadline.timeRemaining() < 2) break;
      waiting.delete(box);
      visit(box);
    }
    if (waiting.size) idle(work);
    else document.documentElement.dataset.reach = "done";
  }
  const seen = new ResizeObserver((changes) => {
    document.documentElement.dataset.reach = "busy";
    if (!waiting.size) idle(work);
    for (const { target } of changes) waiting.add(target);
  });
  for (const box of document.querySelectorAll("article pre, article .katex-display, article table")) seen.observe(box);
})();
