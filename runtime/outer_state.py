"""What an outer step remembers, as arrays by name: so it goes from step to step, into files and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
from jax import Array

from pjc.diagnostics import PjcError

OUTER = "outer/"
"""What the names of a transformation's arrays begin with; no parameter's own name has a slash."""


class OuterError(PjcError, ValueError):
    """An outer step that cannot be made, or a state that is none of it; the text says why and what to do."""


class State(NamedTuple):
    """Where training by displacements stands: a pytree of arrays.

    ``params`` are the parameters before they are projected onto sets, those of equal layers stacked;
    ``optimizer`` is what the outer step remembers, by name; ``steps`` is how many batches the whole run has,
    for the schedule of the rate, 0 if that is not known.
    """

    params: dict[str, Array]
    optimizer: dict[str, Array]
    steps: Array


def flatten_state(state: Any) -> dict[str, Array]:
    """Return the arrays of a transformation's state by their paths in it, behind ``OUTER``."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(state)
    return {OUTER + jax.tree_util.keystr(path): leaf for path, leaf in leaves}


def restore_state(like: Any, arrays: Mapping[str, Any]) -> Any:
    """Return the state that :func:`flatten_state` made ``arrays`` of.

    Args:
        like: a state of the same transformation, or the shapes of one.
        arrays: the arrays by name.

    Raises:
        OuterError: if they are not those of such a state; it says which are missing, too many, or of another
            shape.
    """
    require_state(flatten_state(like), arrays)
    return jax.tree.unflatten(jax.tree.structure(like), [arrays[name] for name in flatten_state(like)])


def rows_in(whole: Mapping[str, Any], arrays: Mapping[str, Any]) -> int | None:
    """Return of how many devices along ``stack`` arrays have rows, where they would have the shapes of whole.

    None where none has the rows of devices: :class:`pjc.runtime.layout.DeviceLayout` says which may.
    """
    for name in whole.keys() & arrays.keys():
        sizes = tuple(getattr(arrays[name], "shape", ()))
        if len(sizes) > len(whole[name].shape) and sizes[1:] == tuple(whole[name].shape):
            return int(sizes[0])
    return None


def require_state(expected: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
    """Raise OuterError unless arrays have the names, shapes and types of those expected."""
    wrong = [f"{name} is missing" for name in expected if name not in arrays]
    wrong += [f"{name} is none of them" for name in arrays if name not in expected]
    for name in expected.keys() & arrays.keys():
        (ours, theirs) = (f"{each.dtype}{list(each.shape)}" for each in (expected[name], arrays[name]))
        wrong += [f"{name} is {theirs}, expected {ours}"] if ours != theirs else []
    if wrong:
        more = f", and {len(wrong) - 3} more like that" if len(wrong) > 3 else ""
        raise OuterError(
            f"the outer step's arrays are of another one: {'; '.join(sorted(wrong)[:3])}{more}; go on with "
            "the options of the outer step that made them, or start its state anew from the parameters alone"
        )
