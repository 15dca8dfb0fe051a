"""Which outer step a program has: how parameters move by its displacement. Imports no JAX."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

STEPS = ("adam", "adamw", "sgd", "lion", "muon", "none")
"""The outer steps that are known by name; ``none`` moves by the displacement itself."""
PLAIN = "none"
CUSTOM = "custom"
"""The name of one that a user has given as an optax transformation, which no file holds."""
DECAYING = ("adamw", "lion", "muon")
"""Those with a weight decay, which is decoupled from the displacement."""
SCHEDULES = ("constant", "cosine", "linear")
RATED = ("rate", "schedule", "warmup", "weight_decay")
"""The settings that an outer step without a rate of ours has no use for."""
EVERY = ""
"""The pattern, among those of ``rate``, that stands for every parameter that no other pattern matches."""
RATES = {"adam": 7e-3, "adamw": 7e-3}
"""The rates that serve best where nothing is said, of the steps that were measured (docs/examples.md)."""
RATE = 1e-3
"""That of the others."""

DISPLACEMENT = "displacement"
"""The entry point of a program whose solver goes once through the network: what it asks of the parameters."""
KEEP = "keep"
"""That which brings parameters back, after a step, to where their sets can tell them apart."""
START = "start"
STEP = "step"
DRAIN = "drain"
"""That by which a stream comes to rest: it answers for the batches that are still on their way."""
TICK = "tick"
"""What a stream does at a tick, and what it holds before the first one. Of ``OF_TICKS``, of which a program
keeps none, :mod:`pjc.runtime.streaming` makes the entry points of its outer step."""
HELD = "held"
SAID = "said"
"""What makes of what each device says of ticks what they say together; and of that what is told of a tick."""
TOLD = "told"
CUT = "cut"
"""What cuts a batch into the pieces that a stream takes, one at a tick, along a first axis."""
OF_TICKS = (TICK, HELD, SAID, TOLD, CUT)
WEIGHTED = "_weighted"
"""What the name of an entry point ends with that also takes the weights of the samples."""


@dataclass(frozen=True)
class Outer:
    """An outer step, as :func:`pjc.runtime.outer.transformation` makes it.

    Attributes:
        name: one of ``STEPS``, or ``CUSTOM``.
        rate: the rate by pattern of parameters' names; of several that match the last counts. Where none is
            for every parameter, it is that of ``RATES``.
        schedule: one of ``SCHEDULES``: what the rate does over the run after it has risen.
        warmup: how long it rises from 0: a part of the run below 1, or a number of steps.
        weight_decay: of those in ``DECAYING``, by the rate, as optax takes it.
        clip: the largest norm of the displacement of all parameters that move; None for any.
        accumulate: the number of batches whose displacements are averaged before a step.
        freeze: patterns of the parameters that do not move.
        own: the transformation of a ``CUSTOM`` one; None where it has yet to be given.
    """

    name: str = STEPS[0]
    rate: Mapping[str, float] = field(default_factory=dict)
    schedule: str = "cosine"
    warmup: float = 0.0
    weight_decay: float = 0.0
    clip: float | None = None
    accumulate: int = 1
    freeze: tuple[str, ...] = ()
    own: Any = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "rate", {EVERY: RATES.get(self.name, RATE), **self.rate})

    @property
    def is_given(self) -> bool:
        """Whether all is there to make the step, as it is but for a transformation that no file holds."""
        return self.name != CUSTOM or self.own is not None

    def with_own(self, transformation: Any) -> Outer:
        """Return the outer step of a user's transformation, which batches and frozen ones are as before."""
        return Outer(CUSTOM, accumulate=self.accumulate, freeze=self.freeze, own=transformation)


def outer_of(options: Any) -> Outer:
    """Return the outer step that options ask for: ``outer``, and fields of the names of :class:`Outer`.

    What is None among them, or empty, is as :class:`Outer` has it.
    """
    names = (*RATED, "clip", "accumulate", "freeze")
    given = {name: value for name in names if (value := getattr(options, name)) not in (None, ())}
    if options.outer is None or isinstance(options.outer, str):
        return Outer(name=options.outer or Outer.name, **given)
    return Outer(name=CUSTOM, own=options.outer, **given)


def is_transformation(value: Any) -> bool:
    """Return whether a value is an optax transformation, as far as can be told without loading optax."""
    return all(callable(getattr(value, name, None)) for name in ("init", "update"))
