"""How far an estimate is, on a bar."""

from __future__ import annotations

import numpy as np

from gradlib.core.progress import Bar
from gradlib.engine.moments import Moments
from gradlib.engine.plan import Plan


class Progress(Bar):
    """The draws that have been averaged; up to an error that is wanted, how many it will take.

    Args:
        wanted: as in :class:`gradlib.core.progress.Bar`.
        plan: how much there is to do.
    """

    def __init__(self, wanted: bool | None, plan: Plan):
        super().__init__("", "draws", plan.most * plan.draws, wanted)
        self.plan = plan

    def update(self, draws: int, moments: Moments) -> None:
        if not self.is_due:
            return
        total, note = None, ""
        if self.plan.target and not moments.bad and moments.count > 1:
            largest = float(np.max(moments.stderr))
            note = f"stderr {largest:.1e}"
            if largest > 0:
                ratio = max(largest / self.plan.target, 1)
                total = int(min(draws * ratio * ratio, self.plan.most * self.plan.draws))
        self.show(draws, total, note)
