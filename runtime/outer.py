"""The outer step: from what a displacement asks of the parameters to the move that they make, by optax.

A displacement is to projections what a gradient is to derivatives, with the sign of a move: it is handed to a
transformation negated. What a transformation remembers goes from step to step as arrays by name, so that
files, other processes and programs that were saved hold it as they hold parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
from jax import Array

from pjc.diagnostics import mistake
from pjc.fields import nearest
from pjc.runtime.outer_settings import (
    CUSTOM,
    DECAYING,
    DISPLACEMENT,
    KEEP,
    PLAIN,
    START,
    STEP,
    WEIGHTED,
    Outer,
    outer_of,
)
from pjc.runtime.outer_state import OUTER, OuterError, State, flatten_state, restore_state
from pjc.runtime.sampled import TRACE

__all__ = [
    "ADAM_EPS",
    "OUTER",
    "Outer",
    "OuterError",
    "State",
    "flatten_state",
    "multiplier",
    "outer_of",
    "restore_state",
    "step_entries",
    "transformation",
]

ADAM_EPS = 1e-8
"""What Adam adds to the root of its second moment. The benchmarks' Adam has the same: a displacement is a sum
over samples divided by their number, so that a larger one would favour whoever has the larger numbers."""
MOMENTUM = 0.9


class Moments(NamedTuple):
    """What Adam keeps of its moments at a step, the first and the second."""

    first: float = 0.9
    second: float = 0.999


Members = Mapping[str, tuple[str, ...]]
"""The parameters as a program holds them: the names, in the network, of those that are one along a first
axis; a parameter of its own has its own name alone."""


# --- the transformation -------------------------------------------------------------------------------


def transformation(
    outer: Outer, names: Members, steps: Array | int | None = None, moments: Moments | None = None
) -> optax.GradientTransformation:
    """Return what makes moves of negated displacements.

    In the order of what is done: displacements of several batches are averaged; frozen parameters are set
    aside; the norm of the rest is clipped; the step is made; each parameter's rate multiplies it.

    Args:
        outer: the outer step.
        names: the parameters, as the program holds them.
        steps: how many outer steps the whole run has; a traced number, where one program is for any. Where it
            is None or 0 the schedule is constant, and a warmup that is a part of the run is none.
        moments: those of adam and adamw; by default the usual ones.

    Raises:
        OuterError: if a transformation of one's own has yet to be given.
        DiagnosticError: if a pattern matches no parameter.
    """
    frozen = {entry: _frozen(outer, members) for entry, members in names.items()}
    require_matches(outer, [name for members in names.values() for name in members])
    resting = [entry for entry, rests in frozen.items() if rests.all()]
    partly = {
        entry: np.where(rests, 0.0, 1.0) for entry, rests in frozen.items() if rests.any() and not rests.all()
    }
    parts = [_times(partly)] if partly else []
    if outer.clip is not None:
        parts.append(optax.clip_by_global_norm(outer.clip))
    parts.append(_method(outer, names, multiplier(outer, steps), moments or Moments()))
    if outer.name not in (CUSTOM, PLAIN):
        parts.append(_times({entry: _rates(outer, members) for entry, members in names.items()}))
    if partly:
        parts.append(_times(partly))
    whole = optax.chain(*parts)
    if resting:
        kinds = {True: optax.set_to_zero(), False: whole}
        whole = optax.partition(kinds, {entry: entry in resting for entry in names})
    if outer.accumulate > 1:
        kept = optax.MultiSteps(whole, outer.accumulate, accumulator_dtype=jnp.result_type(float))
        whole = kept.gradient_transformation()
    return whole


def _method(
    outer: Outer, names: Members, rate: Callable[[Array], Array], moments: Moments
) -> optax.GradientTransformationExtraArgs | optax.GradientTransformation:
    """Return the step at a rate of 1 times what the schedule has."""
    decay = {"weight_decay": outer.weight_decay} if outer.name in DECAYING else {}
    match outer.name:
        case "adam":
            return optax.adam(rate, *moments, eps=ADAM_EPS)
        case "adamw":
            return optax.adamw(rate, *moments, eps=ADAM_EPS, **decay)
        case "sgd":
            return optax.sgd(rate, momentum=MOMENTUM)
        case "lion":
            return optax.lion(rate, **decay)
        case "muon":
            return optax.contrib.muon(
                rate,
                eps=ADAM_EPS,
                adam_weight_decay=outer.weight_decay,
                muon_weight_dimension_numbers=_matrices(names),
                **decay,
            )
        case "none":
            return optax.scale(-1.0)
    if outer.own is None:
        raise OuterError(
            "the outer step is an optax transformation of your own, which no file holds; pass it again, as "
            "in pjc.load(path, outer=optax.adam(1e-3))"
        )
    return optax.with_extra_args_support(outer.own)


def _matrices(names: Members) -> Callable[[Any], Any]:
    """Return what tells muon which parameters are matrices; of equal layers each has one."""

    def told(params: Mapping[str, Any]) -> dict[str, Any]:
        found = {}
        for entry, value in params.items():
            first = 0 if names[entry] == (entry,) else 1
            matrix = isinstance(value, jax.Array | jax.ShapeDtypeStruct) and value.ndim == 2 + first
            found[entry] = optax.contrib.MuonDimensionNumbers(first, first + 1) if matrix else None
        return found

    return told


def multiplier(outer: Outer, steps: Array | int | None) -> Callable[[Array], Array]:
    """Return what the rates are multiplied by at a step, which is counted from 0.

    They rise from 0 over the ``warmup`` (a part of the run has as many whole steps as fit), then stay, fall
    along a line, or along half a cosine, to 0 at the end of the run.
    """
    total = jnp.asarray(0 if steps is None else steps, jnp.float32)
    warmup = jnp.floor(outer.warmup * total) if outer.warmup < 1 else jnp.float32(outer.warmup)

    def at(count: Array) -> Array:
        now = jnp.asarray(count, jnp.float32)
        part = jnp.clip((now - warmup) / jnp.maximum(total - warmup, 1), 0, 1)
        match outer.schedule:
            case "cosine":
                falling = (1 + jnp.cos(jnp.pi * part)) / 2
            case "linear":
                falling = 1 - part
            case _:
                falling = jnp.ones_like(part)
        known = jnp.where(total > 0, falling, 1)
        return jnp.where(now < warmup, now / jnp.maximum(warmup, 1), known)

    return at


def _times(factors: Mapping[str, np.ndarray]) -> optax.GradientTransformation:
    """Return what multiplies each parameter's move, or those of equal layers each by a number of its own."""

    def scaled(entry: str, move: Array) -> Array:
        factor = factors[entry] if entry in factors else np.ones(())
        return move * factor.reshape(factor.shape + (1,) * (move.ndim - factor.ndim)).astype(move.dtype)

    def update(updates: Any, params: Any) -> Any:
        # A parameter that is set aside is an empty tree here.
        return {
            entry: jax.tree.map(lambda move, entry=entry: scaled(entry, move), each)
            for entry, each in updates.items()
        }

    return optax.stateless(update)


# --- patterns -----------------------------------------------------------------------------------------


def _frozen(outer: Outer, members: tuple[str, ...]) -> np.ndarray:
    return np.array([any(fnmatchcase(name, pattern) for pattern in outer.freeze) for name in members])


def _rates(outer: Outer, members: tuple[str, ...]) -> np.ndarray:
    """Return the rate of a parameter, or those of equal layers where they differ."""
    rates = np.array([_rate(outer, name) for name in members])
    return rates[0] if (rates == rates[0]).all() else rates


def setting_of(outer: Outer, name: str) -> tuple[float, bool]:
    """Return the rate of a parameter, and whether it rests."""
    return _rate(outer, name), bool(_frozen(outer, (name,)).all())


def _rate(outer: Outer, name: str) -> float:
    return [rate for pattern, rate in outer.rate.items() if not pattern or fnmatchcase(name, pattern)][-1]


def require_matches(outer: Outer, names: list[str]) -> None:
    """Raise DiagnosticError for a pattern that matches no parameter, with the nearest names."""
    for option, patterns in (("freeze", outer.freeze), ("rate", [each for each in outer.rate if each])):
        for pattern in patterns:
            if not any(fnmatchcase(name, pattern) for name in names):
                near = nearest(pattern, names)
                listed = names if len(names) <= _LISTED else [*names[:_LISTED], ".."]
                raise mistake(
                    f"{option}: no parameter matches '{pattern}'",
                    f"did you mean '{near}'?" if near else f"parameters are {', '.join(listed)}",
                )


_LISTED = 12


def _waiting(params: Mapping[str, Array], told: Mapping[str, Mapping[str, Array]]) -> dict[str, Array]:
    """Return parameters that are known only once their sizes, and those of their displacements, are.

    They are changed where they lie, and what is told of them is read there: without this XLA copies each of
    them first. A displacement that waited would be rounded otherwise, where XLA joins it to an addition.
    """
    kept = dict(params)
    for measure in ("displacement", "parameter"):
        for name, size in told.get(measure, {}).items():
            # No size is below 0, which XLA does not know. A barrier is gone before it decides what to copy.
            kept[name] = jnp.where(jnp.any(size < 0), 0, kept[name])
    return kept


# --- the entry points ---------------------------------------------------------------------------------


def frozen_in(outer: Outer, names: Members) -> tuple[str, ...]:
    """Return the names of the parameters that the outer step leaves as they are."""
    every = [name for members in names.values() for name in members]
    return tuple(name for name in every if _frozen(outer, (name,)).all())


def outer_steps(outer: Outer, batches: Array) -> Array:
    """Return how many steps are made in a run of so many batches, at least 1; 0 where that is not known."""
    return jnp.where(batches > 0, jnp.maximum(batches // outer.accumulate, 1), 0)


def step_entries(
    outer: Outer, names: Members, functions: Mapping[str, Callable[..., Any]]
) -> dict[str, Callable[..., Any]]:
    """Return the entry points that an outer step adds to those of a program with a displacement.

    ``start(params)`` gives what the outer step remembers before the first one; ``step(params, optimizer,
    steps, data)``, and ``step_weighted`` with the weights of the samples behind, give the parameters, what it
    remembers, and what happened. All take and give flat dicts of arrays; ``steps`` is as in :class:`State`.

    Raises:
        DiagnosticError: if a pattern matches no parameter.
    """

    def start(params: Any) -> dict[str, Array]:
        return flatten_state(transformation(outer, names).init(params))

    def stepping(displacement: Callable[..., Any]) -> Callable[..., Any]:
        def step(params: Any, optimizer: Any, steps: Array, *data: Any) -> Any:
            made = transformation(outer, names, outer_steps(outer, steps))
            asked, info = displacement(params, *data)
            before = restore_state(jax.eval_shape(made.init, params), optimizer)
            params = _waiting(params, info.get(TRACE, {}))
            moves, after = made.update({name: -each for name, each in asked.items()}, before, params)
            moved = optax.apply_updates(params, moves)
            kept = functions[KEEP](moved) if KEEP in functions else moved
            return kept, flatten_state(after), info

        return step

    transformation(outer, names)
    found = {START: start, STEP: stepping(functions[DISPLACEMENT])}
    if DISPLACEMENT + WEIGHTED in functions:
        found[STEP + WEIGHTED] = stepping(functions[DISPLACEMENT + WEIGHTED])
    return found
