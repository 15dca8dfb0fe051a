"""The options of the outer step, which moves parameters by what a solver asks of them."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pjc.diagnostics import mistake
from pjc.fields import Choice, Kind, Number, Text, option
from pjc.numerals import decimal
from pjc.passes.solvers import Solver, SolverOptions, of_kind
from pjc.runtime.outer_settings import (
    CUSTOM,
    DECAYING,
    EVERY,
    PLAIN,
    RATE,
    RATED,
    RATES,
    SCHEDULES,
    STEPS,
    Outer,
    is_transformation,
)

GROUP = "outer step"


class OuterKind(Kind):
    """An outer step by its name; from Python also an optax transformation."""

    @property
    def metavar(self) -> str:  # type: ignore[override]
        """The names, in braces."""
        return Choice(STEPS).metavar

    @property
    def wanted(self) -> str:
        return f"{Choice(STEPS).wanted}; in Python also an optax transformation"

    def read(self, text: str) -> str:
        return str(Choice(STEPS).check(text))

    def check(self, value: Any) -> Any:
        if is_transformation(value):
            return value
        return Choice((*STEPS, CUSTOM)).check(value)

    def plain(self, value: Any) -> str:
        return value if isinstance(value, str) else CUSTOM

    def refusal(self, name: str, value: Any) -> tuple[str, str | None]:
        return Choice(STEPS).refusal(name, value)


class Rates(Kind):
    """A rate, and others for the parameters whose names match a pattern; kept as a dict by pattern."""

    metavar = "RATE|PATTERN=RATE"
    repeated = True
    number = Number(above=0)

    @property
    def wanted(self) -> str:
        return f"{self.number.wanted}, or PATTERN={self.metavar.partition('|')[0]}"

    def read(self, text: Any) -> dict[str, float]:
        pairs = [str(each).rpartition("=") for each in text]
        given = [pattern if equals else EVERY for pattern, equals, _ in pairs]
        for pattern in given:
            if given.count(pattern) > 1:
                raise mistake(f"rate is given twice for {_shown(pattern)}", "give one of them")
        return self.check({pattern: decimal(pair[2]) for pattern, pair in zip(given, pairs, strict=True)})

    def check(self, value: Any) -> dict[str, float]:
        if isinstance(value, numbers.Real):
            return {EVERY: self.number.check(value)}
        if isinstance(value, Sequence) and not isinstance(value, str):
            return self.read(value)
        if not isinstance(value, Mapping) or not all(isinstance(each, str) for each in value):
            raise ValueError
        return {pattern: self.number.check(rate) for pattern, rate in value.items()}

    def plain(self, value: Any) -> list[str]:
        # A list, as the order of patterns matters and that of a JSON object may be lost.
        return [f"{pattern}={rate!r}" if pattern else repr(rate) for pattern, rate in value.items()]


def _shown(pattern: str) -> str:
    return repr(pattern) if pattern else "all parameters"


class Warmup(Kind):
    """How long a rate rises: a part of the run, or a number of steps."""

    metavar = "F|N"

    @property
    def wanted(self) -> str:
        return "a part of the run from 0 to below 1, or a whole number of steps"

    def read(self, text: str) -> float:
        return self.check(decimal(text))

    def check(self, value: Any) -> float:
        found = Number(low=0).check(value)
        if found >= 1 and not found.is_integer():
            raise ValueError
        return found


@dataclass(frozen=True, kw_only=True)
class OuterOptions(SolverOptions):
    """The choice of an outer step, and its numbers; what is not given is None, and as ``Outer`` has it.

    Raises:
        DiagnosticError: for numbers that the outer step chosen has no use for.
    """

    outer: Any = option(
        None,
        kind=OuterKind(),
        help="how parameters move by what is asked of them; none: by just that",
        shown=Outer.name,
        group=GROUP,
        since="stablehlo",
    )
    rate: float | Mapping[str, float] | Sequence[str] | None = option(
        None,
        kind=Rates(),
        help="the rate of the outer step; PATTERN=RATE for parameters whose names match; may be repeated, "
        "and of several that match the last counts",
        shown=f"{Outer().rate[EVERY]:g} of {' and '.join(RATES)}, {RATE:g} of the others",
        group=GROUP,
        since="stablehlo",
    )
    schedule: str | None = option(
        None,
        kind=Choice(SCHEDULES),
        help="what becomes of the rate over the run: cosine and linear end at 0",
        shown=Outer.schedule,
        group=GROUP,
        since="stablehlo",
    )
    warmup: float | None = option(
        None,
        kind=Warmup(),
        help="how long the rate rises from 0 first",
        shown=f"{Outer.warmup:g}",
        group=GROUP,
        since="stablehlo",
    )
    weight_decay: float | None = option(
        None,
        kind=Number(low=0),
        help=f"what parameters shrink by, times the rate; of {', '.join(DECAYING)}",
        shown=f"{Outer.weight_decay:g}",
        group=GROUP,
        since="stablehlo",
    )
    clip: float | None = option(
        None,
        kind=Number(above=0),
        help="the largest norm of what is asked of all parameters together",
        shown="any",
        group=GROUP,
        since="stablehlo",
    )
    accumulate: int | None = option(
        None,
        kind=Number(whole=True, low=1),
        help="batches whose displacements are averaged before a step",
        shown=str(Outer.accumulate),
        group=GROUP,
        since="stablehlo",
    )
    freeze: Sequence[str] = option(
        (),
        kind=Text("PATTERN", repeated=True),
        help="parameters whose names match do not move; may be repeated",
        group=GROUP,
        since="stablehlo",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        plain = self.outer is not None and (self.outer == PLAIN or OuterKind().plain(self.outer) == CUSTOM)
        for name in RATED:
            if plain and getattr(self, name) is not None:
                raise mistake(
                    f"{name} does not go with the outer step {OuterKind().plain(self.outer)}",
                    f"the displacement is all that moves them; a {name} is for {_others(PLAIN)}"
                    if self.outer == PLAIN
                    else f"a transformation of one's own has its own {name}",
                )
        method = self.outer or Outer.name
        if self.weight_decay is not None and method not in DECAYING and not plain:
            raise mistake(
                f"weight_decay does not go with the outer step {method}, which has none",
                f"it is for {', '.join(DECAYING)}: their weight decay is decoupled, as in --outer adamw",
            )

    def outer_given(self) -> list[str]:
        """Return the names of the options of the outer step that were given."""
        names = [name for name in OuterOptions.__dataclass_fields__ if name not in _OF_SOLVERS]
        return [name for name in names if getattr(self, name) not in (None, ())]

    def require_outer(self, solver: Solver) -> None:
        """Raise DiagnosticError where an option of the outer step is given to a solver that has none."""
        for name in self.outer_given() if not solver.outer else []:
            makers = ", ".join(of_kind(outer=True))
            raise mistake(
                f"{name} does not apply to the solver {solver}, whose iterations move the parameters",
                f"it is for solvers that make a displacement: {makers}" if makers else None,
            )


_OF_SOLVERS = SolverOptions.__dataclass_fields__.keys()


def _others(name: str) -> str:
    return ", ".join(each for each in STEPS if each != name)
