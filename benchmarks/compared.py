"""What sweeps and Adam are compared on.

The command of a network (the first line of its file) says what it trains on, in which batches, for how many
epochs, and by which outer step; both methods train by that. So what serves all networks best is written there
alone. Here stands what is beside it.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from commands import ROOT, command_of, located, solver_in, swept
from disturbances import outliers, random_labels, raw_pixels, standard_pixels

from pjc.runtime.data.prepare import Parts

ADAM_RATES = (3e-4, 1e-3, 3e-3)
"""Adam is taken at that of these rates that validates best; sweeps at the rate of the command."""
RECURRENT = ("char_rnn",)
"""Networks that are not counted among the feed-forward ones."""


@dataclass(frozen=True)
class Comparison:
    """A network that is trained by both methods.

    Attributes:
        name: what it is called in tables.
        network: its file.
        more: words that are added to its command.
        disturb: what is done to its data.
        rates: those that both methods take; None for each method's own.
        averaged: the epochs, from 1, whose mean score counts; None for that of the last one, or with
            ``--keep-best`` of the one that validates best.
    """

    name: str
    network: Path
    more: tuple[str, ...] = ()
    disturb: Callable[[Parts], Parts] | None = None
    rates: tuple[float, ...] | None = None
    averaged: tuple[int, int] | None = None

    def words(self, data: Path | None) -> list[str]:
        """Return the words of its command, which finds data in a folder."""
        return located([*swept(command_of(self.network)), *self.more], data)

    @property
    def fingerprint(self) -> str:
        """What tells a run of it from one of another text, command, or disturbance."""
        told = [self.network.read_text(encoding="utf-8"), *swept(command_of(self.network)), *self.more]
        told.append(getattr(self.disturb, "__name__", ""))
        return f"{self.network.stem}-{zlib.crc32(chr(0).join(told).encode()):08x}"


EXAMPLES = tuple(
    Comparison(each.stem, each)
    for each in sorted((ROOT / "examples").glob("*.pjn"))
    if not each.read_text(encoding="utf-8").startswith("# pjc solve ")
)
JUMPS = tuple(Comparison(each.stem, each) for each in sorted((ROOT / "benchmarks" / "jumps").glob("*.pjn")))
_DEEP = ROOT / "examples" / "mnist_deep.pjn"
_RATE = (1e-3,)
_CONSTANT = ("--schedule", "constant", "--epochs", "12")
ROBUST = (
    Comparison("clean", _DEEP, rates=_RATE),
    Comparison("outliers", _DEEP, disturb=outliers, rates=_RATE),
    Comparison("raw_pixels", _DEEP, disturb=raw_pixels, rates=_RATE),
    Comparison("random_labels", _DEEP, disturb=random_labels, rates=_RATE),
    Comparison("high_rate", _DEEP, rates=(1e-2,)),
    Comparison("constant_rate", _DEEP, _CONSTANT, None, _RATE, (7, 12)),
    Comparison("constant_rate_cap", _DEEP, (*_CONSTANT, "--demand", "cap"), None, _RATE, (7, 12)),
    Comparison("constant_rate_standard", _DEEP, _CONSTANT, standard_pixels, _RATE, (7, 12)),
)
GROUPS = {"examples": EXAMPLES, "jumps": JUMPS, "robust": ROBUST}
EVERY = {each.name: each for group in GROUPS.values() for each in group}


def chosen(only: Sequence[str]) -> list[Comparison]:
    """Return the comparisons of these names, or of groups of these names.

    Without names it is the examples, but for those whose command names another solver: they are for that one.

    Raises:
        ValueError: for a name that there is not.
    """
    if not only:
        return [each for each in EXAMPLES if solver_in(command_of(each.network)) in (None, "sweep")]
    found: list[Comparison] = []
    for name in only:
        if name not in GROUPS and name not in EVERY:
            raise ValueError(f"nothing called '{name}' is compared; known are {', '.join([*GROUPS, *EVERY])}")
        found += GROUPS.get(name, ()) or (EVERY[name],)
    return list(dict.fromkeys(found))
