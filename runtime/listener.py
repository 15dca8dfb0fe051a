"""Who is told how training goes, and may have a say in it. Imports no JAX."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pjc.runtime.history import Result
    from pjc.runtime.trainable import Trainable


@dataclass(frozen=True)
class Revision:
    """What training goes on with: a program of the same network, and the dots that are held in it."""

    program: Trainable
    held: tuple[str, ...]


class Listener:
    """Hears of a training run and may stop or revise it. Here nothing does anything; subclasses say what.

    In the order in which they are called: ``begin``; in every epoch ``progress``, ``checkpoint`` and
    ``should_stop`` after batches, and ``progress`` once more at its end; after every whole epoch ``revise``,
    then ``epoch``, then perhaps ``warning``, then ``is_done``. What ``epoch`` gets holds what ``revise``
    decided, so that a run which is killed before ``epoch`` has written it does the epoch again, and one that
    is killed after has lost nothing.
    """

    @property
    def saves(self) -> bool:
        """Whether a run may go on from what ``epoch`` gets: what was recorded of it is then written first."""
        return False

    def begin(self, result: Result, batches: int) -> None:
        """Training begins at ``result``, with so many ``batches`` in every epoch."""

    def progress(self, batch: int, gap: float) -> None:
        """So many batches of this epoch are done, with this mean gap, or demand where the solver goes once.

        Told at most ten times a second.
        """

    def checkpoint(self, result: Result) -> None:
        """Training stands here, within an epoch; told every ``Run.checkpoint_seconds``."""

    def should_stop(self) -> bool:
        """Return whether to stop after this batch."""
        return False

    def revise(self, result: Result) -> Revision | None:
        """Return what to go on with after an epoch, if anything else; its multipliers are in ``result``."""
        return None

    def epoch(self, result: Result) -> None:
        """An epoch is done, of which the last row of ``result.history`` tells."""

    def is_done(self, result: Result) -> bool:
        """Return whether the run ends at this epoch, though there were to be more; also asked at its start.

        Where several processes train together, all must answer alike.
        """
        return False

    def warning(self, text: str) -> None:
        """Something is as it should not be: what, and what to try. Told once of each thing."""
