"""Arrays on a mesh whose axes are explicit, as ``jax.make_mesh`` makes them.

Along an explicit axis the type of every value says how it is split, and an equation that leaves that open is
an error: a product, say, that sums over the samples. Which equations there are is the compiler's affair, so
entry points leave the splitting of all that lies within to JAX, and give what they return a type again.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import jax
from jax.sharding import AxisType, PartitionSpec, get_abstract_mesh, use_abstract_mesh


def automatic(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return an entry point that may be given arrays on a mesh with explicit axes.

    It is to be jitted. Of a result that is a tree like the argument in its place, as parameters are, each
    array is split as the argument's is; other arrays with the first size of the data along their first axis
    as the data is along its first; what is left is on every device.
    """

    @wraps(function)
    def within(*arguments: Any) -> Any:
        mesh = next((each for each in map(_mesh, jax.tree.leaves(arguments)) if each is not None), None)
        if mesh is None:
            return function(*arguments)
        results = jax.eval_shape(function, *map(_bare, arguments))
        with use_abstract_mesh(mesh):
            specs = _specs(arguments, results)
            return jax.sharding.auto_axes(function, out_sharding=specs)(*arguments)

    return within


def _mesh(value: Any) -> Any:
    """Return the mesh of an array that is split along explicit axes, or of the context; None without any."""
    for mesh in (jax.typeof(value).sharding.mesh, get_abstract_mesh()):
        if any(kind == AxisType.Explicit for kind in mesh.axis_types):
            return mesh
    return None


def _bare(tree: Any) -> Any:
    return jax.tree.map(lambda each: jax.ShapeDtypeStruct(each.shape, each.dtype), tree)


def _spec(value: Any) -> PartitionSpec:
    return PartitionSpec(*jax.typeof(value).sharding.spec)


def _specs(arguments: tuple[Any, ...], results: Any) -> Any:
    """Return how each result is split."""
    behind = arguments[-1] if len(arguments) > 1 else ()
    data = next((each for each in jax.tree.leaves(behind) if each.shape), None)
    several = results if isinstance(results, tuple) else (results,)
    found = []
    for at, result in enumerate(several):
        like = arguments[at] if at < len(arguments) else None
        same = like is not None and _bare(like) == _bare(result)
        found.append(
            jax.tree.map(_spec, like) if same else jax.tree.map(lambda each: _of(each, data), result)
        )
    return tuple(found) if isinstance(results, tuple) else found[0]


def _of(result: Any, data: Any) -> PartitionSpec:
    """Return how a result is split that no argument is like."""
    of_samples = data is not None and result.shape[:1] == data.shape[:1]
    return PartitionSpec(*_spec(data)[:1]) if of_samples else PartitionSpec()
