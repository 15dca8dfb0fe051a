"""The compiled solver, as an engineer embeds it: init, apply, update and gap, or displacement and step."""

from __future__ import annotations

import math
import os
import tempfile
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from pjc.diagnostics import PjcError
from pjc.runtime.explicit import automatic
from pjc.runtime.finite import not_finite
from pjc.runtime.outer_settings import DISPLACEMENT, DRAIN, KEEP, START, STEP, WEIGHTED
from pjc.runtime.outer_state import State, require_state, rows_in
from pjc.runtime.units import Units, giving, require_units, taking, told

if TYPE_CHECKING:
    from pjc.runtime.layout import DeviceLayout

Tensors = Mapping[str, Array]
"""Arrays by name: parameters, or the data of a batch."""

Functions = Mapping[str, Callable[..., Any]]
"""The entry points by name. ``init(key)``, ``apply(params, data)``, ``update(params, data, iterations)``,
``finish(params)``, ``gap(params, data, iterations)``, with data a dict by input and target name, and
parameters as :meth:`Program.stacked` gives them. Of a solver that goes once through the network, in place of
update and gap: ``displacement(params, data)``, ``displacement_weighted(params, data, weights)``, perhaps
``keep(params)``, and what :func:`pjc.runtime.outer.step_entries` adds to them."""


Exporter = Callable[[Tensors, Mapping[str, Units], Path, int | None], tuple[str, ...]]
"""Writes a model of the network with these parameters, and with outputs in these units, to a file."""


@dataclass(frozen=True)
class Services:
    """What the package does for a program, which knows nothing of what stands above it.

    Attributes:
        for_batch: returns the program for another size of the batch.
        hold: returns the program in which the factored dots of these labels are held; None where how copies
            are represented was asked for, and is not for the compiler to choose.
        tell: returns the program whose training tells of every node, as a trace records it.
        nodes: of such a program the operator and the part of each node, by its label.
        saver: writes the program to a file.
        exporter: writes a model of the network to a file.
        restore: returns the program of what ``saver`` wrote; a function that pickle finds by its name.
        unpicklable: why the program cannot be made again from a file, where that is so.
        page: returns what a notebook shows of the program, as HTML.
        layout: how the states of its training lie on the devices of a mesh, where each has some of it.
    """

    for_batch: Callable[[int], Program] | None = None
    hold: Callable[[tuple[str, ...]], Program | None] | None = None
    tell: Callable[[], Program] | None = None
    nodes: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    saver: Callable[[Program, Path], None] | None = None
    exporter: Exporter | None = None
    restore: Callable[[bytes], Program] | None = None
    unpicklable: str | None = None
    page: Callable[[Program], str] | None = None
    layout: DeviceLayout | None = None


_DATA = {"update": 1, "gap": 1, DISPLACEMENT: 1, STEP: 3}
"""The entry points that train, and which of their arguments is the data."""


class ProgramError(PjcError, ValueError):
    """Arguments that do not fit a compiled program; the message says what was expected."""


@dataclass(frozen=True)
class TensorSpec:
    """A named tensor of a program: its shape and dtype; ``classes`` if it holds class or row numbers.

    Those run from 0 to ``classes`` - 1; the rows of a table are counted as classes are. ``threshold`` is that
    of a target of several labels: what the outputs for its ones should exceed. ``output`` is the output that
    a target's numbers are those of, where both may be given in other units; ``units`` are those they are in.
    ``channels`` is the axis of an input that counts channels, where convolutions or pools read it.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    classes: int | None = None
    threshold: float | None = None
    output: str | None = None
    units: Units | None = None
    channels: int | None = None

    def __str__(self) -> str:
        counted = "" if self.classes is None else f" below {self.classes}"
        return f"{self.name} {self.dtype}{list(self.shape)}{counted}"

    def abstract(self) -> jax.ShapeDtypeStruct:
        """Return what JAX traces with."""
        return jax.ShapeDtypeStruct(self.shape, self.dtype)


@dataclass(frozen=True)
class Signature:
    """What a program takes and gives."""

    name: str
    inputs: tuple[TensorSpec, ...]
    targets: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    parameters: tuple[TensorSpec, ...]
    batch: int | None
    iterations: int
    trainable: bool
    families: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Parameters of equal layers that the solver holds along a first axis: the names, by that of all."""
    solver: str | None = None
    """The solver with its numbers, as text; None where there is nothing to train."""
    others: tuple[str, ...] = ()
    """The solvers whose programs train by the methods that this one has not: those that iterate, or not."""
    frozen: tuple[str, ...] = ()
    """The parameters that the outer step leaves as they are."""

    @property
    def members(self) -> dict[str, tuple[str, ...]]:
        """The names of the parameters that the solver holds as one, by the name that it holds them by."""
        held = {name for names in self.families.values() for name in names}
        own = {spec.name: (spec.name,) for spec in self.parameters if spec.name not in held}
        return {**own, **self.families}


class Program:
    """A compiled network and its solver.

    The functions are jitted and can be called inside the caller's own ``jit``. Parameters are a flat dict
    of arrays by dotted name; where the methods are given stacked ones (:meth:`stacked`), so are the results.

    Attributes:
        name: the network's name.
        inputs, targets, outputs, parameters: what the program takes and gives, as ``TensorSpec``.
        batch: the size of the dimension called ``batch``; None if there is none.
        iterations: how many iterations ``update`` runs if it is not told.
        frozen: the names of the parameters that the outer step leaves as they are.
        initial: what parameters start from that were given with the network, by name; others are drawn.
        kept: what training compiled for the program, by the way it trains.
    """

    def __init__(
        self,
        signature: Signature,
        functions: Functions,
        texts: Mapping[str, str],
        services: Services | None = None,
        initial: Tensors | None = None,
    ) -> None:
        self.signature = signature
        self.name = signature.name
        self.inputs = signature.inputs
        self.targets = signature.targets
        self.outputs = signature.outputs
        self.parameters = signature.parameters
        self.batch = signature.batch
        self.iterations = signature.iterations
        self.frozen = signature.frozen
        self._functions = {name: jax.jit(automatic(function)) for name, function in functions.items()}
        self._texts = texts
        self._services = services or Services()
        self.initial = dict(initial or {})
        self.kept: dict[Any, Any] = {}
        self._other_batches: dict[int, Program] = {}
        self._telling: Program | None = None

    def __repr__(self) -> str:
        """Say in a line what the program is."""
        batch = "" if self.batch is None else f", batch {self.batch}"
        return f"<pjc.Program {self.name!r}: {self._sizes}{batch}, solver {self._trains}>"

    @property
    def _sizes(self) -> str:
        """How many parameters there are, and numbers in them."""
        count, numbers = len(self.parameters), sum(math.prod(spec.shape) for spec in self.parameters)
        return f"{count} parameter{'s' * (count != 1)}, {numbers:,} number{'s' * (numbers != 1)}"

    @property
    def _trains(self) -> str:
        """By what it is trained."""
        if not self.signature.trainable:
            return "none, it requires nothing"
        often = "" if self.sweeps else f", {self.iterations} iterations an update"
        return f"{self.signature.solver}{often}"

    def __str__(self) -> str:
        """Say what the program takes and gives, its size, its batch and its solver, a line each."""
        lines = [f"<pjc.Program {self.name!r}"]
        for title, specs in (
            ("inputs", self.inputs),
            ("targets", self.targets),
            ("outputs", self.outputs),
        ):
            if specs:
                lines.append(f"  {title}: {', '.join(map(str, specs))}")
        if self.units:
            lines.append(f"  units: {told(self.units)}")
        numbers = sum(math.prod(spec.shape) for spec in self.parameters)
        lines.append(f"  parameters: {len(self.parameters)}, {numbers:,} numbers")
        lines.append(f"  batch: {self.batch}")
        lines.append(f"  solver: {self._trains}>")
        return "\n".join(lines)

    def _repr_html_(self) -> str | None:
        """Return what a notebook shows; None leaves it with the text."""
        return None if self._services.page is None else self._services.page(self)

    def stages(self) -> tuple[str, ...]:
        """Return the names of the stages whose text :meth:`ir` has."""
        return tuple(self._texts)

    @property
    def units(self) -> dict[str, Units]:
        """What targets, and the outputs that they are of, are measured in, by target; others are as given."""
        return _units_of(self.targets)

    def rescaled(self, units: Mapping[str, Units]) -> Program:
        """Return the program with targets, and the outputs that they are of, in units.

        ``apply`` gives ``scale * z + offset`` for what the network gives, z; what trains is given targets in
        the same units, and takes them for ``(y - offset) / scale``. Parameters, demands and gaps belong to
        the numbers inside. Files and models that are written have the units in them.

        Args:
            units: by target; for other targets there are none.

        Raises:
            UnitsError: if the program has other units already, or the units fit no target whose loss is the
                squared error of an output that parameters can shift and scale.
        """
        if dict(units) == self.units:
            return self
        require_units(f"network '{self.name}'", self.targets, self.units, units)
        back = {spec.output: units[spec.name] for spec in self.targets if spec.name in units}
        signature = replace(
            self.signature,
            targets=tuple(replace(spec, units=units.get(spec.name)) for spec in self.targets),
            outputs=tuple(replace(spec, units=back.get(spec.name)) for spec in self.outputs),
        )
        functions = {name: _in_units(name, each, signature) for name, each in self._functions.items()}
        return Program(signature, functions, self._texts, self._services, self.initial)

    def holding(self, labels: tuple[str, ...]) -> Program | None:
        """Return the program, in the same units, in which the factored dots of these labels are held.

        None where how copies are represented was asked for, or the program cannot be compiled again.

        Raises:
            DiagnosticError: if it has no such dots.
        """
        found = None if self._services.hold is None else self._services.hold(labels)
        return None if found is None else found.rescaled(self.units)

    def telling(self) -> Program:
        """Return the program, in the same units, whose training also tells of every node.

        What happened, as :meth:`update`, :meth:`displacement` and :meth:`step` tell it, then has ``"trace"``:
        numbers by measure and by node. It is compiled once, and all else is as this program has it.

        Raises:
            ProgramError: if the program cannot be compiled again, or is trained by a stream.
            DiagnosticError: if its constraints are spread over devices.
        """
        if self.streams:
            raise ProgramError(
                f"network '{self.name}' cannot be traced: it is trained by a stream, where an update is of "
                "several batches; --solver sweep asks the same of one batch at a time"
            )
        if self._telling is None:
            if self._services.tell is None:
                raise ProgramError(
                    f"network '{self.name}' cannot be traced, as its program cannot be compiled again; "
                    "compile it from its source"
                )
            self._telling = self._services.tell().rescaled(self.units)
        return self._telling

    @property
    def nodes(self) -> Mapping[str, tuple[str, str]]:
        """The operator and the part of each node, by its label, of a program that :meth:`telling` gave."""
        return self._services.nodes

    def with_functions(self, functions: Functions) -> Program:
        """Return the program with these entry points besides its own, or in their places."""
        whole: dict[str, Callable[..., Any]] = {**self._functions, **functions}
        return Program(self.signature, whole, self._texts, self._services, self.initial)

    def __reduce__(self) -> tuple[Any, ...]:
        """Say how to make the program again, for pickle: of the bytes of its ``.pjx`` file.

        Raises:
            ProgramError: if a file cannot hold all of it.
        """
        why = self._services.unpicklable
        if self._services.restore is None:
            why = "it was made without what reads files"
        if why is not None:
            raise ProgramError(f"network '{self.name}' cannot be pickled: {why}")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "program.pjx")
            self.save(path)
            return self._services.restore, (path.read_bytes(),)

    def __copy__(self) -> Program:
        return self

    def __deepcopy__(self, memo: Any) -> Program:
        return self  # nothing changes a program

    def init(self, key: Array | int) -> dict[str, Array]:
        """Return the parameters that training starts from: those given with the network, the others drawn.

        They are drawn with a JAX key, or with a seed.

        Raises:
            ProgramError: if it is neither.
        """
        key = _key(key)
        drawn = self.separate(self._functions["init"](jax.random.key_data(key)))
        return drawn | {name: jnp.asarray(value, drawn[name].dtype) for name, value in self.initial.items()}

    def stacked(self, params: Tensors) -> dict[str, Array]:
        """Return the parameters with those of equal layers as one, along a first axis, by the family's name.

        So the solver holds them where layers that were written one by one were made a loop. A caller with
        hundreds of layers and many updates saves time by stacking once. Others need not know.
        """
        found = self._whole(params)
        for label, names in self.signature.families.items():
            if label not in found and all(name in found for name in names):
                members = [found.pop(name) for name in names]
                traced = any(isinstance(each, jax.core.Tracer) for each in members)
                found[label] = jnp.stack(members) if traced else jnp.asarray(np.stack(members))
        return found

    def separate(self, params: Tensors) -> dict[str, Array]:
        """Return the parameters by the names that the network gives them: the inverse of :meth:`stacked`.

        They may be those of a state that is spread over the devices of a mesh.
        """
        found = self._whole(params)
        for label, names in self.signature.families.items():
            if label in found:
                stack = found.pop(label)
                # Slices of a device's array would be compiled one by one.
                rows = stack if isinstance(stack, jax.core.Tracer) else map(jnp.array, np.asarray(stack))
                found |= zip(names, rows, strict=True)
        return found

    def apply(self, params: Tensors, *inputs: Array) -> Any:
        """Return the network's output for the inputs, in the order in which the network declares them.

        One array if the network has one output, else a dict by name. The leading size may differ from
        the compiled batch: the program is then specialized to it, once for each size.

        Raises:
            ProgramError: if parameters or inputs do not fit the network.
        """
        program = self.specialized(inputs)
        taken = program._taken(params)
        data = program._named(inputs, program.inputs)
        outputs = program._functions["apply"](taken, data)
        return next(iter(outputs.values())) if len(outputs) == 1 else outputs

    def update(
        self,
        params: Tensors,
        *data: Array,
        iterations: Array | int | None = None,
        finish: bool = True,
    ) -> tuple[dict[str, Array], dict[str, Any]]:
        """Return the parameters after an update on a batch, and what happened.

        The network runs forward, so that all copies agree; the solver iterates; the slots are read, and
        projected onto the sets that parameters are required to be in.

        Args:
            params: the parameters before.
            data: the inputs, then the targets, in the order in which the network declares them.
            iterations: how many; the program's own number if None.
            finish: whether to project onto the sets. Where a set leaves no room for small moves (levels,
                sparse, rank), the parameters without that remember them, so that they add up over many
                updates, each of which starts from the projection; :meth:`finish` projects in the end.

        Returns:
            The new parameters and ``{"gap": ..., "t": {label: ...}}``: the root mean square by which the
            parts disagree, and for each factored dot the largest coefficient of its rank-one terms, at rest
            the largest multiplier |t|: the form is only good while that is well below 1. With losses also
            ``"loss"``, their sum, each the mean over its sites, before the update; with sets
            ``"violation": {label: ...}``, the root mean square distance of the parameters to each set before
            they were projected onto it. Where any of it is not finite, a RuntimeWarning says so, unless the
            call is traced.

        Raises:
            ProgramError: if the network requires nothing, or the arguments do not fit it.
        """
        self._require(not self.sweeps, "update")
        program, taken, named = self._training_data(params, data)
        count = _count(self.iterations if iterations is None else iterations)
        after, info = program._functions["update"](taken, named, count)
        self._tell("update", after, info)
        return self._like(params, self._finished(after) if finish else after), dict(info)

    def finish(self, params: Tensors) -> dict[str, Array]:
        """Return the parameters projected onto the sets that they are required to be in.

        The sets are taken in the order of the text: of several on one parameter the last holds exactly.
        """
        taken = self._taken(params)
        if "finish" not in self._functions:
            return self._whole(params)
        return self._like(params, self._finished(taken))

    def _finished(self, taken: Tensors) -> Tensors:
        return dict(self._functions["finish"](taken)) if "finish" in self._functions else taken

    def gap(self, params: Tensors, *data: Array, iterations: Array | int = 1) -> dict[str, Any]:
        """Return how far the parts are from agreeing in the last of some iterations on a batch.

        Returns:
            ``{"gap": ..., "nodes": {label: ...}, "t": {label: ...}, "dropped": {label: ...}}``: the root mean
            square disagreement over all variables, and over those of each node; for each factored dot the
            largest multiplier |t| as :meth:`update` tells it, and the root mean square of the terms that it
            dropped.

        Raises:
            ProgramError: as :meth:`update`.
        """
        self._require(not self.sweeps, "gap")
        program, taken, named = self._training_data(params, data)
        found = program._functions["gap"](taken, named, _count(iterations))
        return dict(found)

    @property
    def method(self) -> str:
        """The solver with its numbers, as text; "" where there is nothing to train."""
        return self.signature.solver or ""

    @property
    def sweeps(self) -> bool:
        """Whether the solver goes once through the network and makes a displacement; else it iterates."""
        return DISPLACEMENT in self._functions

    def displacement(
        self, params: Tensors, *data: Array, sample_weight: Array | None = None
    ) -> tuple[dict[str, Array], dict[str, Any]]:
        """Return what a batch asks of the parameters: the move that would bring them where all is met.

        It is to projections what a gradient is to derivatives, with the sign of a move.

        Args:
            params: the parameters, before they are projected onto sets.
            data: the inputs, then the targets, in the order in which the network declares them.
            sample_weight: a weight for each sample of the batch, from 0; ones if None.

        Returns:
            The displacement, by parameter, and ``{"demand": ..., "requirements": {label: ...}}``: the root
            mean square of what the losses ask of their inputs, over all of them and of each. With losses
            also ``"loss"``, their sum, each the mean over its sites. Warns as :meth:`update`.

        Raises:
            ProgramError: if the solver iterates, the network requires nothing, or the arguments do not fit.
        """
        self._require(self.sweeps, "displacement")
        program, taken, named = self._training_data(params, data)
        entry, weights = program._weighted(DISPLACEMENT, sample_weight)
        asked, info = program.jitted(entry)(taken, named, *weights)
        self._tell("displacement", asked, info)
        return self._like(params, asked), dict(info)

    def start(self, key: Array | int | Tensors, steps: int | None = None) -> State:
        """Return where training by :meth:`step` starts.

        Args:
            key: what :meth:`init` draws the parameters with, or the parameters themselves.
            steps: how many batches the run will have: the schedule of the rate ends there. If None, the rate
                stays as it is after the warmup.

        Returns:
            The state, in which the parameters of equal layers are stacked; :meth:`finish` gives those to use.

        Raises:
            ProgramError: if the solver iterates, the arguments do not fit, or parameters are not finite.
        """
        self._require_step("start")
        params = self._taken(key if isinstance(key, Mapping) else self.init(key))
        self._require_finite(params)
        whole = isinstance(steps, int | np.integer) and not isinstance(steps, bool) and 0 < steps < 2**31
        if steps is not None and not whole:
            raise ProgramError(f"steps: expected a whole number from 1, or None, found {steps!r}")
        begun = State(params, dict(self._functions[START](params)), jnp.asarray(steps or 0, jnp.int32))
        return self.shard(begun)

    def shard(self, state: State) -> State:
        """Return a state of one device as those of the mesh have it; as it is where each has all of it.

        The parameters of equal layers are stacked. What devices have already stays as it is.
        """
        if self.layout is None:
            return state
        return State(self._moved(state.params), self._held(state.optimizer), state.steps)

    def _held(self, optimizer: Tensors) -> dict[str, Array]:
        """Return what the outer step remembers as the devices have it."""
        layout = self.layout
        if layout is None or layout.is_sharded(optimizer):
            return dict(optimizer)
        return layout.shard(optimizer)

    def unshard(self, state: State) -> State:
        """Return a state as one device has it: the inverse of :meth:`shard`, which gathers it."""
        layout = self.layout
        if layout is None or not layout.is_sharded({**state.params, **state.optimizer}):
            return state
        return State(layout.unshard(state.params), layout.unshard(state.optimizer), state.steps)

    @property
    def layout(self) -> DeviceLayout | None:
        """How the states of training lie on the devices of a mesh; None where each has all of them."""
        return self._services.layout

    def _whole(self, params: Tensors) -> dict[str, Array]:
        """Return parameters as one device has them."""
        layout = self.layout
        if layout is None or not layout.is_sharded(params):
            return dict(params)
        return layout.unshard(params)

    def step(
        self, state: State, *data: Array, sample_weight: Array | None = None
    ) -> tuple[State, dict[str, Any]]:
        """Return the state after an outer step on a batch, and what :meth:`displacement` tells.

        The displacement moves the parameters as the option ``outer`` says; then those in sets are brought
        back to where their sets tell them apart. On a mesh the state may also be one that :meth:`unshard`
        gave: it is spread first.

        Raises:
            ProgramError: as :meth:`displacement`; if the state is that of a mesh of other devices; or if the
                outer step is a transformation of the user's own that a file does not hold.
            OuterError: if the state is that of another outer step.
        """
        self._require_step("step")
        params, optimizer, steps = self._state(state)
        self.require_trainable()
        program = self.specialized(data)
        taken, named = self._moved(params), program._named(data, (*program.inputs, *program.targets))
        if self.streams and program is not self:
            raise ProgramError(
                f"the batches of a stream are all of one size, here {self.batch}, found {program.batch}; "
                "compile the network for that size"
            )
        entry, weights = program._weighted(STEP, sample_weight)
        after, remembered, info = program.jitted(entry)(taken, optimizer, steps, named, *weights)
        self._tell("step", after, info, remembered)
        found = after if self.layout is not None else self._like(params, after)
        return State(dict(found), dict(remembered), steps), dict(info)

    @property
    def streams(self) -> bool:
        """Whether batches are still on their way after their step, for :meth:`drain` to end it."""
        return DRAIN in self._functions

    def drain(self, state: State) -> tuple[State, dict[str, Any]]:
        """Return the state of a stream once it has answered for all batches, and what :meth:`step` tells.

        What is told is added up over the batches that had not come to their end before. Steps may go on from
        there. It takes the states that :meth:`step` takes.

        Raises:
            ProgramError: if a step leaves nothing to answer for, as that of every other solver.
            OuterError: if the state is that of another outer step.
        """
        self._require_step(DRAIN)
        if not self.streams:
            raise ProgramError(
                f"network '{self.name}' was compiled with the solver {self.signature.solver}, whose steps "
                "leave nothing on its way; there is nothing to drain"
            )
        params, optimizer, steps = self._state(state)
        after, remembered, info = self.jitted(DRAIN)(self._moved(params), optimizer, steps)
        self._tell(DRAIN, after, info, remembered)
        found = after if self.layout is not None else self._like(params, after)
        return State(dict(found), dict(remembered), steps), dict(info)

    def _state(self, given: Any) -> State:
        """Return a state that fits the outer step, what that remembers as the devices have it.

        Raises:
            ProgramError, OuterError: for any other state. Parameters are not looked at.
        """
        if not isinstance(given, tuple) or len(given) != len(State._fields):
            raise ProgramError(f"step takes a state, as start gives it, found {type(given).__name__}")
        params, optimizer, steps = given
        layout = self.layout
        rows = rows_in(self._begun, optimizer) if self.streams else None
        if rows is not None and (layout is None or rows != layout.devices):
            ours = "for one device" if layout is None else f"for {layout.devices} devices along stack"
            raise ProgramError(
                f"network '{self.name}' is compiled {ours}, and the state is that of {rows} devices; call "
                "unshard of the program that made it, and give what that returns"
            )
        require_state(self._begun if rows is None else self._remembered, optimizer)
        return State(params, self._held(optimizer), jnp.asarray(steps, jnp.int32))

    @cached_property
    def _begun(self) -> Mapping[str, Any]:
        """The shapes of what the outer step remembers, by name, as one device has it."""
        found: Mapping[str, Any] = jax.eval_shape(self._functions[START], self._abstract_parameters())
        return found

    @cached_property
    def _spread(self) -> Mapping[str, Any]:
        """The shapes of parameters, by name, as the devices have them."""
        return self._sharded(self._abstract_parameters())

    @cached_property
    def _remembered(self) -> Mapping[str, Any]:
        """The shapes of what the outer step remembers, by name, as the devices have it."""
        return self._sharded(self._begun)

    def _sharded(self, shapes: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the shapes of arrays as the devices have them, of those that one device has."""
        return dict(shapes) if self.layout is None else jax.eval_shape(self.layout.shard, dict(shapes))

    def _tell(self, method: str, *results: Any) -> None:
        """Warn where a method returns what is not finite."""
        leaves, _ = jax.tree_util.tree_flatten_with_path(results)
        named = {jax.tree_util.keystr(path[1:], simple=True, separator="."): leaf for path, leaf in leaves}
        wrong = not_finite(named)
        if wrong:
            more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
            warnings.warn(
                f"{method} of network '{self.name}' returns numbers that are not finite, in "
                f"{', '.join(wrong[:3])}{more}: training diverges, or the data is too large; where dots are "
                "factored, --copies held keeps all terms",
                RuntimeWarning,
                stacklevel=3,
            )

    def _weighted(self, entry: str, given: Any) -> tuple[str, tuple[Array, ...]]:
        """Return the entry point that takes the weights of samples, if there are any, and those.

        Raises ProgramError for what is no weights.
        """
        if given is None:
            return entry, ()
        if entry + WEIGHTED not in self._functions and self.batch is not None:
            raise ProgramError(
                f"network '{self.name}' was compiled with the solver {self.signature.solver}, which takes no "
                "weights of samples"
            )
        if entry + WEIGHTED not in self._functions:
            raise ProgramError(f"the samples of network '{self.name}' take no weights: it has no batch")
        expected = self._abstract_weights()
        found = _shape("sample_weight", given)
        if found != expected.shape:
            raise ProgramError(f"sample_weight has shape {found}, expected {expected.shape}")
        if not isinstance(given, jax.core.Tracer):
            if not (np.isfinite(np.asarray(given)).all() and np.min(given, initial=0) >= 0):
                raise ProgramError("sample_weight: expected finite numbers from 0, found others")
            # Their scale does not matter, and floats of the program's may not have it.
            given = np.asarray(given, np.float64) / (np.max(given, initial=0) or 1)
        return entry + WEIGHTED, (jnp.asarray(given, expected.dtype),)

    def _abstract_weights(self) -> jax.ShapeDtypeStruct:
        kind = self.parameters[0].dtype if self.parameters else "float32"
        return jax.ShapeDtypeStruct((self.batch or 0,), kind)

    def _require(self, can: bool, method: str) -> None:
        """Raise ProgramError if the solver trains by other methods."""
        self.require_trainable()
        if can:
            return
        others = ", ".join(self.signature.others) or "others"
        own = "displacement, start and step" if self.sweeps else "update and gap"
        raise ProgramError(
            f"network '{self.name}' was compiled with the solver {self.signature.solver}, which trains by "
            f"{own}; {method} is of programs with the solvers {others}"
        )

    def _require_step(self, method: str) -> None:
        self._require(self.sweeps, method)
        if STEP not in self._functions:
            raise ProgramError(
                f"{method} needs the outer step, an optax transformation of your own, which a file does not "
                "hold; pass it again, as in pjc.load(path, outer=optax.adam(1e-3))"
            )

    def ir(self, stage: str) -> str:
        """Return the text of a stage: "net", "feas" or "proj", and "placed" on a mesh; see :meth:`stages`.

        Raises:
            ProgramError: if there is no such stage.
        """
        if stage not in self._texts:
            raise ProgramError(f"there is no stage '{stage}'; stages are {', '.join(self._texts)}")
        return self._texts[stage]

    @property
    def main_entry(self) -> str:
        """The entry point that is shown if none is named: what trains, or else "apply"."""
        return next(name for name in ("update", STEP, DISPLACEMENT, "apply") if name in self._functions)

    def stablehlo(self, entry: str | None = None) -> str:
        """Return the StableHLO text of an entry point, one of :meth:`entries`; by default what trains."""
        return str(self.lowered(entry or self.main_entry).as_text())

    def lowered(self, entry: str) -> Any:
        """Return JAX's lowering of an entry point, to compile, print or analyze."""
        return self.jitted(entry).lower(*self.abstract_arguments(entry))

    def memory(self, entry: str) -> int:
        """Return the bytes that XLA says a call of an entry point takes on a device; 0 if it does not say.

        It is compiled for that, and JAX keeps what it compiles: a call does not compile it again.
        """
        found = self.lowered(entry).compile().memory_analysis()
        if found is None:
            return 0
        held = found.argument_size_in_bytes + found.output_size_in_bytes + found.temp_size_in_bytes
        return int(held - found.alias_size_in_bytes)

    def trace(self) -> None:
        """Let JAX go through every entry point, which raises what is wrong in a program."""
        for entry in self.entries():
            self.jitted(entry).eval_shape(*self.abstract_arguments(entry))

    def entries(self) -> tuple[str, ...]:
        """Return the names of the entry points."""
        return tuple(self._functions)

    def jitted(self, entry: str) -> Any:
        """Return an entry point as the jitted function that takes what :meth:`abstract_arguments` says.

        Raises:
            ProgramError: if the program has no such entry point.
        """
        if entry not in self._functions:
            raise ProgramError(
                f"the program has no entry point '{entry}'; it has {', '.join(self._functions)}"
            )
        return self._functions[entry]

    def abstract_arguments(self, entry: str) -> tuple[Any, ...]:
        """Return the shapes that an entry point is traced with."""
        if entry == "init":
            return (jax.ShapeDtypeStruct((2,), "uint32"),)
        params = self._abstract_parameters()
        if entry in ("finish", KEEP, START):
            return (params,)
        specs = self.inputs if entry == "apply" else (*self.inputs, *self.targets)
        data = {spec.name: spec.abstract() for spec in specs}
        if entry == "apply":
            return params, data
        weights = (self._abstract_weights(),) if entry.endswith(WEIGHTED) else ()
        if entry.removesuffix(WEIGHTED) == DISPLACEMENT:
            return params, data, *weights
        if entry.removesuffix(WEIGHTED) == STEP:
            return self._spread, self._remembered, jax.ShapeDtypeStruct((), "int32"), data, *weights
        if entry == DRAIN:
            return self._spread, self._remembered, jax.ShapeDtypeStruct((), "int32")
        return params, data, jax.ShapeDtypeStruct((), "int32")

    def save(self, path: str | Path) -> None:
        """Write the program as a ``.pjx`` file; :func:`pjc.load` reads it.

        Raises:
            OSError: if the file cannot be written.
        """
        if self._services.saver is None:
            raise ProgramError("this program cannot be saved")
        self._services.saver(self, _path(path))

    def to_onnx(self, params: Tensors, path: str | Path, opset: int | None = None) -> tuple[str, ...]:
        """Write the network with these parameters as an ONNX model of standard operators.

        Outputs are those of :meth:`apply`; an open batch stays open. Needs ``pip install 'pjc[onnx]'``.

        Args:
            params: by name.
            path: the file, which is overwritten.
            opset: from 18 to 25; by default 18, and 21 where the model holds whole numbers. From 21 on there
                are integers of 4 and of 16 bits, from 25 on of 2.

        Returns:
            Why results may differ in the last bits from those of :meth:`apply`; nothing if they are the same,
            bit for bit, which is so where all that is added up are whole numbers (docs/exact.md#export).

        Raises:
            ProgramError: if the parameters do not fit the network, are not finite, or there is no such opset.
            DiagnosticError: if the network calls operators of the user's own, or the package is missing.
            OSError: if the file cannot be written.
        """
        if opset is not None and not 18 <= opset <= 25:
            raise ProgramError(f"models are written for an opset from 18 to 25, found {opset}")
        separate = self.separate(self._taken(params))
        self._require_finite(separate)
        if self._services.exporter is None:
            raise ProgramError("this program cannot be exported; compile the network again")
        return self._services.exporter(separate, _units_of(self.outputs), _path(path), opset)

    def specialized(self, inputs: tuple[Array, ...]) -> Program:
        """Return the program for the batch size that the inputs have."""
        size = self._batch_of(inputs)
        return self if size is None else self.with_batch(size)

    def with_batch(self, size: int) -> Program:
        """Return the program for batches of another size, compiled once for each; itself if there is none.

        Raises:
            DiagnosticError: if the network cannot be compiled for that size.
        """
        if size == self.batch or self.batch is None or self._services.for_batch is None:
            return self
        if size not in self._other_batches:
            self._other_batches[size] = self._services.for_batch(size).rescaled(self.units)
        return self._other_batches[size]

    def _batch_of(self, inputs: tuple[Array, ...]) -> int | None:
        shape = _shape(f"'{self.inputs[0].name}'", inputs[0]) if inputs and self.inputs else ()
        return int(shape[0]) if self.batch is not None and shape else None

    def require_trainable(self) -> None:
        """Raise ProgramError if the network requires nothing that it could be trained for."""
        if "update" not in self._functions and not self.sweeps:
            raise ProgramError(f"network '{self.name}' has no 'require', so there is nothing to train it for")

    def _training_data(
        self, params: Tensors, data: tuple[Array, ...]
    ) -> tuple[Program, dict[str, Array], dict[str, Array]]:
        """Return the program for a batch of this size, and what it takes."""
        self.require_trainable()
        program = self.specialized(data)
        return program, self._taken(params), program._named(data, (*program.inputs, *program.targets))

    def _moved(self, params: Tensors) -> dict[str, Array]:
        """Return the parameters of a state as the entry points take them that go on from it."""
        layout = self.layout
        if layout is None:
            return self._taken(params)
        if not isinstance(params, Mapping) or not layout.is_sharded(params):
            return layout.shard(self._taken(params))
        self._require_shapes(params, {name: each.shape for name, each in self._spread.items()})
        return dict(params)

    def _taken(self, params: Tensors) -> dict[str, Array]:
        """Return the parameters as the entry points take them, once they are known to fit."""
        if not isinstance(params, Mapping):
            raise ProgramError(
                f"parameters are a dict of arrays by name, as init gives them; found {type(params).__name__}"
            )
        params = self._whole(params)
        specs = self._stacked_parameters() if self._is_stacked(params) else self.parameters
        self._require_shapes(params, {spec.name: spec.shape for spec in specs})
        return self.stacked(params)

    def _require_shapes(self, params: Tensors, expected: Mapping[str, tuple[int, ...]]) -> None:
        """Raise ProgramError unless there are the parameters that are expected, in their shapes."""
        for name in sorted(expected.keys() - params.keys()):
            raise ProgramError(f"parameter '{name}' of shape {expected[name]} is missing")
        for name in sorted(params.keys() - expected.keys()):
            raise ProgramError(f"network '{self.name}' has no parameter '{name}'")
        for name, shape in expected.items():
            found = _shape(f"parameter '{name}'", params[name])
            if found != shape:
                raise ProgramError(f"parameter '{name}' has shape {found}, expected {shape}")

    def _require_finite(self, params: Tensors) -> None:
        """Raise ProgramError for parameters that nothing should go on from."""
        for name in not_finite(params):
            raise ProgramError(
                f"parameter '{name}' has numbers that are not finite; go on from parameters before they were"
            )

    def _is_stacked(self, params: Tensors) -> bool:
        return any(label in params for label in self.signature.families)

    def _like(self, given: Tensors, params: Tensors) -> dict[str, Array]:
        """Return parameters stacked or separate, as the given ones are."""
        return dict(params) if self._is_stacked(given) else self.separate(params)

    def _stacked_parameters(self) -> list[TensorSpec]:
        """Return the parameters as :meth:`stacked` has them."""
        found = {spec.name: spec for spec in self.parameters}
        for label, names in self.signature.families.items():
            first, *_ = (found.pop(name) for name in names)
            found[label] = replace(first, name=label, shape=(len(names), *first.shape))
        return list(found.values())

    def _abstract_parameters(self) -> dict[str, jax.ShapeDtypeStruct]:
        """Return the shapes that parameters have as one device has them, by name."""
        return {spec.name: spec.abstract() for spec in self._stacked_parameters()}

    def _named(self, data: tuple[Array, ...], specs: tuple[TensorSpec, ...]) -> dict[str, Array]:
        if len(data) != len(specs):
            listed = ", ".join(f"{spec.name} {list(spec.shape)}" for spec in specs)
            raise ProgramError(f"expected {len(specs)} arrays ({listed}), found {len(data)}")
        named = {}
        for spec, array in zip(specs, data, strict=True):
            found = _shape(f"'{spec.name}'", array)
            if found != spec.shape:
                raise ProgramError(f"'{spec.name}' has shape {found}, expected {spec.shape}")
            _check_numbers(spec, array)
            named[spec.name] = jnp.asarray(array, spec.dtype)
        return named


def _in_units(name: str, function: Callable[..., Any], signature: Signature) -> Callable[..., Any]:
    """Return an entry point whose targets and outputs are in the signature's units, made of one without."""
    if name == "apply":
        return giving(function, _units_of(signature.outputs))
    at = _DATA.get(name.removesuffix(WEIGHTED))
    return function if at is None else taking(function, at, _units_of(signature.targets))


def _units_of(specs: tuple[TensorSpec, ...]) -> dict[str, Units]:
    return {spec.name: spec.units for spec in specs if spec.units is not None}


def _shape(what: str, given: Any) -> tuple[int, ...]:
    """Return the shape of an array, or of nested lists of numbers; raise ProgramError for anything else."""
    try:
        kind = given.dtype if hasattr(given, "dtype") else np.asarray(given).dtype
        real = np.issubdtype(kind, np.number) and not np.issubdtype(kind, np.complexfloating)
        if real or kind in (jnp.bfloat16, np.bool_):
            return tuple(np.shape(given))
    except (ValueError, TypeError):
        pass
    raise ProgramError(f"{what} must be an array of real numbers, found {_described(given)}")


def _described(given: Any) -> str:
    kind = getattr(given, "dtype", None)
    return type(given).__name__ if kind is None else f"an array of {kind}"


def _key(given: Any) -> Array:
    """Return a seed, a JAX key, or the numbers of one, as a key; raise ProgramError for anything else."""
    if isinstance(given, int | np.integer) and not isinstance(given, bool):
        if not -(2**63) <= given < 2**63:
            raise ProgramError(f"a seed has at most 64 bits, found {given}")
        return jax.random.key(int(given))
    kind = getattr(given, "dtype", None)
    if kind is not None and jnp.issubdtype(kind, jax.dtypes.prng_key) and given.shape == ():
        return cast(Array, given)
    if kind == np.uint32 and given.shape == (2,):
        return cast(Array, jax.random.wrap_key_data(jnp.asarray(given)))
    raise ProgramError(f"init takes a seed, which is a whole number, or a JAX key; found {given!r}")


def _count(given: Any) -> Array:
    """Return a number of iterations; raise ProgramError unless it is a whole number from 0, or traced."""
    if not isinstance(given, jax.core.Tracer):
        whole = isinstance(given, int | np.integer) or (
            getattr(given, "shape", None) == () and np.issubdtype(given.dtype, np.integer)
        )
        if isinstance(given, bool) or not whole or not 0 <= int(given) < 2**31:
            raise ProgramError(f"iterations: expected a whole number from 0, found {given!r}")
    return jnp.asarray(given, jnp.int32)


def _path(given: Any) -> Path:
    if not isinstance(given, str | os.PathLike):
        raise ProgramError(f"expected a path to write to, found {type(given).__name__}")
    return Path(given)


def _check_numbers(spec: TensorSpec, array: Array) -> None:
    """Raise if numbers are out of range, of classes, rows or the type; traced ones cannot be looked at."""
    if isinstance(array, jax.core.Tracer):
        return
    if spec.classes is None:
        _check_range(spec, array)
        return
    found = np.asarray(array)
    if found.dtype.kind == "f" and np.any(found != np.floor(found)):
        raise ProgramError(f"'{spec.name}' takes whole numbers, found {found.dtype} with fractions")
    if found.size and not 0 <= found.min() <= found.max() < spec.classes:
        raise ProgramError(
            f"'{spec.name}' holds numbers from {found.min()} to {found.max()}, but they must be "
            f"from 0 to {spec.classes - 1}"
        )


def _check_range(spec: TensorSpec, array: Array) -> None:
    """Raise ProgramError if finite numbers of a wider type would be infinite in the tensor's."""
    held, given = np.dtype(spec.dtype), array if isinstance(array, jax.Array) else np.asarray(array)
    if (given.dtype.kind, held.kind) != ("f", "f") or given.dtype.itemsize <= held.itemsize:
        return
    wide = np.asarray(given)
    over = np.isfinite(wide) & (np.abs(wide) > np.finfo(held).max)
    if over.any():
        raise ProgramError(
            f"'{spec.name}' holds {wide[over][0]:g}, too large for {held}; give dtype f64, or scale it"
        )
