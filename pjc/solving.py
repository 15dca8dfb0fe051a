"""``pjc.solve``: from a network and data to parameters that meet every requirement, or are known not to."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from pjc.diagnostics import mistake
from pjc.dialects import proj
from pjc.driver import Compilation
from pjc.fields import Number, require_known
from pjc.fit import Fit
from pjc.passes.analysis.graph import only
from pjc.runtime.data.dataset import Dataset
from pjc.runtime.emit import Emitter
from pjc.runtime.emit import search as emitted
from pjc.runtime.history import Result
from pjc.runtime.products import PRODUCTS
from pjc.runtime.program import Program
from pjc.runtime.trainable import batch_size, specs
from pjc.search_options import RESTARTS, TOLERANCE, SearchOptions
from pjc.sources import source_of
from pjc.training_data import Asked, given_for

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FIRST, _MOST, _SECONDS = 16, 4096, 1.0
"""A look at a search comes after so many iterations at first, and at most, and about so many seconds."""
INTERRUPTED = "interrupted"
NO_NUMBERS = "no restart has come to numbers: all residuals are NaN"


@dataclass(frozen=True)
class Asking:
    """How to search.

    Attributes:
        restarts: how many searches run side by side, from 1.
        iterations: how many iterations each has at most, from 1.
        seed: draws what they start from.
        tolerance: the largest residual of a solution, above 0.
    """

    restarts: int = RESTARTS
    iterations: int = 1
    seed: int = 0
    tolerance: float = TOLERANCE


class Look(NamedTuple):
    """What is seen of a search on its way.

    Attributes:
        iterations: how many are done.
        residual: the least so far, of all restarts.
        gap: the least of the restarts now.
        seconds: since the search began, without compiling.
    """

    iterations: int
    residual: float
    gap: float
    seconds: float


@dataclass(frozen=True, repr=False)
class Solution:
    """What a search came to: of all restarts and looks, the parameters with the least residual.

    Attributes:
        solved: whether every requirement is met, on every row of the data, by the parameters as they are
            handed back: exactly in their sets, as the forward pass computes with them.
        residual: the largest number by which a value, an input of a jump or a parameter is off what is
            required of it, in its own units; at most the tolerance where ``solved``.
        residuals: that of each restart when the search ended, or was last looked at; inf for one of NaN.
        restart: which of them it is, from 0.
        iterations: how many each restart had.
        seconds: how long that took, without compiling.
        stopped: why the search ended before all iterations though nothing is solved; None if it did not.
        fit: the network with its parameters, as training returns it: predicts, evaluates, saves.
    """

    solved: bool
    residual: float
    residuals: NDArray[np.float32]
    restart: int
    iterations: int
    seconds: float
    stopped: str | None
    fit: Fit = field(repr=False)

    @property
    def params(self) -> Any:
        """The parameters, by name."""
        return self.fit.params

    @property
    def program(self) -> Program:
        """The program, for a batch of all rows."""
        return self.fit.compiled

    def __repr__(self) -> str:
        said = "solved" if self.solved else "not solved"
        return (
            f"<pjc.Solution of {self.program.name!r}: {said}, residual {self.residual:.3g}, restart "
            f"{self.restart} of {len(self.residuals)}, {self.iterations} iterations>"
        )

    def save(self, path: str | Path) -> None:
        """Write the parameters, a history without rows, and the program, as :meth:`pjc.Fit.save`."""
        self.fit.save(path)


def solve(
    network: Any,
    data: Any,
    *,
    restarts: int = RESTARTS,
    seed: int = 0,
    tolerance: float = TOLERANCE,
    target: str | None = None,
    normalize: str = "none",
    tell: Callable[[Look], object] | None = None,
    **options: Any,
) -> Solution:
    """Search for parameters that meet every requirement of a network on every row of the data.

    The restarts run side by side in one program, each from parameters of its own; the search ends as soon as
    one has solved the problem. The first Ctrl-C ends it too, and what is best then is returned.

    Args:
        network: the path or the text of a network, or what else :func:`pjc.compile` takes.
        data: as :func:`pjc.train` takes it, but no batches: all rows are searched with at once.
        restarts: how many, from 1.
        seed: draws what they start from.
        tolerance: the largest residual that counts as solved, in the units of what is required.
        target: the column of a table that holds the targets, where ``data`` is the name of a file.
        normalize: as of :func:`pjc.train`.
        tell: is called with a :class:`Look` about every second.
        options: the fields of :class:`Options`; the solver is rrr with step 0.5 where none is named, and
            ``iterations`` are the most that the search has.

    Raises:
        DiagnosticError: for mistakes in the network, wrong arguments, and requirements that are functions
            which are never met, only low, as ``cross_entropy``.
        DataError: where the data does not fit the network.
    """
    require_known(SearchOptions, options)
    chosen = SearchOptions(**options)
    chosen.require_no_batch()
    asking = Asking(
        int(_checked("restarts", restarts, Number(whole=True, low=1))),
        chosen.longest,
        int(_checked("seed", seed, Number(whole=True, low=0))),
        _checked("tolerance", tolerance, Number(above=0)),
    )
    compilation = Compilation(source_of(network), chosen)
    return searched(compilation, all_rows(data, target, normalize), asking, tell or (lambda look: None))


def all_rows(data: Any, target: str | None = None, normalize: str = "none", missing: str = "refuse") -> Asked:
    """Return what is asked of data that are to be met on every row, with none set aside."""
    aside = 0.0 if isinstance(data, str | Path) else None  # of a source they would be by default
    return Asked(data, aside, aside, target, normalize, missing=missing)


def _checked(name: str, value: Any, kind: Number) -> float:
    try:
        return kind.check(value)
    except (ValueError, TypeError):
        raise mistake(f"{name}: expected {kind.wanted}, found {value!r}") from None


def searched(
    compilation: Compilation,
    asked: Asked,
    asking: Asking,
    tell: Callable[[Look], object],
    stop: Callable[[], bool] = lambda: False,
) -> Solution:
    """Return what a search comes to; ``stop`` says, after each look, whether it is to end."""
    compilation.require_loss()
    small = compilation.program()
    small.require_trainable()
    require_sets(compilation)
    batch_size(small)
    given = given_for(asked, *specs(small))
    if not isinstance(given.train, Dataset):
        raise mistake("a search takes all rows at once, and these come in batches", "give them as (x, y)")
    whole = compilation.for_batch(len(given.train))
    program = whole.program()
    found = _Searching(whole, program, given.train, asking).run(tell, stop)
    settings: dict[str, str | int | float] = {
        "seed": asking.seed,
        "restarts": asking.restarts,
        "solver": str(whole.options.method),
    }
    fit = Fit(program, Result(program.separate(found.params)), 0, None, None, settings, given.notes)
    return Solution(
        found.residual <= asking.tolerance,
        found.residual,
        found.residuals,
        found.restart,
        found.iterations,
        found.seconds,
        found.stopped,
        fit,
    )


def require_sets(compilation: Compilation) -> None:
    """Raise DiagnosticError where a network requires what is never met, only low."""
    functions = emitted.never_met(only(compilation.at("proj"), proj.ProgramOp))
    if functions:
        raise mistake(
            f"{functions[0]} of '{compilation.source.name}' is a function that can be low, and is never met, "
            "so that nothing solves this network",
            "require a set in its place: margin, class_margin, multi_label or equal; or train it",
        )


@dataclass
class _Searching:
    """A search on its way: where each restart stands, and the best of what was seen."""

    compilation: Compilation
    program: Program
    data: Dataset
    asking: Asking
    params: Mapping[str, Any] = field(default_factory=dict)
    residual: float = float("inf")
    residuals: Any = None
    restart: int = 0
    iterations: int = 0
    seconds: float = 0.0
    stopped: str | None = None

    def run(self, tell: Callable[[Look], object], stop: Callable[[], bool]) -> _Searching:
        """Search until it is solved, or ended; return itself."""
        start, place, advance = self._begun()
        count, began = _FIRST, time.monotonic()
        try:
            while self.iterations < self.asking.iterations and self.stopped is None:
                count = min(count, self.asking.iterations - self.iterations)
                before = time.monotonic()
                place, found = advance(place, start, jnp.asarray(count, jnp.int32))
                self._look(found, count)
                self.seconds = time.monotonic() - began
                tell(Look(self.iterations, self.residual, float(jnp.nanmin(found.gap)), self.seconds))
                if self.residual <= self.asking.tolerance:
                    return self
                if stop():
                    self.stopped = INTERRUPTED
                count = _next(count, time.monotonic() - before)
        except KeyboardInterrupt:
            if not self.params:
                raise
            self.stopped = INTERRUPTED
            print("\nstopped; what was best is kept", file=sys.stderr)
        return self

    def _begun(self) -> tuple[Any, Any, Callable[..., Any]]:
        """Return what the restarts start from, where they stand, and what goes on from there."""
        emitter = Emitter(only(self.compilation.at("placed"), proj.ProgramOp))
        names = [spec.name for spec in (*self.program.inputs, *self.program.targets)]
        values = (self.data.x, self.data.y)
        data = {name: jnp.asarray(value) for name, value in zip(names, values, strict=False)}
        keys = jax.random.split(jax.random.key(self.asking.seed), self.asking.restarts)
        with jax.default_matmul_precision(PRODUCTS[self.compilation.options.products]):
            start = jax.vmap(lambda key: self.program.stacked(self.program.init(key)))(keys)
            place = jax.jit(jax.vmap(lambda each: emitted.begin(emitter, each, data)))(start)
            every = jax.vmap(partial(emitted.advance, emitter), (0, 0, None, None))
            run = jax.jit(lambda place, start, count: every(place, start, data, count), donate_argnums=0)
            ready = run.lower(place, start, jnp.asarray(1, jnp.int32)).compile()
        return start, place, ready

    def _look(self, found: emitted.Found, count: int) -> None:
        """Take over what is best of what was found."""
        self.iterations += count
        nothing = np.isnan(found.residual)
        self.stopped = NO_NUMBERS if nothing.all() else None
        self.residuals = np.where(nothing, np.inf, np.asarray(found.residual, np.float32))
        best = int(np.argmin(self.residuals))
        if not self.residuals[best] < self.residual and self.params:
            return
        self.restart, self.residual = best, float(self.residuals[best])
        self.params = {name: each[best] for name, each in found.params.items()}


def _next(count: int, seconds: float) -> int:
    """Return after how many iterations to look again, so that looks are a second or so apart."""
    return (
        min(2 * count, _MOST)
        if seconds < _SECONDS
        else max(count // 2, 1)
        if seconds > 4 * _SECONDS
        else count
    )
