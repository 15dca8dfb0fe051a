"""What a traced function is given: names, types and sizes of its inputs, and the tree of its parameters."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from pjc.diagnostics import mistake, printable
from pjc.reading import reason

BATCH = "batch"


@dataclass(frozen=True)
class Spec:
    """An input: its type, and its sizes, which are numbers or names."""

    dtype: str
    dims: tuple[int | str, ...]


class Dtype:
    """A type of inputs: ``pjc.f32["batch", 784]`` is an input of its numbers, in those sizes.

    A size is a number from 1 or a name, which stands for a size that is given when the network is compiled:
    ``"batch"`` by the option ``batch``, others by ``defines``. Other sizes raise DiagnosticError.
    """

    def __init__(self, dtype: str) -> None:
        self._dtype = dtype

    def __getitem__(self, dims: Any) -> Spec:
        found = dims if isinstance(dims, tuple) else (dims,)
        for each in found:
            named = isinstance(each, str) and re.fullmatch(r"[A-Za-z_]\w*", each, re.ASCII)
            if isinstance(each, bool) or not (named or (isinstance(each, int) and each > 0)):
                raise mistake(
                    f"a size is a number from 1 or a name, found {each!r}", 'as in f32["batch", 784]'
                )
        return Spec(self._dtype, found)


f32, f64, i32 = Dtype("float32"), Dtype("float64"), Dtype("int32")


@dataclass(frozen=True)
class Input:
    """An input as it is traced: ``shape`` may hold symbolic sizes."""

    name: str
    struct: jax.ShapeDtypeStruct

    @property
    def whole(self) -> bool:
        return bool(jnp.issubdtype(self.struct.dtype, jnp.integer))


def _spec(given: Any, at: int) -> Spec:
    """Return an input that was given as a spec, a shape of JAX's, or an array."""
    if isinstance(given, Spec):
        return given
    if not (hasattr(given, "shape") and hasattr(given, "dtype")):
        raise mistake(
            f"input {at} is {type(given).__name__}",
            'inputs are given as pjc.f32["batch", 784], jax.ShapeDtypeStruct, or an array like them',
        )
    kind = given.dtype
    if not (jnp.issubdtype(kind, jnp.floating) or jnp.issubdtype(kind, jnp.integer)):
        raise mistake(f"input {at} holds {kind}", "inputs hold numbers")
    dims = tuple(each if isinstance(each, int) else str(each) for each in map(_dim, given.shape))
    return Spec("int32" if jnp.issubdtype(kind, jnp.integer) else str(kind), dims)


def _dim(size: Any) -> Any:
    return int(size) if isinstance(size, int | np.integer) else size


def read_inputs(
    given: Sequence[Any], names: Sequence[str], *, opened: bool
) -> tuple[list[Input], int | None]:
    """Return the inputs, and the batch's size where the specs give it a number but it may be another.

    With ``opened``, a first size that is the same number for all inputs is taken for the batch.

    Raises:
        DiagnosticError: for what is neither a spec nor has a shape and a type of numbers, for sizes that no
            name can be, and where the batch is not the first size.
    """
    specs = [_spec(each, at) for at, each in enumerate(given, 1)]
    firsts = {each.dims[0] if each.dims else None for each in specs}
    first = next(iter(firsts)) if len(firsts) == 1 else None
    size = first if opened and isinstance(first, int) else None
    if BATCH not in firsts and any(BATCH in each.dims for each in specs):
        raise mistake(f"the first size of an input is that of the batch, found '{BATCH}' behind another")
    scope = export.SymbolicScope()
    found = []
    for name, spec in zip(names, specs, strict=True):
        dims = (BATCH, *spec.dims[1:]) if size is not None else spec.dims
        shape = _symbolic(name, ", ".join(map(str, dims)), scope) if dims else ()
        found.append(Input(name, jax.ShapeDtypeStruct(shape, _held(spec.dtype))))
    return found, size


def _symbolic(name: str, text: str, scope: export.SymbolicScope) -> tuple[Any, ...]:
    try:
        return tuple(export.symbolic_shape(text, scope=scope))
    except Exception as error:  # JAX has functions of sizes, whose names no size can have
        raise mistake(
            f"input '{name}' has the sizes [{text}], which JAX cannot read", "choose other names for them"
        ) from error


def _held(dtype: str) -> str:
    """Return the type that inputs of a type are held in: of fractions none is shorter than float32."""
    kind = jnp.dtype(dtype)
    return "float32" if jnp.issubdtype(kind, jnp.floating) and kind.itemsize < 4 else dtype


def input_names(fn: Callable[..., Any], count: int) -> list[str]:
    """Return what a function calls its inputs, behind the parameters."""
    try:
        parameters = list(inspect.signature(fn).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    plain = [
        each.name for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)
    ]
    names = plain[1 : 1 + count]
    usual = ["x"] if count == 1 else [f"x{at}" for at in range(1, count + 1)]
    return [*names, *usual[len(names) :]]


@dataclass(frozen=True)
class Leaf:
    """A leaf of the parameters: its path, and whether it is a parameter: numbers with fractions."""

    path: str
    shape: tuple[int, ...]
    dtype: Any
    value: Any
    trained: bool


def read_parameters(params: Any) -> tuple[list[Leaf], Any]:
    """Return the leaves of the caller's tree, and its structure.

    Raises:
        DiagnosticError: for a leaf that is neither an array of real numbers, Booleans or keys, nor a shape,
            nor a number, or whose values are not there; for a tree that JAX cannot take apart.
    """
    try:
        paths, structure = jax.tree_util.tree_flatten_with_path(params)
    except Exception as error:  # nodes are of the user's own classes
        raise mistake(f"the parameters are no tree: {type(error).__name__}: {reason(error)}") from error
    return [_leaf(path_text(path), value) for path, value in paths], structure


def _leaf(path: str, given: Any) -> Leaf:
    value, where = given, shown(path) or "the top"
    if not (hasattr(given, "shape") and hasattr(given, "dtype")):
        if isinstance(given, bool) or not isinstance(given, int | float):
            raise mistake(
                f"the parameters hold {type(given).__name__} at {where}",
                "they are a tree of arrays; Equinox models are split by eqx.partition(model, "
                "eqx.is_array), Flax ones by nnx.split(model)",
            )
        if isinstance(given, int) and not -(2**31) <= given < 2**31:
            raise mistake(f"the parameters hold a whole number at {where} that int32 does not")
        value = np.asarray(given, np.float32 if isinstance(given, float) else np.int32)
    if not _is_taken(value.dtype):
        raise mistake(
            f"the parameters hold {value.dtype} at {where}", "they are real numbers, Booleans or keys"
        )
    if isinstance(value, jax.core.Tracer):
        raise mistake(
            f"the parameter at {where} has no values: JAX traces it",
            "call pjc.trace outside of jit, vmap and grad, and the program inside",
        )
    if isinstance(value, jax.Array) and value.is_deleted():
        raise mistake(f"the parameter at {where} has no values: it was deleted, or donated to a function")
    trained = bool(jnp.issubdtype(value.dtype, jnp.floating))
    known = None if isinstance(value, jax.ShapeDtypeStruct) else value
    kind = jax.dtypes.canonicalize_dtype(value.dtype) if trained else value.dtype
    if isinstance(known, np.ndarray):
        known = known.astype(kind)  # as JAX takes it: in its mode of 32 bits float64 is float32
    return Leaf(path, tuple(value.shape), kind, known, trained)


def _is_taken(kind: Any) -> bool:
    """Whether arrays of a type may stand among the parameters."""
    kinds = (jnp.floating, jnp.integer, jnp.bool_, jax.dtypes.prng_key)
    return any(jnp.issubdtype(kind, each) for each in kinds)


def shown(path: str) -> str:
    """Return a path as messages and tables show it: in one line."""
    return printable(path).replace("\n", "\\n").replace("\t", "\\t")


def path_text(path: Sequence[Any]) -> str:
    """Return a path as it is written: ``layers[0].weight``."""
    text = ""
    for key in path:
        if isinstance(key, jax.tree_util.SequenceKey | jax.tree_util.FlattenedIndexKey):
            at = key.idx if isinstance(key, jax.tree_util.SequenceKey) else key.key
            text += f"[{at}]"
        else:
            name = key.name if isinstance(key, jax.tree_util.GetAttrKey) else getattr(key, "key", key)
            text += f"[{name}]" if isinstance(name, int) else f".{name}"
    return text.removeprefix(".").removesuffix(".value")


def sets_by_path(sets: Mapping[str, Any], leaves: Sequence[Leaf]) -> dict[str, list[Any]]:
    """Return the sets of each parameter, by its path; ``*`` in a path stands for anything.

    Raises:
        DiagnosticError: for a path that no parameter has, or what is no set, or no dict of them.
    """
    from pjc.tracing.asks import Set

    wrong: list[Any] = (
        [each for each in sets if not isinstance(each, str)] if isinstance(sets, Mapping) else [sets]
    )
    if wrong:
        raise mistake(
            f"sets are given by the paths of parameters, found {type(wrong[0]).__name__}",
            'as in sets={"layers[0].weight": pjc.nonneg()}',
        )
    found: dict[str, list[Any]] = {}
    paths = [leaf.path for leaf in leaves if leaf.trained]
    for pattern, asked in sets.items():
        several = asked if isinstance(asked, list | tuple) else [asked]
        for each in several:
            if not isinstance(each, Set):
                raise mistake(
                    f"sets: '{shown(pattern)}' has {type(each).__name__}", "as in pjc.levels(-1, 0, 1)"
                )
        regex = ".*".join(map(re.escape, pattern.split("*")))
        matching = [path for path in paths if re.fullmatch(regex, path)]
        if not matching:
            raise mistake(f"no parameter has the path '{shown(pattern)}'", f"there are {_listed(paths)}")
        for path in matching:
            found.setdefault(path, []).extend(several)
    return found


def _listed(paths: Sequence[str]) -> str:
    """Return paths as a message lists them; that of parameters that are one array is empty."""
    told = ", ".join(shown(path) or "'', the one array that all parameters are" for path in paths[:20])
    return told + (f" and {len(paths) - 20} more" if len(paths) > 20 else "") if paths else "none"
