"""The solvers, each written as its formula: one iteration in terms of projections onto parts.

With ``P_X`` the projection onto part X and ``R_X = 2 P_X - I``; docs/design.md#meaning says what a projection
onto a part is, Bergmeister et al., arXiv 2506.05878, where the formulas come from.

A solver owns all that is known of it: its numbers, how it wants the problem split, the forms of copies that
it allows, the pass that lowers a problem to it, and its formula. Nothing else knows one by its name. A new
one is a class here; a number that none has had yet is a field of :class:`SolverOptions`.
All of it loads without xDSL and JAX, for the command line's help.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pjc.diagnostics import mistake
from pjc.dialects.forms import HALFWAY, TREATMENTS
from pjc.fields import Choice, Kind, Number, check_fields, option, options_of
from pjc.numerals import decimal

if TYPE_CHECKING:
    from xdsl.ir import SSAValue

    from pjc.passes.lowering.iteration import Iteration

A, B = 0, 1

HALF = 0.5
"""The relaxation at which Douglas-Rachford is relaxed reflect-reflect with step 1."""


@dataclass(frozen=True)
class Copies:
    """The forms beside exact in which a solver lets the copies of a dot be held, and why no others."""

    forms: tuple[str, ...]
    reason: str
    joint: bool = False
    """Whether one node may feed both operands of such a dot."""


@dataclass(frozen=True)
class Solver(ABC):
    """A solver with its numbers, which are the fields of its class: ``rrr{step=0.5}`` as text.

    Raises DiagnosticError for a number that is out of its range, which :class:`SolverOptions` says.
    """

    name: ClassVar[str]
    loops: ClassVar[Literal["families", "unrolled", "scans"]]
    """What loops are to it: families of constraints that it projects at once, each iteration by itself, or
    iterations that it goes through one after another, backwards."""
    partition: ClassVar[tuple[str, ...]]
    """The names of the passes that split a problem: after them the solver's invariant holds."""
    invariant: ClassVar[str]
    """What holds of a problem that they have split, as in "two parts"; :meth:`takes` checks it."""
    rolled: ClassVar[int] = 0
    """From how many operations on equal layers, which are written one after another, become a loop."""
    outer: ClassVar[bool] = False
    """Whether it goes once through the network and makes a displacement, which an outer step moves by; the
    others iterate, and what they arrive at are the parameters after a batch."""
    lowering: ClassVar[str] = "feas-to-proj"
    """The pass that lowers a problem to it; its option ``solver`` is the solver as text."""

    def __post_init__(self) -> None:
        known = {each.name: each for each in options_of(SolverOptions)}
        for name, value in self.numbers().items():
            object.__setattr__(self, name, known[name].check(value))

    @classmethod
    def defaults(cls) -> dict[str, float | str]:
        """Return the numbers and words that the solver takes, with what they are if they are not given."""
        return {each.name: getattr(cls, each.name) for each in fields(cls)}

    def numbers(self) -> dict[str, float | str]:
        """Return the solver's numbers, and words."""
        return {name: getattr(self, name) for name in self.defaults()}

    def __str__(self) -> str:
        own = self.defaults()
        said = [f"{name}={_written(value)}" for name, value in self.numbers().items() if value != own[name]]
        return self.name + (f"{{{' '.join(said)}}}" if said else "")

    @abstractmethod
    def takes(self, parts: Sequence[str]) -> bool:
        """Return whether a problem with such parts is split as the solver needs it."""

    def caution(self, levels: int) -> str | None:
        """Return what to expect of training a network with so many levels of products, if that is little."""
        return None

    def copies(self) -> Copies:
        """Return the forms of copies that the solver allows; by default none but exact."""
        return Copies((), f"{self.name} with these numbers does not damp what copies deviate by")


SHALLOW = 2
"""The levels of products up to which solvers that iterate train a network well."""


class Iterating(Solver):
    """Solvers that iterate on a batch, from the state in which all copies agree."""

    def caution(self, levels: int) -> str | None:
        if levels <= SHALLOW:
            return None
        return (
            f"{self.name} weakens what the losses ask at each level of products on its way, and here there "
            f"are {levels} between them and the farthest parameter: expect it to learn slowly and to stop "
            f"short; {DEFAULT}, the default, is for training such networks"
        )

    @abstractmethod
    def iteration(self, it: Iteration) -> tuple[SSAValue, SSAValue, SSAValue]:
        """Build an iteration: return the state after it, and the two states whose distance is the gap."""

    def metric_rate(self) -> float:
        """Return by which share the weights of neurons move in an iteration; 0 where all weigh the same."""
        return 0.0


class TwoSet(Iterating):
    """Solvers between two parts: no edge joins two nodes of a part, so that each is projected at once."""

    loops = "families"
    partition = ("feas-legalize-bipartite", "feas-bipartition")
    invariant = "two parts"

    def takes(self, parts: Sequence[str]) -> bool:
        return len(parts) == 2


class Cyclic(Iterating):
    """Solvers that go through levels, outputs first; the gap is the move of a cycle."""

    loops = "unrolled"
    partition = ("feas-levels",)
    invariant = "parts that are projected in turn, outputs first"

    def takes(self, parts: Sequence[str]) -> bool:
        return len(parts) > 0


_IN_AGREEMENT = "in {} all copies agree before they are projected"


@dataclass(frozen=True)
class AlternatingProjections(TwoSet):
    """Alternating projections: ``x := P_B(P_A x)``; the gap is ``|P_B P_A x - P_A x|``."""

    name = "ap"

    def copies(self) -> Copies:
        return Copies(("shared",), _IN_AGREEMENT.format(self.name))

    def iteration(self, it: Iteration) -> tuple[SSAValue, SSAValue, SSAValue]:
        a = it.P(A, it.x)
        b = it.P(B, a)
        return b, b, a


@dataclass(frozen=True)
class AlternatingReflections(TwoSet):
    """Alternating reflections: ``x := R_B(R_A x)``; the gap is ``|P_B R_A x - P_A x|``."""

    name = "ar"

    def iteration(self, it: Iteration) -> tuple[SSAValue, SSAValue, SSAValue]:
        return _reflected(it)


def _reflected(it: Iteration) -> tuple[SSAValue, SSAValue, SSAValue]:
    a = it.P(A, it.x)
    reflected = it.combine((2.0, a), (-1.0, it.x))
    b = it.P(B, reflected)
    return it.combine((2.0, b), (-1.0, reflected)), b, a


_HALFWAY = Copies(HALFWAY, "in Douglas-Rachford copies deviate from what was agreed on")


def _halfway(it: Iteration) -> tuple[SSAValue, SSAValue, SSAValue]:
    """Douglas-Rachford at relaxation 1/2, with halfway forms: relaxed reflect-reflect with step 1.

    ``x := P_B(2 P_A x - x) + x - P_A x``. P_B is given ``P_A x``, and leaves in its result the factors of the
    next x, which therefore comes first in the sum.
    """
    a = it.P(A, it.x)
    b = it.P(B, it.combine((2.0, a), (-1.0, it.x)), given=a)
    return it.combine((1.0, b), (1.0, it.x), (-1.0, a)), b, a


@dataclass(frozen=True)
class DouglasRachford(TwoSet):
    """Douglas-Rachford with relaxation l: ``x := (1 - l) x + l R_B(R_A x)``; gap ``|P_B R_A x - P_A x|``."""

    name = "dr"
    relaxation: float = HALF

    def copies(self) -> Copies:
        return _HALFWAY if self.relaxation == HALF else super().copies()

    def iteration(self, it: Iteration) -> tuple[SSAValue, SSAValue, SSAValue]:
        if it.halfway:
            return _halfway(it)
        reflected, b, a = _reflected(it)
        return it.combine((self.relaxation, reflected), (1 - self.relaxation, it.x)), b, a


@dataclass(frozen=True)
class RelaxedReflectReflect(TwoSet):
    """Relaxed reflect-reflect with step b: ``x := x + b (P_B(2 P_A x - x) - P_A x)``; gap as for ar.

    With the metric g above 0 each neuron has a weight m in the means of what its copies agree on with others:
    ``m := (1 - g) m + g s``, s its mean square gap over that of all.
    """

    name = "rrr"
    step: float = 1.0
    metric: float = 0.0

    def metric_rate(self) -> float:
        return self.metric

    def copies(self) -> Copies:
        return _HALFWAY if self.step == 1 and not self.metric else super().copies()

    def iteration(self, it: Iteration) -> tuple[SSAValue, SSAValue, SSAValue]:
        if it.halfway:
            return _halfway(it)
        a = it.P(A, it.x)
        b = it.P(B, it.combine((2.0, a), (-1.0, it.x)))
        return it.combine((self.step, b), (-self.step, a), (1.0, it.x)), b, a


@dataclass(frozen=True)
class DifferenceMap(TwoSet):
    """Difference map: ``x := x + b (P_A((1 + 1/b) P_B x - x/b) - P_B((1 - 1/b) P_A x + x/b))``.

    The gap is the distance of the two projections in the difference.
    """

    name = "dm"
    beta: float = 1.0

    def iteration(self, it: Iteration) -> tuple[SSAValue, SSAValue, SSAValue]:
        b = self.beta
        one = it.P(A, it.combine((1 + 1 / b, it.P(B, it.x)), (-1 / b, it.x)))
        other = it.P(B, it.combine((1 - 1 / b, it.P(A, it.x)), (1 / b, it.x)))
        return it.combine((1.0, it.x), (b, one), (-b, other)), one, other


@dataclass(frozen=True)
class CyclicProjections(Cyclic):
    """Cyclic projections: project the levels in turn, outputs first; the gap is the move of a cycle."""

    name = "cp"

    def copies(self) -> Copies:
        return Copies(("shared",), _IN_AGREEMENT.format(self.name))

    def iteration(self, it: Iteration) -> tuple[SSAValue, SSAValue, SSAValue]:
        x = it.x
        for level in range(len(it.parts)):
            x = it.P(level, x)
        return x, x, it.x


@dataclass(frozen=True)
class CyclicDouglasRachford(Cyclic):
    """Cyclic Douglas-Rachford: over levels i, ``x := (x + R_{i+1}(R_i x)) / 2``; gap as for cp."""

    name = "cdr"

    def iteration(self, it: Iteration) -> tuple[SSAValue, SSAValue, SSAValue]:
        x = it.x
        for level in range(len(it.parts)):
            x = it.combine((0.5, it.R(level + 1, it.R(level, x))), (0.5, x))
        return x, x, it.x


@dataclass(frozen=True)
class Sweep(Solver):
    """Sweeps: one cycle of projections a batch, outputs first, in a metric in which values are light.

    A value weighs ``value_weight`` where what it is computed from weighs 1; that of a product of two inputs
    ``weight`` over the square of the mean of sqrt(|a|^2 + |b|^2). Each node answers what is asked of its
    value by the weighted projection onto its constraint, over-relaxed; ``demand`` says how large what
    products ask of values may be. What arrives at the parameters is their displacement, which an outer step
    takes. See docs/design.md#sweeps.
    """

    name = "sweep"
    weight: float = 0.1
    value_weight: float = 1e-3
    demand: str = "power"

    outer = True
    loops = "scans"
    partition = ()
    invariant = "a problem"
    rolled = 28  # below, layers apart are a tenth faster or more, and take a second longer to compile at most
    lowering = "feas-to-sweep"

    def takes(self, parts: Sequence[str]) -> bool:
        return True

    def treatment(self, *, product: bool, jump: bool) -> str:
        """Return what is done about the size of what a node asks: one of ``TREATMENTS``.

        Products alone are bounded, and under "power" jumps, which never ask in proportion.
        """
        if product:
            return self.demand
        return "unit" if jump and self.demand == "power" else "plain"

    def copies(self) -> Copies:
        return Copies(("shared",), "a sweep starts where all copies agree", joint=True)


@dataclass(frozen=True)
class Stream(Sweep):
    """Streams of sweeps: at a tick each layer runs forward on a piece of a batch, and answers for another.

    What a layer is asked, it is asked some steps later than it would be in a sweep, and parameters have moved
    since; but no layer waits for another. See docs/design.md#streams.

    A piece has few samples, whose own size says little: products ask in proportion to what they are asked.
    """

    name = "stream"
    demand: str = "plain"
    rolled = 0  # a stage is an iteration of a loop
    lowering = "feas-to-stream"

    def caution(self, levels: int) -> str | None:
        return (
            f"{self.name} moves layers by what they were asked some steps ago: expect somewhat less accuracy "
            f"than of {Sweep.name}, most where layers do not add to what they are given, as in h = h + .."
        )


SOLVERS: dict[str, type[Solver]] = {
    cls.name: cls
    for cls in list(globals().values())
    if isinstance(cls, type) and issubclass(cls, Solver) and "name" in vars(cls)
}
"""All solvers, by name."""

DEFAULT = Sweep.name
"""The solver where none is named."""

DEFAULT_ITERATING = DouglasRachford.name
"""The solver of passes that only those that iterate have a use for, where none is named."""

_TEXT = re.compile(r"\s*([\w-]*)\s*(?:\{(.*)\})?\s*", re.DOTALL)


def parse(text: str) -> Solver:
    """Return the solver of a text such as ``rrr`` or ``rrr{step=0.5}``.

    Raises:
        DiagnosticError: if there is none of that name, or it takes no such numbers.
    """
    name, numbers = _taken_apart(text)
    return _made(name, numbers)


def _written(value: float | str) -> str:
    return value if isinstance(value, str) else repr(value)


def with_numbers(given: str | Solver, numbers: Mapping[str, float | str]) -> Solver:
    """Return a solver with numbers that were given beside it.

    Raises:
        DiagnosticError: as :func:`parse`; and where a text and a number beside it disagree.
    """
    if isinstance(given, Solver):
        return _made(given.name, {**given.numbers(), **numbers}, of=numbers)
    name, own = _taken_apart(given)
    for each in own.keys() & numbers.keys():
        if own[each] != numbers[each]:
            raise mistake(f"{each} is given twice, as {_shown(own[each])} and as {_shown(numbers[each])}")
    return _made(name, {**own, **numbers})


def _shown(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _taken_apart(text: str) -> tuple[str, dict[str, float | str]]:
    found = _TEXT.fullmatch(text)
    if found is None:
        raise mistake(f"'{text}' is no solver", "write its name, or NAME{number=value}")
    numbers: dict[str, float | str] = {}
    for word in (found[2] or "").replace(",", " ").split():
        name, equals, value = word.partition("=")
        if not (equals and value):
            raise mistake(f"'{word}' in '{text}' is no number=value")
        if name in numbers:
            raise mistake(f"{name} is given twice in '{text}'")
        numbers[name] = _number_or_word(name, value, text)
    return found[1], numbers


def _number_or_word(name: str, value: str, text: str) -> float | str:
    """Return what a value in a solver's text is: a word where the solvers' option of that name takes one."""
    kinds = {each.name: each.kind for each in options_of(SolverOptions)}
    if isinstance(kinds.get(name), Choice):
        return value
    try:
        return decimal(value)
    except ValueError:
        raise mistake(f"'{name}={value}' in '{text}' is no number=value") from None


def _made(
    name: str, numbers: Mapping[str, float | str], of: Mapping[str, float | str] | None = None
) -> Solver:
    if name not in SOLVERS:
        raise mistake(f"unknown solver '{name}'", f"known are {', '.join(SOLVERS)}")
    cls = SOLVERS[name]
    for each in numbers if of is None else of:
        if each not in cls.defaults():
            users = users_of(each)
            has = ", ".join(cls.defaults()) or "no numbers"
            which = f"it is a number of {' and '.join(users)}" if users else f"{name} takes {has}"
            raise mistake(f"the solver {name} takes no {each}", which)
    return cls(**numbers)


def users_of(number: str) -> list[str]:
    """Return the names of the solvers that take a number."""
    return [cls.name for cls in SOLVERS.values() if number in cls.defaults()]


def of_kind(outer: bool) -> tuple[str, ...]:
    """Return the names of the solvers that make a displacement, or of those that iterate."""
    return tuple(cls.name for cls in SOLVERS.values() if cls.outer == outer)


class SolverKind(Kind):
    """A solver: its name, its text with numbers, or the solver itself."""

    metavar = "SOLVER"

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(SOLVERS)

    @property
    def wanted(self) -> str:
        return "a solver's name, or NAME{number=value}"

    def read(self, text: str) -> str:
        parse(text)
        return text

    def check(self, value: Any) -> str | Solver:
        """Return the solver; a text stays one until it is known which numbers stand beside it."""
        if not isinstance(value, str | Solver):
            raise ValueError
        if isinstance(value, str):
            _taken_apart(value)
        return value

    def plain(self, value: Any) -> str:
        return str(value)


def _number(name: str, kind: Number | Choice, what: str, metavar: str) -> Any:
    """Return the field of a number, or a word, of solvers: None, if the solver's own default is to hold."""

    def told() -> str:
        return f"{what} of {' and '.join(users_of(name))}, {kind.wanted.removeprefix('a number ')}"

    def shown() -> str:
        defaults = {each: SOLVERS[each].defaults()[name] for each in users_of(name)}
        same = len(set(defaults.values())) == 1
        words = [_shown(value) + ("" if same else f" of {each}") for each, value in defaults.items()]
        return ", ".join(words[:1] if same else words)

    return option(None, kind=kind, help=told, group="solver", shown=shown, metavar=metavar, compared=False)


@dataclass(frozen=True, kw_only=True)
class SolverOptions:
    """The choice of a solver, and the numbers of all of them; those that are not given are None.

    Once checked, ``solver`` has the numbers, and the fields of their names are None.
    """

    solver: str | Solver = option(
        DEFAULT,
        kind=SolverKind(),
        help=lambda: f"how sets are projected onto: {', '.join(SOLVERS)}; also NAME{{number=value}}",
        group="solver",
        since="net",
        until="feas",
    )
    relaxation: float | None = _number("relaxation", Number(above=0, high=1), "the relaxation", "L")
    step: float | None = _number("step", Number(above=0, high=2), "the step", "B")
    metric: float | None = _number(
        "metric", Number(low=0, below=1), "how fast neurons that do not fit come to weigh more", "G"
    )
    beta: float | None = _number("beta", Number(low=-1e6, high=1e6, but=0), "the parameter b", "B")
    weight: float | None = _number(
        "weight", Number(above=0, high=1e6), "what the value of a product weighs, in proportion", "W"
    )
    value_weight: float | None = _number(
        "value_weight", Number(above=0, high=1e6), "what other values weigh", "U"
    )
    demand: str | None = _number(
        "demand", Choice(TREATMENTS), "how large what products ask of values may be", "HOW"
    )

    def __post_init__(self) -> None:
        check_fields(self)
        names = [each.name for each in fields(SolverOptions) if each.name != "solver"]
        given = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        object.__setattr__(self, "solver", with_numbers(self.solver, given))
        for name in names:
            object.__setattr__(self, name, None)

    @property
    def method(self) -> Solver:
        """The solver with its numbers."""
        return self.solver if isinstance(self.solver, Solver) else parse(self.solver)
