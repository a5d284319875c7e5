"""A bar for long work, where somebody can see it."""

from __future__ import annotations

import sys
import time

import numpy as np

from gradlib.engine.moments import Moments
from gradlib.engine.plan import Plan


class Progress:
    """A bar on standard error for work of more than a second.

    Args:
        wanted: whether to show it; ``None`` for "in a terminal or a notebook".
        plan: how much there is to do.
    """

    def __init__(self, wanted: bool | None, plan: Plan):
        self.wanted = (sys.stderr.isatty() or "ipykernel" in sys.modules) if wanted is None else bool(wanted)
        self.plan, self.bar, self.start = plan, None, time.monotonic()

    def __enter__(self) -> Progress:
        return self

    def update(self, draws: int, moments: Moments) -> None:
        if not self.wanted or time.monotonic() - self.start < 1:
            return
        if self.bar is None:
            from tqdm import tqdm  # only where there is something to show

            self.bar = tqdm(total=self.plan.most * self.plan.draws, unit=" draws", unit_scale=True)
        if self.plan.target and not moments.bad and moments.count > 1:
            largest = float(np.max(moments.stderr))
            self.bar.set_postfix_str(f"stderr {largest:.1e}", refresh=False)
            if largest > 0:
                ratio = max(largest / self.plan.target, 1)
                self.bar.total = int(min(draws * ratio * ratio, self.plan.most * self.plan.draws))
        self.bar.update(draws - self.bar.n)

    def __exit__(self, *error) -> None:
        if self.bar is not None:
            self.bar.close()
