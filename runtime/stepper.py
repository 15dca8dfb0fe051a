"""One step of training on a batch: what the loop knows of how a program is trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from .history import Result
from .trainable import Trainable, check_parameters


class Stepper(Protocol):
    """How a program is trained.

    ``carried`` is what goes from batch to batch: arrays by name. Whatever of it is no parameter, such as an
    optimizer's state, belongs into a result's ``latent`` arrays, so that checkpoints hold it.
    """

    def checked(self, at: Result) -> Result:
        """Return where training stands, in the program's types; raise TrainError if the arrays misfit."""
        ...

    def carried(self, at: Result) -> Mapping[str, Any]:
        """Return what training goes on from."""
        ...

    def step(self, carried: Mapping[str, Any], x: Any, y: Any) -> tuple[Any, Mapping[str, Any]]:
        """Return what is carried after a batch, and what happened; traced by JAX.

        What happened is ``"gap"``, perhaps ``"t"`` and ``"violation"``: see :meth:`Program.update`.
        """
        ...

    def result(self, carried: Mapping[str, Any], at: Result) -> Result:
        """Return ``at`` with the parameters, and the latent arrays, of what is carried."""
        ...


class UpdateStepper:
    """Trains by :meth:`Program.update`: what is carried are the parameters, not yet projected onto sets."""

    def __init__(self, program: Trainable, iterations: int | None = None) -> None:
        self.program = program
        self.iterations = iterations

    def checked(self, at: Result) -> Result:
        check_parameters(self.program, {**at.params, **at.latent})
        return replace(at, params=check_parameters(self.program, at.params))

    def carried(self, at: Result) -> Mapping[str, Any]:
        return self.program.stacked({**at.params, **at.latent})

    def step(self, carried: Mapping[str, Any], x: Any, y: Any) -> tuple[Any, Mapping[str, Any]]:
        batch = (x, y) if self.program.targets else (x,)
        after, info = self.program.update(carried, *batch, iterations=self.iterations, finish=False)
        return after, info

    def result(self, carried: Mapping[str, Any], at: Result) -> Result:
        latent, finished = self.program.separate(carried), self.program.separate(self.program.finish(carried))
        moved = {name: each for name, each in latent.items() if not np.array_equal(each, finished[name])}
        return replace(at, params=dict(finished), latent=moved)
