"""The book covers its subject, keeps the shape of a chapter, and displays nothing unchecked."""

import json
import re
import statistics
from pathlib import Path

import pytest
import yaml

from _lib import ledger

ROOT = Path(__file__).resolve().parents[2]
BOOK = ROOT / "book"
NOTEBOOKS = sorted(BOOK.glob("*.ipynb"))
CHAPTERS = [
    "motivation", "integrand", "distribution", "reparameterization", "both", "failures", "bias", "lower", "crossovers",
    "measure", "guide", "cluster", "supervised", "policy", "soft", "inference", "choosing",
]  # fmt: skip
NOTE = ["motivation", "integrand", "distribution", "reparameterization", "both"]  # the short chapters of the first part
APPENDICES = ["gaussian", "exchange"]

# What the book has to teach: each item with the page and the equations or headings (after "#") where it is taught.
ITEMS = {
    "the table of answers opens the book": ("index", ["tab-summary"]),
    "the table of answers closes the book": ("summary", ["tab-summary-again"]),
    "J1 in supervised learning": ("motivation", ["#J₁"]),
    "J2 in reinforcement learning: value of a policy": ("motivation", ["eq-value", "eq-return"]),
    "J3 in maximum-entropy reinforcement learning": ("motivation", ["eq-soft-bandit-value", "eq-soft-bandit-optimum"]),
    "running example: a loss on data": ("motivation", ["eq-loss-miniature"]),
    "running example: bandit and episode": ("motivation", ["eq-bandit-value", "eq-episode-value"]),
    "gradient of J1 is an expectation": ("integrand", ["eq-j1", "eq-grad-j1"]),
    "law of large numbers over a data set": ("integrand", ["#data"]),
    "stochastic gradient descent on real data": ("integrand", ["#descent"]),
    "the derivative of a density is no density": ("distribution", ["eq-grad-j2", "eq-zero-mass"]),
    "exact enumeration": ("distribution", ["eq-bandit-enumerated"]),
    "log-derivative trick": ("distribution", ["eq-log-derivative"]),
    "REINFORCE": ("distribution", ["eq-j2", "eq-score"]),
    "the score has mean zero": ("distribution", ["eq-score-mean"]),
    "change of variables": ("reparameterization", ["eq-matching-densities", "eq-reparameterized"]),
    "the pathwise gradient": ("reparameterization", ["eq-pathwise"]),
    "Gaussian reparameterization": ("reparameterization", ["eq-gaussian-reparameterized"]),
    "several dimensions, Cholesky factor": ("gaussian", ["eq-gauss-cholesky-gradient"]),
    "implicit differentiation": ("reparameterization", ["eq-quantile-kept", "eq-implicit-gaussian"]),
    "computational graphs of both estimators": ("reparameterization", ["#computational graphs"]),
    "product rule": ("both", ["eq-j3", "eq-product-rule", "eq-both-score"]),
    "total derivative along the path": ("both", ["eq-both-pathwise"]),
    "maximum entropy: the direct term vanishes in mean": ("both", ["eq-soft-gradient"]),
    "per step": ("both", ["eq-direct-term-bandit"]),
    "per trajectory": ("soft", ["eq-direct-term-sampled", "eq-soft-listed-closed"]),
    "with the closed-form bonus it survives": ("both", ["eq-same-objective", "eq-direct-term-closed"]),
    "correction: a moving edge": ("failures", ["eq-moving-edge", "eq-edge-score"]),
    "correction: a jump along the path": ("failures", ["eq-threshold-gradient", "eq-threshold-pathwise"]),
    "correction: a moving threshold": ("failures", ["eq-moving-threshold", "eq-moving-threshold-inside"]),
    "correction: which variance is lower": ("failures", ["eq-stein", "eq-variance-difference", "eq-baseline-gain"]),
    "polynomials up to degree three": ("failures", ["eq-cubic-form", "eq-cubic-inequality"]),
    "a quartic and a cosine that favour the score function": ("failures", ["eq-quartic", "eq-cosine-difference"]),
    "unbiased with infinite variance": ("failures", ["#variance that is not finite"]),
    "mean squared error": ("bias", ["eq-bias-mse", "eq-bias-average", "eq-bias-overtake"]),
    "what variance does to descent": (
        "bias",
        ["eq-bias-recursion", "eq-bias-floor", "eq-bias-steps-to-target", "eq-bias-decreasing-step"],
    ),
    "cost times variance": ("bias", ["eq-bias-cost"]),
    "Stein's identity, and the difference for the mean": ("lower", ["eq-lower-stein", "eq-lower-mean"]),
    "the difference for the standard deviation": ("lower", ["eq-lower-std"]),
    "the difference in many dimensions": ("lower", ["eq-lower-line", "eq-lower-plane"]),
    "Bonnet and Price": ("lower", ["eq-lower-bonnet", "eq-lower-price"]),
    "the transport equation": (
        "lower",
        ["eq-lower-transport", "eq-lower-any-velocity", "eq-lower-implicit-solves", "eq-lower-turned-variance"],
    ),
    "polynomials up to degree three and five": (
        "lower",
        ["eq-lower-cubic-even", "eq-lower-std-even-positive", "eq-lower-std-odd-positive"],
    ),
    "counterexamples of degree four and six": ("lower", ["eq-lower-quartic", "eq-lower-sextic"]),
    "the best constant baseline": ("lower", ["eq-lower-baseline", "eq-lower-best", "eq-lower-std-baseline"]),
    "the Hermite picture": ("crossovers", ["eq-cross-hermite-mu", "eq-cross-hermite-sigma"]),
    "crossovers": ("crossovers", ["tab-cross-all"]),
    "dimension and the Lipschitz bound": ("crossovers", ["eq-cross-dimension", "eq-cross-lipschitz"]),
    "a stationary random integrand": ("crossovers", ["eq-cross-random-squares", "eq-cross-random-baseline"]),
    "measure-valued derivatives": (
        "measure",
        ["eq-measure-split", "eq-measure-mean", "eq-measure-std", "eq-measure-poisson"],
    ),
    "the Jordan split": ("measure", ["eq-measure-jordan", "eq-measure-bound"]),
    "when coupling raises the variance": ("measure", ["eq-measure-coupling", "eq-measure-parabola"]),
    "a baseline of the draw itself is biased": ("guide", ["eq-guide-own-draw"]),
    "control variates": ("guide", ["eq-guide-kept", "eq-guide-correlation", "eq-guide-wrong-coefficient"]),
    "summing cannot hurt": ("guide", ["eq-guide-total-variance"]),
    "law of large numbers, derived": (
        "cluster",
        ["eq-one-more-draw", "eq-variance-of-mean", "eq-chebyshev", "eq-weak-law"],
    ),
    "standard error": ("cluster", ["eq-sample-variance", "#the standard error falls"]),
    "blocks": ("cluster", ["eq-textbook-variance", "eq-merged-squares"]),
    "streams are spawned and not reused": ("cluster", ["#streams", "#a stream used twice"]),
    "the same bits on threads, processes and a cluster": ("cluster", ["#threads", "#processes", "#dask cluster"]),
    "quasi-Monte Carlo: rates and their conditions": (
        "cluster",
        ["eq-one-point-per-cell", "eq-scrambled-smooth", "eq-scrambled-any"],
    ),
    "what it costs": ("cluster", ["#what it costs"]),
    "supervised learning on real data": (
        "supervised",
        ["eq-sup-risk", "eq-sup-row-gradient", "eq-sup-bound", "eq-sup-plateau"],
    ),
    "the finite-population formula": ("supervised", ["eq-sup-with", "eq-sup-without"]),
    "policy gradients: reward to go and baselines": (
        "policy",
        ["eq-pg-log-trajectory", "eq-pg-known", "eq-pg-two-step"],
    ),
    "the discount left out": ("policy", ["eq-pg-shortcut", "eq-pg-shortcut-bias"]),
    "the linear-quadratic regulator": ("policy", ["eq-pg-lqr-moment", "eq-pg-lqr-solution"]),
    "maximum entropy: both terms": ("soft", ["eq-soft-two-terms", "eq-soft-same-gradient", "eq-soft-direct-step"]),
    "the soft optimum": ("soft", ["eq-soft-best-policy", "eq-soft-best-value", "eq-soft-gap", "eq-soft-limit"]),
    "variational inference": (
        "inference",
        ["eq-vi-evidence", "eq-vi-elbo", "eq-vi-gradient", "eq-vi-kl", "eq-vi-landing"],
    ),
    "a decision diagram": ("choosing", ["#the way to an estimator"]),
    "appendix: Gaussian change of variables": ("gaussian", ["eq-gauss-standardised", "eq-gauss-covariance"]),
    "appendix: exchanging ∇ and ∫": ("exchange", ["eq-leibniz", "eq-escaping-mass"]),
}

CITED = {
    "williams1992", "glynn1990", "kingma2014", "rezende2014", "titsias2014", "schulman2015", "mohamed2020", "xu2019",
    "figurnov2018", "sutton2000", "bonnet1964", "price1958", "lecuyer1990", "pflug1996", "owen1997", "greensmith2004",
    "gal2016", "roeder2017", "foerster2018", "haarnoja2018", "glasserman2003",
    "weaver2001", "kool2019", "paisley2012", "maddison2017", "jang2017", "bengio2013",
    "chan1983", "owen2013", "rocklin2015",
}  # fmt: skip


@pytest.fixture(scope="module")
def entries():
    return {entry.label: entry for entry in ledger.collect(NOTEBOOKS)}


def cells(page):
    return json.loads((BOOK / f"{page}.ipynb").read_text("utf8"))["cells"]


def source(cell):
    return "".join(cell["source"])


def text(page):
    return "\n".join(source(c) for c in cells(page) if c["cell_type"] == "markdown")


def missing(items, entries, headings):
    """The items that are not taught where the table says."""
    gone = []
    for item, (page, places) in items.items():
        for place in places:
            if place.startswith("#"):
                if place[1:].lower() not in headings(page).lower():
                    gone.append(f"{item}: no heading of {page} holds «{place[1:]}»")
            elif place not in entries or entries[place].page != page:
                gone.append(f"{item}: {place} does not stand in {page}")
    return gone


def headings(page):
    return "\n".join(line for line in text(page).splitlines() if line.startswith("#"))


def test_every_item_has_its_place(entries):
    assert missing(ITEMS, entries, headings) == []


def test_a_missing_item_is_noticed(entries):
    assert missing({"a": ("both", ["eq-no-such-equation"])}, entries, headings)
    assert missing({"b": ("both", ["eq-score"])}, entries, headings), "an equation of another page"
    assert missing({"c": ("both", ["#no such heading"])}, entries, headings)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_nothing_is_displayed_unchecked(path):
    assert ledger.check_notebook(path) == []


def test_markdown_pages_display_no_mathematics():
    pages = [path for path in BOOK.glob("*.md") if path.name != "checked.md"]
    assert [problem for path in pages for problem in ledger.check_markdown(path)] == []


def test_the_statements_fit_together():
    ledger.validate(ledger.collect(NOTEBOOKS))


def test_every_page_is_in_the_contents():
    listed = re.findall(r"book/(\w+)", (ROOT / "_toc.yml").read_text("utf8"))
    assert {p.stem for p in NOTEBOOKS} | {p.stem for p in BOOK.glob("*.md")} | {"checked"} == set(listed)


def prose(page):
    """The words that a page asks to be read: no directives, no HTML."""
    lines = (line for line in text(page).splitlines() if not re.match(r"\s*(```|:\w+:|<)", line))
    return " ".join(lines).split()


@pytest.mark.parametrize("page", NOTE)
def test_shape_of_a_short_chapter(page):
    """A scene, a picture before any formula, the rule within 250 words, few words in all, plain NumPy."""
    first, *others = cells(page)
    assert len(prose(page)) <= 1200
    shows = lambda kind: next(i for i, c in enumerate(others) if kind in json.dumps(c.get("outputs", [])))  # noqa: E731
    assert shows("image/svg+xml") < shows("vnd.gradlib")
    before = [c for c in [first, *others[: shows("vnd.gradlib")]] if c["cell_type"] == "markdown"]
    assert sum(len(source(c).split()) for c in before) <= 250
    assert "**The rule.**" in text(page)
    folded = lambda c: "vnd.gradlib" in json.dumps(c["outputs"]) or "hide-input" in c["metadata"].get("tags", ())  # noqa: E731
    code = [source(c) for c in others if c["cell_type"] == "code" and not folded(c)]
    assert any("np.random" in cell and "gl." not in cell for cell in code)
    assert [line for cell in code for line in cell.splitlines() if len(line) > 88] == [], "cut off at 1280 pixels"


@pytest.mark.parametrize("page", CHAPTERS + APPENDICES)
def test_exercises_and_their_solutions(page):
    exercises = re.findall(r":label: (ex-[\w-]+)", text(page))
    assert len(exercises) >= 3
    assert re.findall(r"\{solution-start\} (ex-[\w-]+)", text(page)) == exercises, "each exercise has its solution"
    assert text(page).count("{solution-end}") == len(exercises)


@pytest.mark.parametrize("page", [page for page in CHAPTERS + APPENDICES if page not in NOTE])
def test_shape_of_a_chapter(page):
    body = text(page)
    assert "**The question.**" in body
    assert "## What we learnt" in body
    if page in CHAPTERS:
        for part in (
            ("A guess", "Check it in numbers", "When it fails")
            if page not in ("motivation", "failures")
            else ("A guess",)
        ):
            assert f"## {part}" in body, part


@pytest.mark.parametrize("page", CHAPTERS + APPENDICES)
def test_code_is_short_and_surrounded_by_prose(page):
    """Cells have a median of at most eight lines, and prose stands between any two of them."""
    lengths = [len(source(c).splitlines()) for c in cells(page) if c["cell_type"] == "code"]
    assert statistics.median(lengths) <= 8
    kinds = [c["cell_type"] for c in cells(page)]
    assert [i for i in range(1, len(kinds)) if kinds[i] == kinds[i - 1] == "code"] == []


def test_every_citation_exists_and_the_expected_works_are_there():
    keys = set(re.findall(r"^@\w+\{([\w]+),", (BOOK / "references.bib").read_text("utf8"), re.M))
    assert CITED <= keys
    used = set()
    for path in [*NOTEBOOKS, *BOOK.glob("*.md")]:
        for group in re.findall(r"\{cite(?::\w+)?\}`([^`]+)`", path.read_text("utf8")):
            used |= {key.strip() for key in group.split(",")}
    assert used <= keys


def unlinked(glossary, pages):
    """The terms of the glossary that no page links to: the index would name no chapter."""
    terms = re.findall(r"^(\S.*)$", glossary.partition("```{glossary}\n")[2].partition("```")[0], re.M)
    linked = {
        target or shown for text in pages for shown, target in re.findall(r"\{term\}`([^`<]+?)(?: <([^`>]+)>)?`", text)
    }
    return [term for term in terms if term not in linked]


def test_every_term_is_linked_where_it_is_used():
    glossary = (BOOK / "notation.md").read_text("utf8")
    assert unlinked(glossary, map(text, CHAPTERS + APPENDICES)) == []
    assert unlinked(
        "```{glossary}\nscore\n  A vector.\n\nbias\n  A distance.\n```\n", ["the {term}`score`", "{term}`bias <score>`"]
    ) == ["bias"]


def test_configuration_names_no_address():
    """A repository's address comes from the git remote at build time."""
    assert not re.search(r"https?://", (ROOT / "_config.yml").read_text("utf8"))
    assert yaml.safe_load((ROOT / "_config.yml").read_text("utf8"))["repository"] == {}
