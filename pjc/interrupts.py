"""Ctrl-C while libraries are loaded."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def interrupts_wait() -> Iterator[None]:
    """Within it Ctrl-C waits until the end, where it raises KeyboardInterrupt.

    A library that is interrupted while it is imported may end the process, or leave half of itself behind.
    """
    asked: list[int] = []
    try:
        before = signal.signal(signal.SIGINT, lambda number, _: asked.append(number))
    except ValueError:  # only the main thread may set handlers, and only it is interrupted
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if asked and before not in (signal.SIG_IGN, None):
        raise KeyboardInterrupt
