"""One step of training on a batch: what the loop knows of how a program is trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, cast

import jax
import jax.numpy as jnp
import numpy as np

from .history import Result
from .outer_state import OUTER, OuterError, State, require_state
from .trainable import Displacing, Trainable, TrainError, check_parameters

if TYPE_CHECKING:
    from pjc.runtime.layout import DeviceLayout


class Stepper(Protocol):
    """How a program is trained.

    ``carried`` is what goes from batch to batch: arrays by name. Whatever of it is no parameter, such as an
    optimizer's state, belongs into a result's ``latent`` arrays, so that checkpoints hold it.
    """

    measure: ClassVar[str]
    """What of a batch is told of all: the key among what happened, and the column of the history."""
    diverged: ClassVar[str]
    """What to try where that stops being finite."""
    stuck: ClassVar[str]
    """What to try where nothing is learned."""

    def checked(self, at: Result) -> Result:
        """Return where training stands, in the program's types; raise TrainError if the arrays misfit."""
        ...

    def carried(self, at: Result) -> Mapping[str, Any]:
        """Return what training goes on from."""
        ...

    def step(self, carried: Mapping[str, Any], x: Any, y: Any) -> tuple[Any, Mapping[str, Any]]:
        """Return what is carried after a batch, and what happened; traced by JAX.

        What happened has ``measure``, perhaps ``"t"`` and ``"violation"``: see :meth:`Program.update`.
        """
        ...

    def result(self, carried: Mapping[str, Any], at: Result) -> Result:
        """Return ``at`` with the parameters, and the latent arrays, of what is carried.

        :meth:`carried` of that is to be what was carried: within a run it is asked for at the start alone.
        """
        ...

    @property
    def streams(self) -> bool:
        """Whether batches are still on their way after their step, and :meth:`drain` is to end an epoch."""
        ...

    def drain(self, carried: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any]]:
        """Return what is carried, and what happened, once no batch is on its way; traced by JAX."""
        ...

    @property
    def layout(self) -> DeviceLayout | None:
        """How what is carried lies on the devices of a mesh, while it goes from step to step.

        None where each has all of it, as it has of what :meth:`carried` gives and :meth:`result` takes.
        """
        ...


class UpdateStepper:
    """Trains by :meth:`Program.update`: what is carried are the parameters, not yet projected onto sets.

    It has no use for the number of ``batches`` of the whole run.
    """

    measure: ClassVar[str] = "gap"
    diverged: ClassVar[str] = (
        "try --copies held where dots are factored (--explain says which), another --solver, "
        "a smaller --step, or smaller initial parameters"
    )
    stuck: ClassVar[str] = "try more --iterations, another --solver, or other initial parameters"

    def __init__(self, program: Trainable, iterations: int | None = None, batches: int | None = None) -> None:
        self.program = program
        self.iterations = iterations
        self.kept = _kept(program, (type(self), iterations))

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
        params, latent = finished(self.program, carried)
        return replace(at, params=params, latent=latent)

    streams = False
    layout = None

    def drain(self, carried: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any]]:
        raise TypeError("an update leaves no batch on its way")


class SweepStepper:
    """Trains by :meth:`Program.step`, over a run of so many ``batches``, None where that is not known.

    What is carried are the parameters before they are projected onto sets, and what the outer step remembers,
    whose names begin with ``OUTER``.
    """

    measure: ClassVar[str] = "demand"
    diverged: ClassVar[str] = "try a smaller --rate, --clip 1, or smaller initial parameters"
    stuck: ClassVar[str] = "try another --rate, more --epochs, or other initial parameters"

    def __init__(self, program: Trainable, iterations: int | None = None, batches: int | None = None) -> None:
        if iterations is not None:
            raise TrainError(
                f"iterations are of solvers that iterate, found {iterations}; that of this program goes once "
                "through the network on every batch"
            )
        self.program = cast(Displacing, program)
        self.batches = batches
        self.kept = _kept(program, (type(self),))

    def checked(self, at: Result) -> Result:
        latent, remembered = _parted(at.latent)
        check_parameters(self.program, {**at.params, **latent})
        if remembered:
            expected = jax.eval_shape(self._started, dict(at.params))
            try:
                require_state(expected, remembered)
            except OuterError as error:
                raise TrainError(f"training cannot go on from there: {error}") from None
        return replace(at, params=check_parameters(self.program, at.params))

    def carried(self, at: Result) -> Mapping[str, Any]:
        latent, remembered = _parted(at.latent)
        params = self.program.stacked({**at.params, **latent})
        started = remembered or self._started(params)
        return {**params, **started, _BATCHES: jnp.int32(self.batches or 0)}

    def step(self, carried: Mapping[str, Any], x: Any, y: Any) -> tuple[Any, Mapping[str, Any]]:
        batch = (x, y) if self.program.targets else (x,)
        return _carried(self.program.step(_state(carried), *batch))

    def _started(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the outer step remembers before the first one, as one device has it."""
        return dict(self.program.unshard(self.program.start(params)).optimizer)

    @property
    def layout(self) -> DeviceLayout | None:
        return self.program.layout

    @property
    def streams(self) -> bool:
        return self.program.streams

    def drain(self, carried: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any]]:
        return _carried(self.program.drain(_state(carried)))

    def result(self, carried: Mapping[str, Any], at: Result) -> Result:
        held, remembered = _parted(carried)
        remembered.pop(_BATCHES)
        params, latent = finished(self.program, held)
        return replace(at, params=params, latent={**latent, **remembered})


_BATCHES = OUTER + "batches of the run"
"""What the number of batches goes by among what is carried, so that one step is compiled for runs of any."""


def _state(carried: Mapping[str, Any]) -> State:
    params, remembered = _parted(carried)
    batches = remembered.pop(_BATCHES)
    return State(params, remembered, batches)


def _carried(stepped: tuple[State, Mapping[str, Any]]) -> tuple[dict[str, Any], Mapping[str, Any]]:
    after, info = stepped
    return {**after.params, **after.optimizer, _BATCHES: after.steps}, info


def _kept(program: Trainable, way: tuple[Any, ...]) -> dict[Any, Any]:
    """Return where what is compiled to train a program in some way is kept: with the program."""
    found: dict[Any, Any] = getattr(program, "kept", {}).setdefault(way, {})
    return found


def stepper_for(program: Trainable) -> type[UpdateStepper] | type[SweepStepper]:
    """Return how a program is trained if nothing else is asked for."""
    return SweepStepper if program.sweeps else UpdateStepper


def finished(program: Trainable, carried: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return parameters that are in their sets, and as they were carried those that had to be projected."""
    latent, params = program.separate(carried), program.separate(program.finish(carried))
    moved = {name: each for name, each in latent.items() if not np.array_equal(each, params[name])}
    return dict(params), moved


def _parted(arrays: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the parameters among arrays, and what an outer step remembers."""
    remembered = {name: each for name, each in arrays.items() if name.startswith(OUTER)}
    return {name: each for name, each in arrays.items() if name not in remembered}, remembered
