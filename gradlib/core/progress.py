"""A bar for long work, where somebody can see it."""

from __future__ import annotations

import sys
import time


class Bar:
    """A bar on standard error, once the work has taken a second.

    Args:
        what: the name of the work; "" for none.
        unit: what is counted.
        total: how much there is to do, at most.
        wanted: whether to show it; ``None`` for "in a terminal or a notebook".
    """

    def __init__(self, what: str, unit: str, total: int, wanted: bool | None = None):
        self.wanted = (sys.stderr.isatty() or "ipykernel" in sys.modules) if wanted is None else bool(wanted)
        self.look = {"desc": what or None, "unit": f" {unit}", "total": total, "unit_scale": True}
        self.shown, self.start = None, time.monotonic()

    def __enter__(self) -> Bar:
        return self

    @property
    def is_due(self) -> bool:
        return self.wanted and time.monotonic() - self.start >= 1

    def show(self, done: int, total: int | None = None, note: str = "") -> None:
        """How far the work is; with another total, where more is known of it by now."""
        if not self.is_due:
            return
        if self.shown is None:
            from tqdm import tqdm  # only where there is something to show

            self.shown = tqdm(**self.look)
        if note:
            self.shown.set_postfix_str(note, refresh=False)
        if total is not None:
            self.shown.total = total
        self.shown.update(done - self.shown.n)

    def __exit__(self, *error) -> None:
        if self.shown is not None:
            self.shown.close()
