"""Without a browser the tests that need one are skipped, and one line says so."""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
PRINTING = "test_pdf.py::test_what_is_wide_is_broken_or_set_smaller"
NEEDY = [
    "test_browser.py",
    "test_accessibility.py",
    "test_recording.py",
    "test_weight.py",
    "test_lab.py::test_the_numbers_shown_are_gradlibs",
    PRINTING,
]


def outcome(*tests, **environment):
    """The end of a run of tests where PATH leads to no browser."""
    environment = {
        **{key: value for key, value in os.environ.items() if key != "BROWSER_TESTS"},
        "PATH": str(HERE),
        **environment,
    }
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *tests],
        cwd=HERE,
        env=environment,
        capture_output=True,
        text=True,
    )
    return run.returncode, [
        line for line in run.stdout.splitlines() if "browser tests: no Chromium or Chrome is installed" in line
    ]


def test_one_line_says_that_there_is_no_browser():
    status, lines = outcome(*NEEDY)
    assert status == 0 and len(lines) == 1 and lines[0].startswith("SKIPPED [")


def test_where_a_browser_is_required_its_absence_fails():
    assert outcome(PRINTING, BROWSER_TESTS="required")[0] == 1
