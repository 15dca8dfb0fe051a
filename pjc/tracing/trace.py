"""From a function of ``jax.numpy`` to a network: its jaxpr is read, and becomes a text of the language."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from pjc.builder.emitter import MAX_OPS
from pjc.diagnostics import DiagnosticError, PjcError, code_of, mistake
from pjc.tracing import arithmetic, control, images, indexing, products, shaping  # noqa: F401  they enter their handlers
from pjc.tracing.asks import Loss
from pjc.tracing.refusal import Refused, raised_at
from pjc.tracing.specs import (
    BATCH,
    Input,
    Leaf,
    input_names,
    path_text,
    read_inputs,
    read_parameters,
    sets_by_path,
    shown,
)
from pjc.tracing.text import size_text
from pjc.tracing.values import Tensor, Value, known
from pjc.tracing.walk import Row, Walk, arguments_read


@dataclass(frozen=True)
class Traced:
    """A function as a network.

    Attributes:
        name: the function's.
        text: the network in the language.
        leaves: the leaves of the caller's parameters, in order; ``structure`` is the tree that they are of.
        own: what the text calls each leaf; None for those that it does not have.
        read: whether the function reads each leaf.
        rows: what became of each parameter and equation.
        outputs: what the text calls the outputs; ``output`` is the tree that they are of.
    """

    name: str
    text: str
    leaves: tuple[Leaf, ...]
    structure: Any
    own: tuple[str | None, ...]
    read: tuple[bool, ...]
    rows: tuple[Row, ...]
    outputs: tuple[str, ...]
    output: Any
    first: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_wide(self) -> bool:
        """Whether parameters are of 64 bits."""
        return any(leaf.trained and str(leaf.dtype) == "float64" for leaf in self.leaves)


def traced(
    fn: Callable[..., Any],
    params: Any,
    inputs: Sequence[Any],
    loss: Any = None,
    sets: Mapping[str, Any] | None = None,
    name: str | None = None,
) -> Traced:
    """Return a function as a network.

    A first size that all inputs give as the same number is taken for the batch, which can then be another,
    unless the function cannot be traced so.

    Raises:
        DiagnosticError: for every equation that cannot be compiled, with its line; for wrong arguments.
    """
    if not callable(fn):
        raise mistake(f"trace takes a function, found {type(fn).__name__}")
    if not inputs:
        raise mistake(
            "trace takes the inputs of the function", 'as in pjc.trace(fn, params, pjc.f32["batch", 784])'
        )
    if name is not None and not (isinstance(name, str) and name.isprintable()):
        raise mistake(f"a network's name is a text of one line, found {name!r:.80}")
    called = name or _name(fn)
    names = input_names(fn, len(inputs))
    opened, size = read_inputs(inputs, names, opened=True)
    if size is None:
        return _traced(fn, params, opened, called, loss, sets or {}, None)
    try:
        return _traced(fn, params, opened, called, loss, sets or {}, size)
    except DiagnosticError:
        plain, _ = read_inputs(inputs, names, opened=False)
        return _traced(fn, params, plain, called, loss, sets or {}, None)


def _name(fn: Callable[..., Any]) -> str:
    """Return what a function is called, as a name of the language; a lambda has none."""
    called = getattr(fn, "__name__", "<lambda>")
    found = "".join(c if c.isalnum() and c.isascii() else "_" for c in called).strip("_")
    return "network" if called == "<lambda>" or not found or found[0].isdigit() else found


def _jaxpr(fn: Callable[..., Any], params: Any, inputs: Sequence[Input], name: str) -> tuple[Any, Any]:
    try:
        return jax.make_jaxpr(fn, return_shape=True)(params, *[each.struct for each in inputs])
    except PjcError:
        raise
    except Exception as error:  # the user's own code may raise anything
        told = (str(error).strip().splitlines() or [""])[0][:500]
        raise mistake(
            f"{name} fails while it is traced, at {raised_at(error, fn)}: {type(error).__name__}: {told}",
            _instead(error),
        ) from error


def _instead(error: Exception) -> str | None:
    """Return what to do about what a function raised while it was traced, if that is known."""
    if isinstance(error, jax.errors.TracerBoolConversionError):
        return "jnp.where on a comparison with a number has one; what decides otherwise must be known by then"
    if isinstance(error, jax.errors.TracerArrayConversionError):
        return "compute with jax.numpy in place of numpy"
    if isinstance(error, jax.errors.ConcretizationTypeError | jax.errors.TracerIntegerConversionError):
        return "values are not known while a function is traced: give it what must be known then by a closure"
    if any(word in str(error) for word in (BATCH, "symbolic", "InconclusiveDimension")):
        return "sizes with a name are symbols there; give numbers where the function computes with them"
    return None


def _traced(
    fn: Callable[..., Any],
    params: Any,
    inputs: Sequence[Input],
    name: str,
    loss: Any,
    sets: Mapping[str, Any],
    size: int | None,
) -> Traced:
    leaves, structure = read_parameters(params)
    shapes = jax.tree.unflatten(
        structure,
        [
            jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) if leaf.trained or leaf.value is None else leaf.value
            for leaf in leaves
        ],
    )
    jaxpr, result = _jaxpr(fn, shapes, inputs, name)
    return _Writing(name, leaves, structure, inputs, sets, size).run(jaxpr, result, loss)


@dataclass(frozen=True)
class Target:
    """A target: what the text calls it, and its type and sizes there."""

    name: str
    kind: str
    dims: str

    def __str__(self) -> str:
        return f"target {self.name}: {self.kind}[{self.dims}]"


class _Writing:
    """The text of one function: heads, statements, tails."""

    def __init__(
        self,
        name: str,
        leaves: Sequence[Leaf],
        structure: Any,
        inputs: Sequence[Input],
        sets: Mapping[str, Any],
        size: int | None,
    ) -> None:
        self.name, self.leaves, self.structure, self.inputs, self.size = name, leaves, structure, inputs, size
        self.sets = sets_by_path(sets, leaves)
        self.walk = Walk()
        self.walk.text.taken |= _words(size_text(size) for each in inputs for size in each.struct.shape)
        self.targets: dict[str, Target] = {}
        """The targets, by what the losses call them."""
        self.inputs_by_name: dict[str, Tensor] = {}
        """The inputs, by what the function calls them."""
        self.shapes: dict[str, tuple[Any, ...]] = {}
        """The shapes of the outputs, by name."""

    def run(self, jaxpr: Any, result: Any, loss: Any) -> Traced:
        values = self._inputs()
        parameters = [self._parameter(leaf) for leaf in self.leaves]
        made = self.walk.closed(jaxpr, [*parameters, *values])
        self.walk.refusals.raise_if_any(self.name)
        body = list(self.walk.text.lines)
        if len(body) > MAX_OPS:
            raise mistake(f"{self.name} needs more than {MAX_OPS:,} operations", "is a loop unrolled in it?")
        self.walk.text.lines.clear()
        outputs, tree = self._outputs(made, result)
        self._losses(outputs, loss)
        tails = list(self.walk.text.lines)
        read = _words([*body, *tails])
        # What is in a set is a parameter even if nothing reads it: it is projected when training ends.
        own = tuple(
            each.text if isinstance(each, Tensor) and (each.text in read or leaf.path in self.sets) else None
            for each, leaf in zip(parameters, self.leaves, strict=True)
        )
        lines = [*self._heads(own), "", *body, "", *tails]
        text = f"# From the Python function {self.name}\n\n" + "\n".join(lines) + "\n"
        first = {
            name: np.asarray(leaf.value)
            for name, leaf in zip(own, self.leaves, strict=True)
            if name is not None and leaf.value is not None
        }
        needed = arguments_read(jaxpr.jaxpr)[: len(self.leaves)]
        rows = (*self._leaf_rows(own, needed), *self.walk.rows)
        return Traced(
            self.name,
            text,
            tuple(self.leaves),
            self.structure,
            own,
            needed,
            rows,
            tuple(outputs.values()),
            tree,
            first,
        )

    # Heads

    def _inputs(self) -> list[Value]:
        found: list[Value] = []
        for each in self.inputs:
            own = self.walk.text.name(each.name)
            tensor = Tensor(own, tuple(each.struct.shape), True, each.whole)
            self.inputs_by_name[each.name] = tensor
            found.append(tensor)
        return found

    def _parameter(self, leaf: Leaf) -> Value:
        if not leaf.trained:
            if leaf.value is None:
                raise mistake(
                    f"'{shown(leaf.path)}' is {leaf.dtype} without values",
                    "give arrays of whole numbers as they are",
                )
            return known(leaf.value)
        return Tensor(self.walk.text.name(leaf.path or "weight"), leaf.shape)

    def _heads(self, own: Sequence[str | None]) -> list[str]:
        lines = [f"const batch = {self.size}"] if self.size is not None else []
        for tensor in self.inputs_by_name.values():
            dims = ", ".join(size_text(each) for each in tensor.shape)
            lines.append(f"input {tensor.text}: {'int' if tensor.whole else 'f32'}[{dims}]")
        lines += [str(each) for each in self.targets.values()]
        for held, leaf in zip(own, self.leaves, strict=True):
            if held is not None:
                start = self._start(held, leaf.shape)
                dims = ", ".join(map(str, leaf.shape))
                lines.append(f"param {held}: f32[{dims}] = {start}")
                lines += [f"require {held} in {each}" for each in self.sets.get(leaf.path, ())]
        return lines

    def _start(self, name: str, shape: tuple[int, ...]) -> str:
        """Return how a parameter is drawn, by what the function does with it."""
        if (len(shape) > 1 and name not in self.walk.factors) or name in self.walk.contracted:
            return "he_normal"
        return "ones" if name in self.walk.factors else "zeros"

    def _leaf_rows(self, own: Sequence[str | None], needed: Sequence[bool]) -> list[Row]:
        found = []
        for name, leaf, is_read in zip(own, self.leaves, needed, strict=True):
            kind = f"{leaf.dtype}{list(leaf.shape)}"
            became = (
                f"param {name}" if name else "left as it is" if leaf.trained or not is_read else "a constant"
            )
            found.append(Row(shown(leaf.path) or "params", kind, became))
        return found

    # Tails

    def _outputs(self, made: Sequence[Value], result: Any) -> tuple[dict[str, str], Any]:
        """Return what the text calls each output, by its path in what is returned, and that as a tree."""
        paths, tree = jax.tree_util.tree_flatten_with_path(result)
        if not paths:
            raise mistake(f"{self.name} returns nothing", "it returns an array, or a tree of them")
        names: dict[str, str] = {}
        for (path, _), value in zip(paths, made, strict=True):
            wanted = path_text(path) or "output"
            wanted = f"output_{wanted.strip('[]')}" if not wanted[0].isalpha() else wanted
            try:
                found = self.walk.floats(value)
            except Refused as error:
                raise mistake(
                    f"{self.name}: output '{shown(wanted)}': {error}", error.hint, code_of(error)
                ) from error
            own = self.walk.text.name("logits" if wanted == "output" and len(paths) == 1 else wanted)
            self.walk.text.line(f"output {own} = {found.text}")
            self.shapes[own] = found.shape
            names[own if wanted in names else wanted] = own
        return names, tree

    def _losses(self, outputs: Mapping[str, str], loss: Any) -> None:
        for name, each in _by_output(outputs, loss, self.name):
            self._require(each, outputs[name], self.shapes[outputs[name]])
        for requirement in self.walk.requirements:
            self._require(requirement.asked, requirement.value.text, requirement.value.shape)

    def _require(self, asked: Loss, value: str, shape: tuple[Any, ...]) -> None:
        wanted = asked.target or "y"
        given = self.inputs_by_name.get(wanted)
        if given is not None and asked.target is None:
            raise mistake(
                f"{self.name}: the target of {asked.name} is called y, and so is an input of the function",
                f"pjc.{asked.name}(target='z') has a target of its own, target='y' asks for the input back",
            )
        target = self._target(asked, wanted, shape) if given is None else given.text
        self.walk.text.line(asked.required(value, target))

    def _target(self, asked: Loss, wanted: str, shape: tuple[Any, ...]) -> str:
        """Return the target of a loss, declared now if no other loss has it."""
        if asked.by_class and len(shape) < 2:
            raise mistake(
                f"{self.name}: {asked.name} needs values of [batch, classes], found the shape {list(shape)}"
            )
        kind = "class" if asked.by_class else "f32"
        dims = ", ".join(size_text(each) for each in shape)
        if wanted not in self.targets:
            self.targets[wanted] = Target(self.walk.text.name(wanted), kind, dims)
        found = self.targets[wanted]
        if (found.kind, found.dims) != (kind, dims):
            raise mistake(
                f"{self.name}: two losses have the target '{wanted}', in different shapes",
                "name them, as in pjc.squared_error(target='z')",
            )
        return found.name


def _by_output(paths: Iterable[str], loss: Any, name: str) -> list[tuple[str, Loss]]:
    """Return the losses, each with the output that it is of."""
    if loss is None:
        return []
    outputs = list(paths)
    if isinstance(loss, Loss):
        if len(outputs) > 1:
            raise mistake(
                f"{name} has {len(outputs)} outputs, found one loss",
                f"give loss={{name: ...}} of {_listed(outputs)}",
            )
        return [(outputs[0], loss)]
    if isinstance(loss, Mapping):
        unknown = next((each for each in loss if each not in outputs), None)
        if unknown is not None:
            raise mistake(f"{name} has no output '{shown(str(unknown))}'", f"it has {_listed(outputs)}")
        pairs = [pair for pair in loss.items() if pair[1] is not None]
    elif isinstance(loss, list | tuple):
        if len(loss) > len(outputs):
            raise mistake(f"{name} has {len(outputs)} outputs, found {len(loss)} losses")
        pairs = [pair for pair in zip(outputs, loss, strict=False) if pair[1] is not None]
    else:
        pairs = [(outputs[0], loss)]
    for _, each in pairs:
        if not isinstance(each, Loss):
            raise mistake(f"a loss is expected, found {type(each).__name__}", "as in pjc.cross_entropy()")
    return pairs


def _listed(outputs: Sequence[str]) -> str:
    return ", ".join(map(shown, outputs))


def _words(lines: Iterable[str]) -> set[str]:
    return {word for line in lines for word in re.findall(r"[A-Za-z_]\w*", line)}
