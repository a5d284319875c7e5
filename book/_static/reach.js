/* What scrolls sideways can be scrolled from the keyboard: it takes the focus, and says what it is. What does not scroll
   does not take it. Without this script a reader loses nothing but that. */
(function () {
  "use strict";
  const NAMES = { PRE: "Code or output, scrolls sideways", TABLE: "Table, scrolls sideways" };

  function name(box) {
    const number = box.closest("div.math")?.querySelector(".eqno")?.firstChild?.textContent.trim();
    return NAMES[box.tagName] ?? `Equation${number ? ` ${number}` : ""}, scrolls sideways`;
  }

  /* Whether a box scrolls; undefined where it is folded. Measuring what is inside has it laid out, which it may not be yet. */
  function measure(box) {
    const width = box.clientWidth;
    const inside = box.matches(".katex-display") ? box.querySelector(".katex-html")?.getBoundingClientRect().width : box.scrollWidth;
    return width ? inside > width + 1 : undefined;
  }

  function mark(box, scrolls) {
    if (scrolls && box.tabIndex !== 0) box.tabIndex = 0;
    if (!scrolls && box.tabIndex === 0) box.removeAttribute("tabindex");
    for (const [attribute, value] of [["aria-label", name(box)], ["role", box.tagName === "TABLE" ? null : "group"]])
      if (scrolls && value) box.setAttribute(attribute, value);
      else if (value) box.removeAttribute(attribute); // a table keeps its role
  }

  /* A few at a time, when the browser has nothing better to do. Each comes again when its width changes or it is unfolded. */
  const waiting = new Set();
  const idle = globalThis.requestIdleCallback ?? ((then) => setTimeout(() => then({ timeRemaining: () => 10 }), 1));
  function work(deadline) {
    const measured = [];
    for (const box of waiting) {
      if (measured.length && deadline.timeRemaining() < 15) break;
      waiting.delete(box);
      measured.push([box, measure(box)]);
    }
    for (const [box, scrolls] of measured) // after all were measured, or each would be laid out anew
      if (scrolls !== undefined) mark(box, scrolls);
    if (waiting.size) idle(work);
    else document.documentElement.dataset.reach = "done";
  }
  function queue(boxes) {
    document.documentElement.dataset.reach = "busy";
    if (!waiting.size) idle(work);
    for (const box of boxes) waiting.add(box);
  }
  const all = new Set(document.querySelectorAll("article pre, article .katex-display, article table"));
  const sizes = new ResizeObserver((changes) => queue(changes.map((change) => change.target)));
  for (const box of all) sizes.observe(box);
  addEventListener("resize", () => queue(all)); // what is far from the window is not laid out, and not observed
  // The theme decides on code once more, and knows neither what is folded nor tolerances.
  new MutationObserver((changes) => queue(changes.map((change) => change.target).filter((box) => all.has(box))))
    .observe(document.querySelector("article") ?? document.body, { subtree: true, attributeFilter: ["tabindex"] });
})();
