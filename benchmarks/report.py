"""The results as one plain table, and as a figure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from problems import PROBLEMS, RULES

WORKERS = ("threads", "processes")
RULE_TITLES = {"score": "score function", "pathwise": "pathwise"}


def table(results: Mapping) -> str:
    """Ratios only, each as median and range; absolute times stay in results.json, as context."""
    machine = results["machine"]
    lines = [
        f"{machine['processor']}, {machine['cores']} cores, {machine['os']}; {results['date']}",
        ", ".join(f"{name} {version}" for name, version in results["versions"].items()),
        f"Ratios: median (smallest to largest) of {results['repetitions']} repetitions",
    ]
    for part, section in (("speed", _speed), ("floor", _floor), ("scaling", _scaling), ("quasi", _quasi)):
        if results.get(part):
            lines += ["", *section(results[part])]
    return "\n".join(lines)


def _ratio(spread: Mapping) -> str:
    return f"{_digits(spread['median'])} ({_digits(spread['min'])} to {_digits(spread['max'])})"


def _digits(number: float) -> str:
    return f"{number:.2f}" if number < 10 else f"{number:,.0f}"


def _columns(rows: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]


def _speed(rows: list[dict]) -> list[str]:
    peers = list(dict.fromkeys(row["who"] for row in rows))
    cells = [["Time of the peer / time of gradlib", "", *peers]]
    for problem, rule in _cases(rows):
        found = {row["who"]: row for row in rows if (row["problem"], row["rule"]) == (problem, rule)}
        cells.append([PROBLEMS[problem].title, RULE_TITLES[rule], *(_ratio(found[peer]["ratio"]) for peer in peers)])
    silent = [peer for peer in peers if not all(row["standard_error"] for row in rows if row["who"] == peer)]
    notes = [
        "Above 1 gradlib is faster. The same draws, float64, threads and cores; gradients checked against quadrature."
    ]
    if silent:
        notes.append(f"gradlib's time includes a standard error; no standard error from: {'; '.join(silent)}.")
    return [*_columns(cells), *notes, "", *_variants(rows, peers)]


def _variants(rows: list[dict], peers: list[str]) -> list[str]:
    """What the warm-up chose."""
    cells = [["The fastest way found for each", "", *peers, rows[0]["base"]]]
    for problem, rule in _cases(rows):
        found = {row["who"]: row for row in rows if (row["problem"], row["rule"]) == (problem, rule)}
        variants = [*(found[peer]["variant"] for peer in peers), found[peers[0]]["base_variant"]]
        cells.append([PROBLEMS[problem].title, RULE_TITLES[rule], *map(_variant, variants)])
    return _columns(cells)


def _variant(variant: Mapping) -> str:
    words = [variant["executor"]] if "executor" in variant else []
    words += [
        f"{plural} of {variant[name]:,}"
        for name, plural in (("block", "blocks"), ("batch", "batches"))
        if name in variant
    ]
    if "devices" in variant:
        words += [f"{variant['devices']} device{'s' if variant['devices'] > 1 else ''}", variant["generator"]]
        words.append(f"calls: {variant['calls']}")
    return ", ".join(words)


def _floor(rows: list[dict]) -> list[str]:
    cells = [["Time of gradlib / time of the floor", *(RULE_TITLES[rule] for rule in RULES)]]
    for problem in dict.fromkeys(row["problem"] for row in rows):
        found = {row["rule"]: _ratio(row["ratio"]) for row in rows if row["problem"] == problem}
        cells.append([PROBLEMS[problem].title, *(found[rule] for rule in RULES)])
    return _columns(cells) + ["The floor: the Normal draws, and each transcendental function of F once, in place."]


def _scaling(section: Mapping) -> list[str]:
    lines = _columns(
        [[f"One worker / {section['workers']['cores']} workers", *WORKERS, "bits"]]
        + [
            [
                f"{row['title']} {RULE_TITLES.get(row['rule'], '')}",
                *(f"{_ratio(row[w]['ratio'])}, best times {_digits(row[w]['best'])}" for w in WORKERS),
                _bits(row),
            ]
            for row in section["workers"]["rows"]
        ]
    )
    if "dask" in section:
        dask = section["dask"]
        lines.append(
            f"Dask on one machine / threads at {dask['samples']:,} draws: {_ratio(dask['ratio'])}, {_bits(dask)}"
        )
    lines += _columns(
        [["Draws", "ns per draw", "peak memory, MB"]]
        + [
            [f"{row['samples']:,}", f"{1e9 * row['seconds']['median'] / row['samples']:.2f}", f"{row['peak_mb']:.0f}"]
            for row in section["cost"]
        ]
    )
    return lines + [f"Slope of log time against log draws: {section['slope']:.3f}"]


def _bits(pair: Mapping) -> str:
    return "the same bits" if pair["same_bits"] else "DIFFERENT BITS"


def _quasi(section: Mapping) -> list[str]:
    cells = [
        [f"Standard error, plain / Sobol' ({section['scrambles']} scrambles), at equal time", "d", "points", "gain"]
    ]
    for row in section["rows"]:
        cells.append([row["problem"], str(row["dimension"]), f"{row['points']:,}", _ratio(row["gain"])])
    return _columns(cells) + ["Standard Normals; for d > 1 the x of a formula is (x₁ + … + x_d)/√d, but for the sum."]


def _cases(rows: list[dict]) -> list[tuple[str, str]]:
    return list(dict.fromkeys((row["problem"], row["rule"]) for row in rows))


def figure(results: Mapping, path: Path) -> None:
    import matplotlib

    matplotlib.use("agg")
    from _lib.charts import speed_ratios

    speed_ratios(results["speed"]).savefig(path, dpi=200, metadata={"Software": None})
