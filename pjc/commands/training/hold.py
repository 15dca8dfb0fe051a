"""Which factored dots ``pjc train`` holds, after it saw how far they are from exact."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pjc.commands.shared import say
from pjc.runtime.listener import Revision

if TYPE_CHECKING:
    from rich.console import Console

    from pjc.driver import Compilation
    from pjc.runtime.history import Result
    from pjc.runtime.program import Program
    from pjc.runtime.units import Units

LARGE_MULTIPLIER = 0.5
"""The |t| from which a factored dot's dropped terms, of the order of t squared, are no longer small."""


def holding(compilation: Compilation, labels: tuple[str, ...], units: Mapping[str, Units]) -> Program:
    """Return the program, in these units, in which the dots named are held, whatever they were."""
    copies = (*compilation.options.words, *(f"{label}=held" for label in labels))
    made = replace(compilation, options=replace(compilation.options, copies=copies)).program()
    return made.rescaled(units)


@dataclass
class Holder:
    """After every epoch holds the copies of factored dots whose |t| was large, or says that one should."""

    console: Console
    compilation: Compilation
    units: Mapping[str, Units]
    warned: set[str] = field(default_factory=set)

    def __call__(self, result: Result) -> Revision | None:
        large = {label: t for label, t in result.multipliers.items() if t > LARGE_MULTIPLIER}
        new = tuple(label for label in large if label not in self.warned)
        self.warned.update(new)
        if not new:
            return None
        automatic = self.compilation.chooses_copies
        for label in new:
            advice = "it is held from now on" if automatic else f"--copies {label}=held would be exact"
            text = f"{label}: |t| reached {large[label]:.2g}, too large for the factored form; {advice}"
            say(self.console, f"warning: {text}", "yellow", "warning")
        if not automatic:
            return None
        held = (*result.held, *new)
        return Revision(holding(self.compilation, held, self.units), held)
