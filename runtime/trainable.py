"""What training and evaluation need of a compiled program, and what they ask of it first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from pjc.diagnostics import PjcError

from .data.fitting import Spec
from .finite import not_finite
from .outer_state import State

if TYPE_CHECKING:
    from pjc.runtime.layout import DeviceLayout


class TrainError(PjcError):
    """Training that cannot start or go on; its text says why and what to do."""


class Trainable(Protocol):
    """A compiled program (see pjc.runtime.program)."""

    @property
    def inputs(self) -> Sequence[Spec]: ...
    @property
    def targets(self) -> Sequence[Spec]: ...
    @property
    def outputs(self) -> Sequence[Spec]: ...
    @property
    def batch(self) -> int | None: ...
    @property
    def sweeps(self) -> bool: ...
    @property
    def frozen(self) -> Sequence[str]: ...
    @property
    def method(self) -> str: ...

    def init(self, key: Any) -> Mapping[str, Any]: ...
    def apply(self, params: Any, *inputs: Any) -> Any: ...
    def update(self, params: Any, *data: Any, iterations: int | None = None, finish: bool = True) -> Any: ...
    def finish(self, params: Any) -> Mapping[str, Any]: ...
    def stacked(self, params: Any) -> Mapping[str, Any]: ...
    def separate(self, params: Any) -> Mapping[str, Any]: ...
    def telling(self) -> Trainable: ...


class Displacing(Trainable, Protocol):
    """A compiled program whose solver goes once through the network; its ``sweeps`` is True."""

    def start(self, key: Any, steps: int | None = None) -> State: ...
    def step(self, state: State, *data: Any) -> tuple[State, Mapping[str, Any]]: ...
    def drain(self, state: State) -> tuple[State, Mapping[str, Any]]: ...
    def unshard(self, state: State) -> State: ...
    @property
    def layout(self) -> DeviceLayout | None: ...
    @property
    def streams(self) -> bool: ...


def specs(program: Trainable) -> tuple[Spec, Spec]:
    """Return the one input and the one target of the program; without a target the input is that too.

    Raises:
        TrainError: if there are more, or no input.
    """
    if len(program.inputs) != 1 or len(program.targets) > 1:
        raise TrainError(
            f"training takes networks with one input and at most one target, and this one has "
            f"{len(program.inputs)} and {len(program.targets)}; call Program.update, or step, from Python"
        )
    return program.inputs[0], (*program.targets, program.inputs[0])[0]


def batch_size(program: Trainable) -> int:
    """Return the number of samples in a batch.

    Raises:
        TrainError: if the network takes none.
    """
    if program.batch is None:
        raise TrainError(
            "the network has no dimension called 'batch', so it cannot be fed with samples; "
            "declare its input as in x: f32[batch, 64], or export a model with an open first dimension"
        )
    return program.batch


def check_parameters(program: Trainable, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``params`` in the program's types.

    Raises:
        TrainError: unless names and shapes agree, and all numbers are finite.
    """
    return fitting(jax.eval_shape(program.init, jax.random.key(0)), params)


def fitting(expected: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``params`` in the types of those ``expected``, which have shapes; see :func:`check_parameters`.

    Raises:
        TrainError: unless names and shapes agree, and all numbers are finite.
    """
    for name in sorted(expected.keys() | params.keys()):
        found = f"of shape {list(np.shape(params[name]))}" if name in params else "missing"
        wanted = f"of shape {list(expected[name].shape)}" if name in expected else "no parameter"
        if found != wanted:
            raise TrainError(
                f"the parameters are of another network: {name!r} is {found}, in this network it is "
                f"{wanted}; give parameters that were trained with this network"
            )
    typed = {name: _typed(params[name], expected[name].dtype) for name in expected}
    for name in not_finite(typed):
        raise TrainError(
            f"parameter {name!r} has numbers that are not finite, so nothing can go on from it; start from "
            "parameters of a run that did not diverge"
        )
    return {name: jnp.asarray(value) for name, value in typed.items()}


def _typed(value: Any, dtype: Any) -> Any:
    """Return an array of a type; of NumPy where it is not on a device: to look at those compiles nothing."""
    if isinstance(value, jax.Array):
        return value.astype(dtype)
    with np.errstate(over="ignore"):  # what is infinite then is told of
        return np.asarray(value).astype(dtype, copy=False)
