/* The estimator lab. The formulas come from lab-data.js, which gradlib prints; here is the arithmetic around them
   (random draws, averages, quadrature) and the picture. A classic script: it works from file:// and without a network. */
(function () {
  "use strict";
  const lab = globalThis.gradlibLab;

  // --- Random numbers: mulberry32, so that a seed gives the same draws everywhere ---------------------------------

  function mulberry32(seed) {
    let a = seed >>> 0;
    return function () { // strictly between 0 and 1
      a = (a + 0x6d2b79f5) >>> 0;
      let t = a;
      t = Math.imul(t ^ (t >>> 15), t | 1);
      t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
      return (((t ^ (t >>> 14)) >>> 0) + 0.5) / 4294967296;
    };
  }

  const normal = (u) => Math.sqrt(-2 * Math.log(u())) * Math.cos(2 * Math.PI * u()); // Box and Muller
  const SAMPLERS = {
    Normal: normal,
    Exponential: (u) => -Math.log(u()),
    Laplace: (u) => (u() < 0.5 ? 1 : -1) * -Math.log(u()),
    Rayleigh: (u) => Math.sqrt(-2 * Math.log(u())),
    Maxwell: (u) => Math.hypot(normal(u), normal(u), normal(u)),
    Uniform: (u) => u(),
    Bernoulli: (u) => (u() < 0.5 ? 1 : 0),
  };

  /* n draws of one kind of noise. The i-th draws of estimators that need the same noise are the same draws. */
  const drawn = new Map();
  function draws(kind, stream, seed, n) {
    const key = [kind, stream, seed].join();
    let all = drawn.get(key);
    if (!all || all.length < n) {
      if (drawn.size > 40) drawn.clear();
      const u = mulberry32(Math.imul(seed + 1, 2654435761) + 97 * Object.keys(SAMPLERS).indexOf(kind) + 7919 * stream);
      for (let i = 0; i < 20; i++) u();
      all = Float64Array.from({ length: Math.max(n, 10000) }, () => SAMPLERS[kind](u));
      drawn.set(key, all);
    }
    return all.subarray(0, n);
  }

  // --- Exact values: the printed closed form, else Gauss-Legendre panels over the printed integrand ----------------

  function legendre(order) {
    const nodes = [], weights = [];
    for (let i = 0; i < order; i++) {
      let x = Math.cos(Math.PI * (i + 0.75) / (order + 0.5)), slope = 1;
      for (let step = 0; step < 50; step++) {
        let p = 1, before = 0;
        for (let j = 1; j <= order; j++) [p, before] = [((2 * j - 1) * x * p - (j - 1) * before) / j, p];
        slope = order * (x * p - before) / (x * x - 1);
        const dx = p / slope;
        x -= dx;
        if (Math.abs(dx) < 1e-15) break;
      }
      nodes.push(x);
      weights.push(2 / ((1 - x * x) * slope * slope));
    }
    return [nodes, weights];
  }

  const rules = new Map();
  function rule(kind, coarse) {
    const key = kind + coarse;
    if (!rules.has(key)) {
      const points = [], weights = [], spec = lab.noise[kind];
      if (kind === "Bernoulli") {
        points.push(0, 1);
        weights.push(0.5, 0.5);
      } else {
        const edges = (coarse && spec.coarse) || spec.edges, [nodes, parts] = legendre(8);
        for (let i = 0; i + 1 < edges.length; i++) {
          const half = (edges[i + 1] - edges[i]) / 2, middle = (edges[i + 1] + edges[i]) / 2;
          nodes.forEach((x, j) => {
            const weight = half * parts[j] * spec.density(middle + half * x);
            if (weight > (coarse ? 1e-19 : 1e-40)) {
              points.push(middle + half * x);
              weights.push(weight);
            }
          });
        }
      }
      rules.set(key, [points, weights]);
    }
    return rules.get(key);
  }

  function expectation(f, noise, p, shift, power) {
    const coarse = noise.filter((kind) => kind !== "Bernoulli").length > 1;
    const used = noise.map((kind) => rule(kind, coarse));
    const [a, wa] = used[0], [b, wb] = used[1] || [[0], [1]], [c, wc] = used[2] || [[0], [1]];
    const [p0, p1, p2, p3] = p, d = noise.length;
    let total = 0;
    if (d === 1) {
      for (let i = 0; i < a.length; i++) {
        const v = f(a[i], p0, p1, p2, p3) - shift;
        total += wa[i] * (power === 2 ? v * v : v);
      }
      return total;
    }
    for (let i = 0; i < a.length; i++) {
      for (let j = 0; j < b.length; j++) {
        const w = wa[i] * wb[j];
        if (w < 1e-19) continue; // far out in both directions
        for (let l = 0; l < c.length; l++) {
          const v = (d === 2 ? f(a[i], b[j], p0, p1, p2, p3) : f(a[i], b[j], c[l], p0, p1, p2, p3)) - shift;
          total += w * wc[l] * (power === 2 ? v * v : v);
        }
      }
    }
    return total;
  }

  const truths = new Map();
  function exact(key, p) {
    const memo = key + p.join();
    if (truths.has(memo)) return truths.get(memo);
    if (truths.size > 200) truths.clear();
    const it = lab.cases[key], by = Object.fromEntries(it.estimators.map((e) => [e.name, e]));
    const base = by.score.noise;
    const gradient = it.gradient ? it.gradient(...p) : expectation(by.pathwise.value, base, p, 0, 1);
    const baseline = it.baseline ? it.baseline(...p) : expectation(it.weighted, base, p, 0, 1) / expectation(it.squared, base, p, 0, 1);
    const variance = {};
    for (const e of it.estimators) {
      const given = e.name === "baseline" ? [...p, baseline] : p;
      variance[e.name] = e.variance ? e.variance(...p) : expectation(e.value, e.noise, given, gradient, 2);
    }
    const found = { gradient, baseline, variance };
    truths.set(memo, found);
    return found;
  }

  // --- Measured values ----------------------------------------------------------------------------------------------

  function sample(e, p, seed, n) {
    const [a, b, c] = e.noise.map((kind, i) => draws(kind, i, seed, n)), f = e.value, [p0, p1, p2, p3] = p;
    const values = new Float64Array(n);
    if (!b) for (let i = 0; i < n; i++) values[i] = f(a[i], p0, p1, p2, p3);
    else if (!c) for (let i = 0; i < n; i++) values[i] = f(a[i], b[i], p0, p1, p2, p3);
    else for (let i = 0; i < n; i++) values[i] = f(a[i], b[i], c[i], p0, p1, p2, p3);
    return values;
  }

  /* Mean and variance after each of some numbers of draws (Welford). */
  function running(values, stops) {
    const means = [], errors = [];
    let mean = 0, squares = 0, next = 0;
    for (let i = 0; i < values.length; i++) {
      const d = values[i] - mean;
      mean += d / (i + 1);
      squares += d * (values[i] - mean);
      if (i + 1 === stops[next]) {
        means.push(mean);
        errors.push(i ? Math.sqrt(squares / i / (i + 1)) : NaN);
        next++;
      }
    }
    return { means, errors, mean, variance: squares / (values.length - 1) };
  }

  function stopsFor(n) {
    const stops = [];
    for (let i = 0; i <= 150; i++) {
      const at = Math.round(10 * Math.pow(n / 10, i / 150));
      if (at !== stops[stops.length - 1]) stops.push(at);
    }
    return stops;
  }

  function compute(key, p, n, seed) {
    const truth = exact(key, p), stops = stopsFor(n);
    const estimators = lab.cases[key].estimators.map((e) => {
      const values = sample(e, e.name === "baseline" ? [...p, truth.baseline] : p, seed, n);
      const run = running(values, stops), error = Math.sqrt(run.variance / n);
      return { name: e.name, values, ...run, error, z: error > 0 ? (run.mean - truth.gradient) / error : 0, exact: Math.max(0, truth.variance[e.name]) };
    });
    return { truth, stops, estimators };
  }

  Object.assign(lab, { exact, compute, draws });
  if (typeof document === "undefined") return;

  // --- The page -------------------------------------------------------------------------------------------------------

  const LOOK = { // Okabe and Ito's colours, for a light and for a dark page; and a dash for each
    score: { label: "score function", light: "#0072B2", dark: "#56B4E9", dash: [] },
    baseline: { label: "score function, best baseline", light: "#A8527E", dark: "#CC79A7", dash: [10, 4] },
    pathwise: { label: "pathwise", light: "#C25500", dark: "#E69F00", dash: [2, 3] },
    measure: { label: "measure-valued, coupled", light: "#007F5F", dark: "#2DC79B", dash: [10, 3, 2, 3] },
  };
  const BINS = 48;
  let count = 0;

  function make(tag, attributes, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) if (value !== null && value !== false) node.setAttribute(name, value);
    node.append(...children);
    return node;
  }

  function digits(x, significant) {
    if (!Number.isFinite(x)) return "–";
    if (x === 0 || Math.abs(x) < 1e-12) return "0";
    const size = Math.abs(x);
    if (size >= 1e6 || size < 1e-4) return x.toExponential(significant - 1).replace("-", "−").replace("e-", "e−").replace("e+", "e");
    return x.toFixed(Math.max(0, significant - 1 - Math.floor(Math.log10(size)))).replace("-", "−");
  }

  /* A mean with as many decimals as its standard error has at two digits. */
  function withError(mean, error) {
    if (!(error > 1e-14)) return digits(mean, 6) + " ± 0";
    const size = Math.floor(Math.log10(error));
    if (error >= 1e6 || error < 1e-5) return digits(mean, 4) + " ± " + digits(error, 2);
    const places = Math.max(0, 1 - size);
    return (mean.toFixed(places) + " ± " + error.toFixed(places)).replace("-", "−");
  }

  const dark = () => document.documentElement.dataset.theme === "dark";

  function build(root) {
    const id = "lab" + ++count, small = root.classList.contains("lab-small");
    const state = { integrand: root.dataset.integrand || "cosine", law: root.dataset.law || "normal", parameter: root.dataset.parameter || null,
                    values: {}, n: 1000, seed: 1 };
    const offered = root.dataset.estimators ? root.dataset.estimators.split(" ") : Object.keys(LOOK);
    state.hidden = new Set(Object.keys(LOOK).filter((name) => !offered.includes(name)));
    if (root.dataset.at) for (const part of root.dataset.at.split(",")) {
      const [name, value] = part.split("=");
      state.values[name.trim()] = Number(value);
    }
    root.textContent = "";
    root.setAttribute("role", "group");
    root.setAttribute("aria-label", "The estimator lab");

    // Controls
    const controls = make("div", { class: "lab-controls" }), sliders = make("div", { class: "lab-sliders" });
    function select(name, title, entries, chosen, change) {
      const field = make("select", { id: id + name, name }, ...entries.map(([value, label]) => make("option", { value }, label)));
      field.value = chosen;
      field.addEventListener("change", () => change(field.value));
      return make("div", { class: "lab-field" }, make("label", { for: id + name }, title), field);
    }
    function slider(name, title, low, high, step, value, say, change) {
      const input = make("input", { id: id + name, name, type: "range", min: low, max: high, step, value, "aria-valuetext": say(value) });
      const shown = make("output", { for: id + name, "aria-hidden": "true" }, say(value));
      input.addEventListener("input", () => {
        change(Number(input.value));
        shown.textContent = say(Number(input.value));
        input.setAttribute("aria-valuetext", say(Number(input.value)));
        schedule();
      });
      return make("div", { class: "lab-field" }, make("label", { for: id + name }, title), make("span", { class: "lab-range" }, input, shown));
    }
    const plain = (x) => String(Math.round(x * 1e6) / 1e6).replace("-", "−");

    function controlsAgain(focus) {
      const law = lab.laws[state.law], names = law.sliders.map((s) => s.name);
      if (!names.includes(state.parameter)) state.parameter = names[0];
      if (!small) controls.replaceChildren(
        select("integrand", "Integrand F(x)", Object.entries(lab.integrands).map(([v, e]) => [v, e.label]), state.integrand, (v) => {
          state.integrand = v;
          delete state.values.k;
          controlsAgain("integrand");
        }),
        select("law", "Distribution of x", Object.entries(lab.laws).map(([v, e]) => [v, e.label]), state.law, (v) => {
          state.law = v;
          controlsAgain("law");
        }),
        select("parameter", "Gradient in", law.sliders.map((s) => [s.name, s.letter]), state.parameter, (v) => {
          state.parameter = v;
          schedule();
        }));
      sliders.replaceChildren(
        ...[...law.sliders, lab.integrands[state.integrand].slider].map((s) => {
          if (!(state.values[s.name] >= s.low && state.values[s.name] <= s.high)) state.values[s.name] = s.start;
          return slider(s.name, s.letter + ", " + s.meaning, s.low, s.high, s.step, state.values[s.name], plain, (v) => { state.values[s.name] = v; });
        }),
        slider("n", "n, the number of draws", 1, 4, 0.1, Math.log10(state.n), (v) => String(Math.round(Math.pow(10, v))), (v) => {
          state.n = Math.round(Math.pow(10, v));
        }));
      if (focus) controls.querySelector("#" + id + focus).focus();
      schedule();
    }

    const seed = make("input", { id: id + "seed", name: "seed", type: "number", min: 0, max: 999999, step: 1, value: state.seed, inputmode: "numeric" });
    seed.addEventListener("change", () => {
      state.seed = Math.min(999999, Math.max(0, Math.round(Number(seed.value) || 0)));
      seed.value = state.seed;
      schedule();
    });
    const again = make("button", { type: "button", class: "lab-button" }, "New draws");
    again.addEventListener("click", () => {
      state.seed = (state.seed + 1) % 1000000;
      seed.value = state.seed;
      schedule();
    });
    const legend = make("fieldset", { class: "lab-legend" }, make("legend", {}, "Estimators shown"));
    for (const [name, look] of Object.entries(LOOK).filter(([name]) => offered.includes(name))) {
      const box = make("input", { type: "checkbox", id: id + name, name });
      box.checked = true;
      box.addEventListener("change", () => {
        if (box.checked) state.hidden.delete(name);
        else state.hidden.add(name);
        schedule();
      });
      const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg"), line = document.createElementNS(svg.namespaceURI, "line");
      svg.setAttribute("viewBox", "0 0 36 8");
      svg.setAttribute("aria-hidden", "true");
      for (const [k, v] of Object.entries({ x1: 0, x2: 36, y1: 4, y2: 4, "stroke-width": 3, "stroke-dasharray": look.dash.join(" "), class: "lab-line-" + name })) line.setAttribute(k, v);
      svg.append(line);
      legend.append(make("label", { for: id + name, class: "lab-check" }, box, svg, look.label));
    }

    // Figures and the table
    function figure(title) {
      const heading = make("p", { class: "lab-title" }, title);
      const plot = make("div", { class: "lab-plot", role: "img" }), text = make("figcaption", {});
      return { node: make("figure", { class: "lab-figure" }, heading, plot, text), plot, text, title, chart: null };
    }
    const scene = figure("The integrand, the density and the draws");
    const histograms = Object.fromEntries(Object.entries(LOOK).map(([name, look]) => [name, figure(look.label)]));
    const means = figure("Running mean with ± 2 standard errors");
    const grid = make("div", { class: "lab-grid" }, ...Object.values(histograms).map((h) => h.node));
    const about = make("p", { class: "lab-about" });
    const body = make("tbody", {});
    const table = make("div", { class: "lab-scroll", tabindex: "0", role: "region", "aria-label": "Exact and measured values" },
      make("table", { class: "lab-table" },
        make("caption", {}, "Exact and measured values"),
        make("thead", {}, make("tr", {}, ...["Estimator", "measured mean ± standard error", "z", "exact variance", "measured variance"].map((t) => make("th", { scope: "col" }, t)))),
        body));
    const truthLine = make("p", { class: "lab-truth" });
    const status = make("p", { class: "lab-status", role: "status", "aria-live": "polite" });
    if (!small) root.append(controls);
    root.append(sliders, make("div", { class: "lab-row" }, make("div", { class: "lab-field lab-seed" }, make("label", { for: id + "seed" }, "Seed"), seed), again), legend);
    root.append(truthLine, table);
    if (!small) root.append(scene.node);
    root.append(make("p", { class: "lab-title" }, "Gradients of single draws, one panel for each estimator"), about, grid);
    root.append(means.node, status);

    // Charts
    const css = (name, other) => getComputedStyle(document.documentElement).getPropertyValue(name).trim() || other;
    const colour = (name) => LOOK[name][dark() ? "dark" : "light"];
    const short = (v) => v.map((x) => (x === null || x === undefined ? "" : Math.abs(x) >= 1e5 || (x && Math.abs(x) < 1e-3) ? x.toExponential(0).replace("-", "−") : plain(x)));

    function axes(extra) {
      const ink = css("--pst-color-text-base", "#222"), lines = dark() ? "#4a4f57" : "#e4e4e4";
      const axis = { stroke: ink, grid: { stroke: lines, width: 1 }, ticks: { stroke: lines, width: 1 }, font: "12px system-ui, sans-serif", labelFont: "12px system-ui, sans-serif" };
      return [{ ...axis, size: 34, space: 60, values: (u, v) => short(v), ...extra[0] }, { ...axis, size: 48, space: 32, values: (u, v) => short(v), ...extra[1] }];
    }
    const width = (plot) => Math.max(200, Math.floor(plot.clientWidth));
    function chart(f, height, options, data) {
      if (f.chart) f.chart.destroy();
      f.chart = new uPlot({ width: width(f.plot), height, legend: { show: false }, cursor: { show: false }, padding: [8, 22, 0, 0], ...options }, data, f.plot);
    }
    const truthDrawn = (at) => (u) => { // the exact gradient, a broad grey line
      const x = u.valToPos(at(), "x", true), c = u.ctx;
      if (!(x >= u.bbox.left && x <= u.bbox.left + u.bbox.width)) return;
      c.save();
      c.strokeStyle = dark() ? "#c8c8c8" : "#6f6f6f";
      c.lineWidth = 3 * devicePixelRatio;
      c.setLineDash([]);
      c.beginPath();
      c.moveTo(x, u.bbox.top);
      c.lineTo(x, u.bbox.top + u.bbox.height);
      c.stroke();
      c.restore();
    };
    let now = null, shape = "";

    function charts() {
      const grey = dark() ? "#c8c8c8" : "#6f6f6f";
      for (const [name, h] of Object.entries(histograms)) {
        chart(h, small ? 140 : 165, {
          scales: { x: { time: false, range: () => now.range }, y: { range: (u, low, high) => [0, (high || 1) * 1.05] } },
          axes: axes([{ label: "gradient of one draw", labelSize: 18 }, {}]),
          series: [{}, { stroke: colour(name), fill: colour(name) + "55", width: 1.5, paths: uPlot.paths.stepped({ align: 1 }), points: { show: false } }],
          hooks: { draw: [truthDrawn(() => now.truth.gradient), drew] },
        }, [[0, 1], [0, 0]]);
      }
      const shown = Object.keys(LOOK), series = [{}, { stroke: grey, width: 4, points: { show: false } }], bands = [];
      for (const name of shown) {
        const at = series.length;
        series.push({ stroke: colour(name), width: 2, dash: LOOK[name].dash, points: { show: false } },
          { stroke: "transparent", points: { show: false } }, { stroke: "transparent", points: { show: false } });
        bands.push({ series: [at + 1, at + 2], fill: colour(name) + "33" });
      }
      chart(means, small ? 180 : 260, {
        scales: { x: { time: false, distr: 3, range: () => [10, now.n] }, y: { range: () => now.band } },
        axes: axes([{ label: "draws", labelSize: 18, size: 34,
                      splits: () => [10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000].filter((v) => v <= now.n),
                      filter: (u, s) => s.map((v) => (u.width > 500 || [10, 100, 1000, 10000].includes(v) ? v : null)) }, {}]),
        series, bands, hooks: { draw: [drew] },
      }, [[10, 20], ...series.slice(1).map(() => [0, 0])]);
      if (!small) chart(scene, 205, {
        scales: { x: { time: false }, y: {}, density: { range: (u, low, high) => [0, (high || 1) * 2.2] } },
        axes: axes([{ label: "x", labelSize: 18 }, { label: "F(x)", labelSize: 18 }]),
        series: [{}, { stroke: css("--pst-color-text-base", "#222"), width: 2, points: { show: false } },
                 { scale: "density", stroke: grey, fill: grey + "44", width: 1, points: { show: false } }],
        hooks: { draw: [(u) => { // the first draws, as a rug
          const c = u.ctx;
          c.save();
          c.strokeStyle = css("--pst-color-text-base", "#222");
          c.globalAlpha = 0.35;
          c.lineWidth = devicePixelRatio;
          c.beginPath();
          for (const x of now.rug) {
            const at = u.valToPos(x, "x", true);
            if (at < u.bbox.left || at > u.bbox.left + u.bbox.width) continue;
            c.moveTo(at, u.bbox.top + u.bbox.height);
            c.lineTo(at, u.bbox.top + u.bbox.height - 12 * devicePixelRatio);
          }
          c.stroke();
          c.restore();
        }, drew] },
      }, [[0, 1], [0, 0], [0, 0]]);
    }

    // A redraw counts as ended when the last chart has been drawn.
    let started = 0;
    function drew() {
      if (started) root.labRedraw = performance.now() - started;
    }

    function histogram(values, [low, high]) {
      const bins = new Array(BINS + 1).fill(0);
      let outside = 0;
      for (let i = 0; i < values.length; i++) {
        const at = Math.floor((values[i] - low) / (high - low) * BINS);
        if (at >= 0 && at < BINS) bins[at]++;
        else outside++;
      }
      for (let i = 0; i < BINS; i++) bins[i] /= values.length;
      return { bins, outside: outside / values.length };
    }

    function redraw() {
      started = performance.now();
      const law = lab.laws[state.law], names = law.sliders.map((s) => s.name);
      const p = [...names.map((name) => state.values[name]), state.values.k], key = [state.integrand, state.law, state.parameter].join("/");
      const result = compute(key, p, state.n, state.seed), truth = result.truth;
      const visible = result.estimators.filter((e) => !state.hidden.has(e.name));
      const letter = law.sliders.find((s) => s.name === state.parameter).letter, F = lab.integrands[state.integrand].label;
      const spread = Math.max(1e-9, ...visible.map((e) => Math.sqrt(e.exact)));
      now = { truth, n: state.n, range: [truth.gradient - 3 * spread, truth.gradient + 3 * spread],
              band: [truth.gradient - 5 * spread / Math.sqrt(state.n / 4 + 20), truth.gradient + 5 * spread / Math.sqrt(state.n / 4 + 20)],
              rug: [] };
      // Which charts there are depends on the sizes of the page and on the theme; all else is data.
      if (shape !== (shape = [width(means.plot), dark(), devicePixelRatio].join())) charts();

      for (const e of result.estimators) {
        const h = histograms[e.name], hidden = state.hidden.has(e.name);
        if (h.node.hidden !== hidden) {
          h.node.hidden = hidden;
        }
        if (hidden) continue;
        const { bins, outside } = histogram(e.values, now.range), left = now.range[0], step = (now.range[1] - left) / BINS;
        h.chart.setData([bins.map((_, i) => left + i * step), bins]);
        h.text.textContent = `Exact standard deviation ${digits(Math.sqrt(e.exact), 3)}.` + (outside ? ` Outside the panel: ${digits(100 * outside, 2)} % of the draws.` : "");
        h.plot.setAttribute("aria-label", `Histogram of ${state.n} gradients, ${h.title}: mean ${digits(e.mean, 4)}, standard deviation ${digits(Math.sqrt(e.variance), 3)}; the exact gradient is ${digits(truth.gradient, 4)}.`);
      }
      const data = [result.stops, result.stops.map(() => truth.gradient)];
      for (const e of result.estimators) {
        if (state.hidden.has(e.name)) for (let i = 0; i < 3; i++) data.push(result.stops.map(() => null));
        else data.push(e.means, e.means.map((m, i) => m + 2 * e.errors[i]), e.means.map((m, i) => m - 2 * e.errors[i]));
      }
      means.chart.setData(data);
      const worst = visible.reduce((a, e) => (a && a.exact >= e.exact ? a : e), null), best = visible.reduce((a, e) => (a && a.exact <= e.exact ? a : e), null);
      const ratio = visible.length > 1 && best.exact > 1e-12 * (1 + worst.exact) ? worst.exact / best.exact : NaN;
      const compared = Number.isFinite(ratio) ? `The exact variance is largest for ${LOOK[worst.name].label} and smallest for ${LOOK[best.name].label}; their ratio is ${digits(ratio, 3)}.`
        : visible.length > 1 && worst.exact > 1e-12 ? `The estimator ${LOOK[best.name].label} has no variance here.` : "";
      means.text.textContent = `The broad grey line is the exact gradient. Each band holds its running mean ± 2 standard errors, from 10 to ${state.n} draws. ` + compared;
      means.plot.setAttribute("aria-label", `Running means after ${state.n} draws: ` + visible.map((e) => `${LOOK[e.name].label} ${withError(e.mean, e.error)}`).join("; ") + `. Exact gradient ${digits(truth.gradient, 5)}.`);

      if (!small) {
        const noise = draws(law.noise, 0, state.seed, Math.min(state.n, 200)), at = p.slice(0, -1), grid = [];
        now.rug = Array.from(noise, (e) => law.path(e, ...at));
        const edges = state.law === "exponential" ? [0, law.path(5, ...at)] : [law.path(-4, ...at), law.path(4, ...at)];
        for (let i = 0; i <= 200; i++) grid.push(edges[0] + (edges[1] - edges[0]) * i / 200);
        scene.chart.setData([grid, grid.map((x) => lab.integrands[state.integrand].value(x, state.values.k)), grid.map((x) => law.density(x, ...at))]);
        scene.text.textContent = `The line is F(x) = ${F}, with its scale on the left. The grey area is the density of x (its height has no scale). The ticks at the bottom are the first ${now.rug.length} draws of x.`;
        scene.plot.setAttribute("aria-label", `F(x) = ${F} over the density of ${law.label}, with ${now.rug.length} draws.`);
      }

      truthLine.replaceChildren(`${small ? law.label + ". " : ""}Exact gradient of E[${F}] in ${letter}: `, make("strong", { "data-exact": truth.gradient }, digits(truth.gradient, 7)), offered.includes("baseline") ? `. Best baseline: ${digits(truth.baseline, 5)}.` : ".");
      body.replaceChildren(...result.estimators.filter((e) => offered.includes(e.name)).map((e) => make("tr", { "data-estimator": e.name, "data-mean": e.mean, "data-error": e.error, "data-variance": e.exact },
        make("th", { scope: "row" }, LOOK[e.name].label), ...[withError(e.mean, e.error), digits(e.z, 2), digits(e.exact, 7), digits(e.variance, 4)].map((t) => make("td", {}, t)))));
      about.textContent = "All panels share one horizontal scale; heights are shares of the draws. The grey line is the exact gradient.";
      clearTimeout(redraw.said);
      redraw.said = setTimeout(() => {
        status.textContent = `${F}, ${law.label}, ${[...law.sliders, lab.integrands[state.integrand].slider].map((s) => s.letter + " = " + plain(state.values[s.name])).join(", ")}, ${state.n} draws. `
          + `Exact gradient in ${letter}: ${digits(truth.gradient, 5)}. ` + visible.map((e) => `${LOOK[e.name].label}: ${withError(e.mean, e.error)}`).join("; ") + ". " + compared;
      }, 600);
      root.labResult = { key, parameters: p, n: state.n, seed: state.seed, truth };
    }

    let waiting = false;
    function schedule() {
      if (waiting) return;
      waiting = true;
      requestAnimationFrame(() => {
        waiting = false;
        redraw();
      });
    }
    root.labSchedule = schedule;
    new MutationObserver(schedule).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
    new ResizeObserver(schedule).observe(root);
    controlsAgain();
  }

  const start = () => document.querySelectorAll("div.lab").forEach(build);
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
