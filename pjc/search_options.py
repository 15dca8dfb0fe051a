"""How a search for a solution is compiled: the options of the compiler, with the solver of searches."""

from __future__ import annotations

from dataclasses import dataclass

from pjc.diagnostics import mistake
from pjc.fields import Number, option
from pjc.options import Options
from pjc.passes.solvers import RelaxedReflectReflect, Solver, SolverKind, of_kind

SEARCHING = RelaxedReflectReflect(step=0.5)
"""The solver of a search where none is named."""
LONGEST = 20_000
"""How many iterations a search has at most, where nothing is said."""
RESTARTS = 32
TOLERANCE = 1e-3
"""The largest residual of a solution, where nothing is said."""


@dataclass(frozen=True, kw_only=True)
class SearchOptions(Options):
    """How to compile for a search; those of :class:`Options`, with other defaults.

    Raises:
        DiagnosticError: as :class:`Options`, and for a solver that does not iterate.
    """

    solver: str | Solver = option(
        SEARCHING,
        kind=SolverKind(),
        help=lambda: (
            f"how sets are projected onto: {', '.join(of_kind(outer=False))}; also NAME{{number=value}}"
        ),
        group="solver",
        since="net",
        until="feas",
    )
    iterations: int | None = option(
        None,
        kind=Number(whole=True, low=1),
        help="the most iterations that the search has",
        shown=str(LONGEST),
        group="solver",
        since="placed",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.method.outer:
            raise mistake(
                f"{self.method} goes once through the network, and a search iterates until all is met",
                f"name one of {', '.join(of_kind(outer=False))}, or none",
            )
        if self.mesh is not None:
            raise mistake("a search runs its restarts side by side on one device, without a mesh")

    def require_no_batch(self) -> None:
        """Raise DiagnosticError for a size of batches; what a search compiles gets that of its rows."""
        if self.batch is not None:
            raise mistake("a search takes all rows at once, without batches", "leave batch out")

    @property
    def longest(self) -> int:
        """The most iterations that a search has."""
        return self.iterations or LONGEST
