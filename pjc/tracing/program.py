"""The compiled solver of a traced function: parameters are the caller's own tree, going in and coming out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from pjc.runtime.outer_state import State
from pjc.runtime.program import Program, ProgramError
from pjc.tracing.specs import Leaf, shown
from pjc.tracing.trace import Traced

Tree = Any


class TracedProgram:
    """A traced function, compiled. Its methods are those of :class:`pjc.Program`, on the caller's own trees.

    What else a program has (``inputs``, ``batch``, ``ir``, ``stablehlo``, ``memory`` and so on) it has too.

    Attributes:
        program: the compiled solver, whose parameters are a dict by the names that the text gives them.
        traced: the function as a network.
        source: the network as :func:`pjc.compile` and the command line take it.
    """

    def __init__(self, program: Program, traced: Traced, source: Any) -> None:
        self.program = program
        self.traced = traced
        self.source = source
        self._stack: Callable[..., Any] = jax.jit(program.stacked)
        self._separate: Callable[..., Any] = jax.jit(program.separate)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "program":
            raise AttributeError(name)
        return getattr(self.program, name)

    def __reduce__(self) -> tuple[Any, ...]:
        """Say how to make the program again, for pickle; the function itself is not kept.

        Raises:
            ProgramError: if the program cannot be pickled; see :meth:`pjc.Program.__reduce__`.
        """
        kept = {field.name: getattr(self.traced, field.name) for field in fields(self.traced)}
        # A structure is pickled by a tree that has it: those of a module's class are then that class's own.
        kept["structure"] = jax.tree.unflatten(self.traced.structure, range(len(self.traced.leaves)))
        kept["output"] = jax.tree.unflatten(self.traced.output, range(len(self.traced.outputs)))
        return _restored, (self.program, kept, self.source)

    def __copy__(self) -> TracedProgram:
        return self

    def __deepcopy__(self, memo: Any) -> TracedProgram:
        return self

    def _repr_html_(self) -> str | None:
        return self.program._repr_html_()

    def __repr__(self) -> str:
        return repr(self.program).replace("<pjc.Program", "<pjc.TracedProgram", 1)

    def __str__(self) -> str:
        return str(self.program).replace("<pjc.Program", "<pjc.TracedProgram", 1)

    # Trees

    @cached_property
    def params(self) -> Tree:
        """The parameters that training starts from: those given, the others drawn with the seed 0."""
        return self.init(0)

    def names(self) -> Tree:
        """Return what the text calls each parameter, as a tree; None for those that nothing reads."""
        return jax.tree.unflatten(self.traced.structure, list(self.traced.own))

    def _leaves(self, tree: Tree) -> list[Any]:
        """Return the leaves of a tree of parameters.

        Raises:
            ProgramError: if it is no such tree.
        """
        found, structure = jax.tree.flatten(tree)
        if structure != self.traced.structure:
            raise ProgramError(
                f"the parameters of '{self.program.name}' are a tree {_short(self.traced.structure)}, found "
                f"{_short(structure)}"
            )
        for leaf, is_read, value in zip(self.traced.leaves, self.traced.read, found, strict=True):
            if leaf.trained or is_read:  # others may change, as counts of what was drawn do
                _check(leaf, value)
        return found

    def _named(self, leaves: list[Any]) -> dict[str, Any]:
        """Return the parameters by the names of the text, in its type, those of equal layers stacked."""
        specs = self.program.parameters
        kind = np.dtype(specs[0].dtype if specs else "float32")
        found = {
            name: leaf if getattr(leaf, "dtype", None) == kind else jnp.asarray(leaf, kind)
            for name, leaf in zip(self.traced.own, leaves, strict=True)
            if name is not None
        }
        return self._stack(found) if self.program.signature.families else found

    def _tree(self, named: Mapping[str, Any], rest: list[Any]) -> Tree:
        """Return named parameters as a tree, each in the type of its leaf in ``rest``.

        Leaves that the text does not have are those of ``rest``.
        """
        if self.program.signature.families:
            named = self._separate(dict(named))
        leaves = [
            other if name is None else _typed(named[name], other, leaf)
            for name, other, leaf in zip(self.traced.own, rest, self.traced.leaves, strict=True)
        ]
        return jax.tree.unflatten(self.traced.structure, leaves)

    def _given(self) -> list[Any]:
        """Return the leaves that the network was traced with; zeros where only a shape was given."""
        return [
            jnp.zeros(leaf.shape, leaf.dtype) if leaf.value is None else leaf.value
            for leaf in self.traced.leaves
        ]

    # Methods of a program

    def init(self, key: Array | int) -> Tree:
        """Return the parameters that training starts from: those given, the others drawn with a key or seed.

        Raises:
            ProgramError: if it is neither.
        """
        drawn = self.program.init(key)
        return self._tree(drawn, self._given())

    def apply(self, params: Tree, *inputs: Array) -> Any:
        """Return what the function returns, from the compiled network: the same tree of arrays.

        Args:
            params: a tree like ``self.params``.
            inputs: in the order of the function's arguments. Their leading size may differ from the compiled
                batch; the program is then specialized to it, once for each size.

        Raises:
            ProgramError: if parameters or inputs do not fit.
        """
        named = self.program.separate(self._named(self._leaves(params)))
        found = self.program.apply(named, *inputs)
        outputs = self.traced.outputs
        values = [found] if len(outputs) == 1 else [found[name] for name in outputs]
        return jax.tree.unflatten(self.traced.output, values)

    def displacement(
        self, params: Tree, *data: Array, sample_weight: Array | None = None
    ) -> tuple[Tree, dict[str, Any]]:
        """Return what a batch asks of the parameters, as a tree like them, and what happened.

        It takes the place of a gradient with the sign of a move:
        ``optax.apply_updates(params, displacement)`` follows it. Leaves that are no parameters stay as they
        are, and what nothing reads is asked for 0.

        Args:
            params: a tree like ``self.params``.
            data: the inputs, then the targets, in the order of ``self.targets``; of the compiled batch.
            sample_weight: how much each sample counts, in the shape ``[batch]``; numbers from 0.

        Raises:
            ProgramError: if the solver iterates, the network requires nothing, or arguments do not fit.
        """
        leaves = self._leaves(params)
        found, info = self.program.displacement(self._named(leaves), *data, sample_weight=sample_weight)
        rest = [
            jnp.zeros_like(each) if leaf.trained else each
            for leaf, each in zip(self.traced.leaves, leaves, strict=True)
        ]
        return self._tree(found, rest), info

    def start(self, key: Array | int | Tree, steps: int | None = None) -> State:
        """Return where training by :meth:`step` starts: from a key, a seed, or parameters.

        ``state.params`` is the caller's own tree; :meth:`finish` gives the parameters to use where they are
        in sets. As :meth:`pjc.Program.start`.

        Args:
            key: a key, a seed, or a tree like ``self.params``.
            steps: how many steps the run has, for the schedule; without, the rate is constant.

        Raises:
            ProgramError: if the solver iterates, or parameters do not fit.
        """
        params = self.init(key) if _is_key(key) else key
        leaves = self._leaves(params)
        state = self.program.start(self._named(leaves), steps)
        return State(self._tree(state.params, leaves), state.optimizer, state.steps)

    def step(
        self, state: State, *data: Array, sample_weight: Array | None = None
    ) -> tuple[State, dict[str, Any]]:
        """Return the state after an outer step on a batch, and what :meth:`displacement` tells.

        As :meth:`pjc.Program.step`; it may be jitted, mapped over seeds, and scanned over batches. Arguments
        are those of :meth:`displacement`, but for the state.

        Raises:
            ProgramError: if it is no state, and as :meth:`displacement`.
        """
        if not isinstance(state, State):
            raise ProgramError(f"step takes a state, as start gives it, found {type(state).__name__}")
        leaves = self._leaves(state.params)
        after, info = self.program.step(
            State(self._named(leaves), state.optimizer, state.steps), *data, sample_weight=sample_weight
        )
        return State(self._tree(after.params, leaves), after.optimizer, after.steps), info

    def update(
        self, params: Tree, *data: Array, iterations: Array | int | None = None, finish: bool = True
    ) -> tuple[Tree, dict[str, Any]]:
        """Return the parameters after an update on a batch, and what happened; for solvers that iterate.

        As :meth:`pjc.Program.update`, arguments too.

        Raises:
            ProgramError: if the solver does not iterate, nothing is required, or arguments do not fit.
        """
        leaves = self._leaves(params)
        found, info = self.program.update(self._named(leaves), *data, iterations=iterations, finish=finish)
        return self._tree(found, leaves), info

    def gap(self, params: Tree, *data: Array, iterations: Array | int = 1) -> dict[str, Any]:
        """Return how far the parts are from agreeing; as :meth:`pjc.Program.gap`."""
        return self.program.gap(self._named(self._leaves(params)), *data, iterations=iterations)

    def finish(self, params: Tree) -> Tree:
        """Return the parameters projected onto the sets that they are required to be in.

        Raises:
            ProgramError: if they are no tree like ``self.params``.
        """
        leaves = self._leaves(params)
        return self._tree(self.program.finish(self._named(leaves)), leaves)

    def to_onnx(self, params: Tree, path: str | Path, opset: int | None = None) -> tuple[str, ...]:
        """Write the network with these parameters as an ONNX model; as :meth:`pjc.Program.to_onnx`."""
        return self.program.to_onnx(self.program.separate(self._named(self._leaves(params))), path, opset)

    def named(self, params: Tree) -> dict[str, Any]:
        """Return the parameters by the names of the text: what files hold, and :func:`pjc.load` takes."""
        return self.program.separate(self._named(self._leaves(params)))

    def tree(self, named: Mapping[str, Any]) -> Tree:
        """Return parameters by the names of the text as the caller's tree: the inverse of :meth:`named`."""
        return self._tree(self.program.stacked(dict(named)), self._given())

    # What it became

    def to_pjn(self) -> str:
        """Return the network in pjc's language."""
        return self.traced.text

    def report(self) -> None:
        """Print what became of each parameter and each equation."""
        print(table(self.traced))


def _restored(program: Program, kept: dict[str, Any], source: Any) -> TracedProgram:
    """Return the program that :meth:`TracedProgram.__reduce__` took apart."""
    structures = {name: jax.tree.structure(kept[name]) for name in ("structure", "output")}
    return TracedProgram(program, Traced(**{**kept, **structures}), source)


def table(traced: Traced) -> str:
    """Return a table of what became of each parameter and equation: its place, what it is, the text."""
    rows = [("where", "what", "became"), *((row.place, row.what, row.became) for row in traced.rows)]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    return "\n".join(f"{a:{widths[0]}}  {b:{widths[1]}}  {c}".rstrip() for a, b, c in rows)


def _check(leaf: Leaf, value: Any) -> None:
    """Raise ProgramError unless a value can stand for a leaf of the parameters."""
    if leaf.trained:
        if tuple(np.shape(value)) != leaf.shape:
            raise ProgramError(
                f"parameter '{shown(leaf.path)}' has shape {np.shape(value)}, expected {leaf.shape}"
            )
        kind = value.dtype if hasattr(value, "dtype") else np.asarray(value).dtype
        if not any(jnp.issubdtype(kind, each) for each in (jnp.floating, jnp.integer, jnp.bool_)):
            raise ProgramError(f"parameter '{shown(leaf.path)}' holds {kind}, expected real numbers")
    elif not _is_constant(leaf.value, value):
        raise ProgramError(
            f"'{shown(leaf.path)}' is a constant of the network, and other than when it was traced; trace "
            "the function again, or give numbers with fractions, which are parameters"
        )


def _is_constant(known: Any, value: Any) -> bool:
    """Whether a value is one that the network was traced with; those that JAX traces cannot be looked at."""
    if value is known or isinstance(value, jax.core.Tracer | jax.ShapeDtypeStruct):
        return True
    if np.shape(value) != np.shape(known):
        return False
    if jnp.issubdtype(getattr(known, "dtype", np.int32), jax.dtypes.prng_key):
        return getattr(value, "dtype", None) == known.dtype and _is_constant(
            jax.random.key_data(known), jax.random.key_data(value)
        )
    return bool(np.array_equal(np.asarray(known), np.asarray(value)))


def _typed(value: Array, like: Any, leaf: Leaf) -> Array:
    """Return an array in the type of another, or of a leaf where the other has none with fractions."""
    kind = getattr(like, "dtype", leaf.dtype)
    kind = jax.dtypes.canonicalize_dtype(kind if jnp.issubdtype(kind, jnp.floating) else leaf.dtype)
    return value if value.dtype == kind else value.astype(kind)


def _is_key(given: Any) -> bool:
    """Whether it is a seed, a JAX key, or the numbers of one."""
    if isinstance(given, int | np.integer) and not isinstance(given, bool):
        return True
    kind = getattr(given, "dtype", None)
    if kind is None:
        return False
    return bool(jnp.issubdtype(kind, jax.dtypes.prng_key)) or (kind == np.uint32 and given.shape == (2,))


def _short(structure: Any) -> str:
    text = str(structure).removeprefix("PyTreeDef(").removesuffix(")")
    return text if len(text) < 300 else text[:300] + "..."
