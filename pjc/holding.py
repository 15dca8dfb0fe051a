"""Which factored dots training holds, after it saw how far they are from exact."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from pjc.runtime.history import Result
from pjc.runtime.listener import Revision
from pjc.runtime.program import Program

LARGE_MULTIPLIER = 0.5
"""The |t| from which a factored dot's dropped terms, of the order of t squared, are no longer small."""


@dataclass
class Holder:
    """After every epoch holds the copies of factored dots whose |t| was large, or says that one should.

    Attributes:
        program: the program that is trained, in the units of the run.
        warn: hears of each such dot once, in a sentence.
        option: how the caller asks for a dot to be held; ``{}`` stands for its label.
        warned: the dots that were told of.
    """

    program: Program
    warn: Callable[[str], None]
    option: str
    warned: set[str] = field(default_factory=set)

    def __call__(self, result: Result) -> Revision | None:
        """Return the program to go on with after an epoch, if it is another."""
        large = {label: t for label, t in result.multipliers.items() if t > LARGE_MULTIPLIER}
        new = tuple(label for label in large if label not in self.warned)
        self.warned.update(new)
        if not new:
            return None
        held = (*result.held, *new)
        program = self.program.holding(held)
        for label in new:
            advice = "it is held from now on" if program else f"{self.option.format(label)} would be exact"
            self.warn(f"{label}: |t| reached {large[label]:.2g}, too large for the factored form; {advice}")
        return None if program is None else Revision(program, held)
