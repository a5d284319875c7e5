"""Scratch memory that is used again from block to block and from task to task."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import local

import numpy as np

PADDING = 520  # numbers between rows: no two rows start at the same place in a page


class _Free(local):
    """Arrays that this thread does not use at the moment."""

    def __init__(self):
        self.arrays: list[np.ndarray] = []


_free = _Free()


@contextmanager
def scratch(rows: int, length: int) -> Iterator[np.ndarray]:
    """An array of shape (rows, length or more), with anything in it.

    Fresh memory costs a page fault for each 4 kB. Operations on rows that straddle cache
    lines, or whose addresses agree in the last 12 bits, take up to twice as long.
    """
    stride = -(-length // 8) * 8 + PADDING
    size = rows * stride
    array = _free.arrays.pop() if _free.arrays else np.empty(0)
    if array.size < size + 8:
        array = np.empty(size + 8)
    start = -array.ctypes.data // 8 % 8  # the next cache line
    try:
        yield array[start : start + size].reshape(rows, stride)
    finally:
        _free.arrays.append(array)
