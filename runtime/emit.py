"""Turn a proj program into JAX functions: the only place that knows both xDSL and JAX.

The functions are ordinary traceable ones. Staging them (``jax.jit``, ``jax.export``) is what emits
StableHLO, so that a dump, an embedded solver and the command line all run the same thing.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import prod, sqrt
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh, PartitionSpec
from xdsl.dialects.builtin import (
    DenseArrayBase,
    FloatAttr,
    IntegerAttr,
    StringAttr,
    TensorType,
    f32,
    f64,
    i32,
)
from xdsl.ir import Attribute, Block, Operation, SSAValue

from pjc.dialects import proj
from pjc.dialects.assigned import Assigned
from pjc.dialects.ops import InitAttr
from pjc.dialects.steps import Gather
from pjc.dialects.view import GatherOp as ViewGatherOp
from pjc.dialects.view import ViewOp, shape_of
from pjc.runtime.assigned import from_device, own_branch, told
from pjc.runtime.collectives import SCOPE
from pjc.runtime.combination import Lazy, LazyState, added, combined, equal, is_zero
from pjc.runtime.gathered import Reader, gathered_mean
from pjc.runtime.mesh import STACK, constrained, scan
from pjc.runtime.projections import constraint_set, loss, operator
from pjc.runtime.projections.bilinear import BILINEAR, Bilinear, bilinear
from pjc.runtime.projections.dot_halfway import Factors, Held, Projected, project_factored, project_held
from pjc.runtime.projections.dot_shared import project_shared
from pjc.runtime.projections.sets import ConstraintSet
from pjc.runtime.steps import bound
from pjc.runtime.views import collect, counts, owns_all, spread, write

PAIRED_BYTES = 3 * 2**22
"""From states of so many bytes on, each turn of the loop does two iterations. XLA copies what an iteration
both reads and writes, for 18% of the time with 32 layers; of two, the first writes elsewhere than it reads.
Compiling takes up to twice as long, and states that stay in a processor's cache gain little. Networks with
loops are left out: how long those take to compile is not to depend on how often they repeat."""

State = dict[str, Array]
Tensors = Mapping[str, Array]


@dataclass(frozen=True)
class Fixed:
    """What stays the same during an update: data, targets and forward values of unread entries."""

    data: Tensors
    forward: Tensors


@dataclass
class Emitter:
    """The functions of a program, each pure and traceable.

    With a mesh, training functions are for :func:`pjc.runtime.mesh.on_mesh`: they run on one share of the
    samples, and split the other axes as the program's shardings say.
    """

    program: proj.ProgramOp
    mesh: Mesh | None = None
    shares: int = 1
    """How many shares of the samples there are, of which the program takes one."""
    parts: list[str] = field(init=False)
    variables: dict[str, proj.VariableOp] = field(init=False)
    kept: frozenset[str] = field(init=False)
    """The nodes with entries that nobody reads, or perhaps nobody, whose forward values a gather needs."""

    factored: tuple[str, ...] = field(init=False)
    """The nodes whose copies are held as rank-one terms."""

    assigned: Assigned | None = field(init=False)
    """Which device projects which constraints, where they do not all project all."""

    def __post_init__(self) -> None:
        self.assigned = None if self.mesh is None else Assigned.of(self.program)
        halfway = [op for op in self.program.walk() if isinstance(op, proj.ProjectHalfwayOp)]
        self.factored = tuple(op.node.data for op in halfway if op.form.data == "factored")
        self.parts = [part.data for part in self.program.parts]
        self.variables = self.program.variables()
        gathers = [op for op in self.program.walk() if isinstance(op, proj.GatherOp)]
        self.kept = frozenset(
            op.node.data for op in gathers if _reads_by_number(op) or np.min(_readers(op, self)) == 0
        )

    def init(self, key: Array) -> State:
        """Return fresh parameters; each draws from the key and its own name alone."""
        params: State = {}
        for op in self._parameters():
            params[op.label.data] = _first_value(op, key)
        return params

    def apply(self, params: Tensors, data: Tensors) -> dict[str, Array]:
        """Return the network's outputs by name."""
        outputs, _, _ = self._run_forward(params, data)
        return outputs

    def start(self, params: Tensors, data: Tensors) -> tuple[State, Fixed]:
        """Return the state in which all copies agree with the forward pass."""
        if self.mesh is not None:
            shardings = {op.label.data: op.sharding for op in self._parameters()}
            params = {name: self._placed(shardings[name], value) for name, value in params.items()}
        _, state, fixed = self._run_forward(params, data)
        return state, fixed

    def _run_forward(self, params: Tensors, data: Tensors) -> tuple[dict[str, Array], State, Fixed]:
        run = _Forward(params, data)
        outputs: dict[str, Array] = {}
        state: dict[str, Lazy] = {}
        for op in self.program.forward_op().body.block.ops:
            match op:
                case proj.OutputOp():
                    outputs[op.label.data] = run.values[op.value]
                case proj.WriteOp():
                    self._write(state, op, run.values[op.value], data)
                case _:
                    run.evaluate(op)
        for name, variable in self.variables.items():
            if name not in state:
                zeros = jnp.zeros(shape_of(variable.type), dtype_of(variable.type))
                state[name] = self._placed(variable.sharding, zeros)
        whole = {name: added(value) for name, value in state.items()}
        return outputs, whole, Fixed(data, {name: run.by_node[name] for name in sorted(self.kept)})

    def project(self, part: str, state: LazyState, fixed: Fixed, given: LazyState | None = None) -> LazyState:
        """Return the projection of the state onto a part.

        ``given`` is the second state that a part with halfway forms needs.
        """
        with jax.named_scope(f"part_{part}"):
            assigned = self.assigned
            if assigned is None:
                return self._run(self.program.part_ops()[part].body.block.ops, state, fixed, given)
            written = assigned.written(part)

            def branch(device: int) -> list[Array]:
                found = self._run(assigned.ops(part, device), state, fixed, given)
                return [added(found[name]) for name in written]

            branches = [partial(branch, device) for device in range(assigned.devices)]
            changed = dict(zip(written, own_branch(branches), strict=True))
            for name in assigned.told(part):
                changed[name] = told(added(state[name]), changed[name])
            return {**state, **changed}

    def _run(
        self, ops: Iterable[Operation], state: LazyState, fixed: Fixed, given: LazyState | None
    ) -> LazyState:
        """Return the state after ops of a part; see :meth:`project`."""
        values: dict[SSAValue, Array] = {}
        new = dict(state)
        for op in ops:
            match op:
                case proj.ReadOp():
                    source = state if op.given is None or given is None else given
                    name = op.variable.data
                    values[op.result] = added(source[name])
                case ViewOp():
                    values[op.results[0]] = _viewed(op, [values[each] for each in op.operands])
                case proj.DatumOp():
                    values[op.result] = fixed.data[op.label.data]
                case proj.ConstantOp():
                    values[op.result] = _constant(op)
                case proj.GatherOp():
                    with jax.named_scope(op.node.data):
                        gathered = self._gather(op, state, fixed)
                        sources = [self.variables[path.variable.data] for path in op.paths]
                        if not all(self._is_shared(each.sharding) for each in sources):
                            gathered = self._over_samples(op.sharding, gathered)
                        values[op.result] = self._placed(op.sharding, gathered)
                case proj.ProjectOp() | proj.ProjectLossOp():
                    with jax.named_scope(op.node.data):
                        _project(op, values)
                        if isinstance(op, proj.ProjectOp):
                            self._place_value(op, values)
                case proj.ProjectSetOp():
                    with jax.named_scope(op.node.data):
                        values[op.new_copies] = _set_of(op).project(values[op.copies])
                case proj.ProjectSharedOp() | proj.ProjectHalfwayOp():
                    with jax.named_scope(op.node.data):
                        _project_compressed(op, values)
                        for index, mean in zip(op.wanted.get_values(), op.new_means, strict=True):
                            held = self.variables[f"{op.node.data}.{index}"]
                            values[mean] = self._over_samples(held.sharding, values[mean])
                        self._place_value(op, values)
                case proj.WriteOp() if op.agreed is not None:
                    value, agreed = values[op.value], values[op.agreed]
                    for name in (path.variable.data for path in op.paths):
                        new[name] = combined((1, 1, -1), (value, new[name], agreed))
                case proj.WriteOp():
                    self._write(new, op, values[op.value], fixed.data)
        return new

    @jax.named_scope(SCOPE)
    def iterate(self, state: State, fixed: Fixed) -> tuple[State, LazyState]:
        """Return the state after one iteration of the solver, and the difference whose size is the gap."""
        iteration = self.program.iterate_op()
        assert iteration is not None
        block: Block = iteration.body.block
        states: dict[SSAValue, LazyState] = {block.args[0]: self._all_placed(state)}
        for op in block.ops:
            match op:
                case proj.OntoOp():
                    given = None if op.given is None else states[op.given]
                    states[op.result] = self.project(op.part.data, states[op.state], fixed, given)
                case proj.CombineOp():
                    terms = [states[each] for each in op.states]
                    states[op.result] = self.combine(op.weights.get_values(), terms)
                case proj.YieldOp():
                    lazy = states[op.state]
                    after = self._all_placed({name: added(value) for name, value in lazy.items()})
                    gap = {
                        name: combined((1, -1), (states[op.one][name], states[op.other][name]))
                        for name in lazy
                    }
                    return after, _by_move(gap, states[block.args[0]], lazy, after)
        raise AssertionError("verified iterations end in a yield")

    def combine(self, weights: Sequence[float], states: Sequence[LazyState]) -> LazyState:
        """Return the sum of weight times state; factors are those of the first state."""
        return {
            name: value if self._is_factor(name) else combined(weights, [each[name] for each in states])
            for name, value in states[0].items()
        }

    def _all_placed(self, state: State) -> State:
        return {name: self._placed(self.variables[name].sharding, value) for name, value in state.items()}

    def _is_factor(self, name: str) -> bool:
        return self.variables[name].kind.data == "factor"

    def _is_shared(self, sharding: proj.ShardingAttr | None) -> bool:
        """Whether each device has the same of a tensor, rather than its share of the samples."""
        return self.shares == 1 or sharding is None or sharding.where("sample") is None

    def _placed(self, sharding: proj.ShardingAttr | None, value: Array) -> Array:
        """Return a tensor split over the mesh as annotated."""
        if self.mesh is None or self.assigned is not None or sharding is None:
            return value
        return constrained(value, sharding.axes())

    def _place_value(
        self,
        op: proj.ProjectOp | proj.ProjectSharedOp | proj.ProjectHalfwayOp,
        values: dict[SSAValue, Array],
    ) -> None:
        """Split the new value of a node as what was gathered for it."""
        if isinstance(op.value.owner, proj.GatherOp):
            values[op.new_value] = self._placed(op.value.owner.sharding, values[op.new_value])

    def _over_samples(self, sharding: proj.ShardingAttr | None, mean: Array) -> Array:
        """Return the mean over all samples, from the means over each share; what has samples stays."""
        if self.shares == 1 or not self._is_shared(sharding):
            return mean
        return jnp.asarray(jax.lax.pmean(mean, "sample"))

    def in_pairs(self) -> bool:
        """Return whether iterations should be done two at a time: see :data:`PAIRED_BYTES`."""
        program = self.program
        return self.mesh is None and not program.has_loops() and program.state_bytes() >= PAIRED_BYTES

    def _measured(self) -> list[str]:
        """Return the variables that the gap is over."""
        return [name for name in self.variables if not self._is_factor(name)]

    def square_gaps(self, differences: LazyState) -> dict[str, Array]:
        """Return the square size of a difference of states, by the node that holds the variables.

        Of variables that are missing it is zero. On a mesh it is that of a device's share: the sum over the
        shares is the whole.
        """
        squares: dict[str, Array] = {}
        for name in self._measured():
            variable = self.variables[name]
            square = jnp.zeros((), dtype_of(variable.type))
            if name in differences and not is_zero(differences[name]):
                square = jnp.sum(added(differences[name]) ** 2)
            square = square / self.shares if self._is_shared(variable.sharding) else square
            squares[variable.node.data] = squares.get(variable.node.data, 0) + square
        if self.assigned is not None:
            device = self.assigned.device
            return {node: from_device(device(node), square) for node, square in squares.items()}
        return squares

    def _size(self, variable: proj.VariableOp) -> int:
        """Return the number of entries of a variable, over all shares of the samples."""
        size = prod(shape_of(variable.type))
        return size if self._is_shared(variable.sharding) else size * self.shares

    def _total(self, square: Array) -> Array:
        """Return the sum over all shares of the samples."""
        return square if self.shares == 1 else jnp.asarray(jax.lax.psum(square, "sample"))

    def node_gaps(self, squares: Mapping[str, Array]) -> dict[str, Array]:
        """Return the root mean squares of what :meth:`square_gaps` gives."""
        sizes: Counter[str] = Counter()
        for name in self._measured():
            sizes[self.variables[name].node.data] += self._size(self.variables[name])
        return {node: jnp.sqrt(self._total(square) / sizes[node]) for node, square in squares.items()}

    def total_gap(self, squares: Mapping[str, Array]) -> Array:
        """Return the root mean square over all variables."""
        size = sum(self._size(self.variables[name]) for name in self._measured())
        return jnp.sqrt(self._total(jnp.asarray(sum(squares.values()))) / size)

    def multipliers(self, state: State) -> dict[str, Array]:
        """Return the largest |alpha| of each factored dot, by node: at rest it is |t| (dot_halfway.py).

        Before that it is about |t| where t is small, and may exceed 1 where t is not.
        """
        found = {node: jnp.max(jnp.abs(state[f"{node}.alpha"])) for node in self.factored}
        if self.assigned is not None:  # on the others it is still zero
            found = jax.lax.pmax(found, STACK)
        return found if self.shares == 1 else jax.lax.pmax(found, "sample")

    def dropped(self, state: State) -> dict[str, Array]:
        """Return the size of what each factored dot dropped in the last iteration, by node.

        The root mean square of alpha squared, times that by which the consensus moved.
        """
        sizes = {}
        for node in self.factored:
            held = {name: state.get(f"{node}.{name}", jnp.zeros(())) for name in "cfde"}
            moved = jnp.mean((held["f"] - held["c"]) ** 2) + jnp.mean((held["e"] - held["d"]) ** 2)
            own = jnp.mean(state[f"{node}.alpha"] ** 4)
            sizes[node] = jnp.sqrt(self._over_samples(None, own) * self._over_samples(None, moved))
        return sizes if self.assigned is None else jax.lax.pmax(sizes, STACK)

    def data_specs(self) -> dict[str, PartitionSpec]:
        """Return how inputs and targets are cut into the shares of the samples, by name."""
        specs = {}
        for op in self.program.walk():
            if isinstance(op, proj.DatumOp):
                whole = self._is_shared(op.sharding)
                specs[op.label.data] = PartitionSpec() if whole else PartitionSpec("sample")
        return specs

    def read_slots(self, params: Tensors, state: State) -> State:
        """Return the parameters that the slots hold; those without a slot stay as they are."""
        read = dict(params)
        slots = {v.node.data: name for name, v in self.variables.items() if v.kind.data == "slot"}
        for op in self._parameters():
            if op.label.data in slots:
                value = state[slots[op.label.data]]
                if self.assigned is not None:
                    value = from_device(self.assigned.device(op.label.data), value)
                read[op.label.data] = value
        return read

    def has_sets(self) -> bool:
        """Return whether parameters are required to be in sets."""
        return any(isinstance(op, proj.ConstrainOp) for op in self.program.body.block.ops)

    def constrained(self, params: Tensors) -> tuple[State, dict[str, Array]]:
        """Return the parameters projected onto their sets, and how far they were from each, by its label.

        Sets are taken in the order of the text: of several on one parameter the last holds exactly. The
        distance is the root mean square over the entries that the set is of.
        """
        after = dict(params)
        distances: dict[str, Array] = {}
        for op, parameter in self._required():
            value = _required_value(op, parameter, after)
            projected = _set_of(op).project(value)
            distances[op.node.data] = jnp.sqrt(jnp.mean((projected - value) ** 2))
            after |= _with_required(op, parameter, after, projected)
        return after, distances

    def resumed(self, latent: Tensors, start: Tensors, after: Tensors) -> State:
        """Return the parameters that training goes on from: see :meth:`ConstraintSet.resume`."""
        resumed = dict(after)
        for op, parameter in self._required():
            values = (_required_value(op, parameter, each) for each in (latent, start, resumed))
            resumed |= _with_required(op, parameter, resumed, _set_of(op).resume(*values))
        return resumed

    def _required(self) -> list[tuple[proj.ConstrainOp, proj.ParameterOp]]:
        """Return each set that a parameter is required to be in, and the parameter."""
        by_slot = {name: v.node.data for name, v in self.variables.items() if v.kind.data == "slot"}
        named = {op.label.data: op for op in self._parameters()}
        ops = [op for op in self.program.body.block.ops if isinstance(op, proj.ConstrainOp)]
        return [(op, named[by_slot[op.path.variable.data]]) for op in ops]

    def _parameters(self) -> list[proj.ParameterOp]:
        ops = self.program.forward_op().body.block.ops
        return [op for op in ops if isinstance(op, proj.ParameterOp)]

    def _gather(self, op: proj.GatherOp, lazy: LazyState, fixed: Fixed) -> Array:
        state = {path.variable.data: added(lazy[path.variable.data]) for path in op.paths}
        shape = shape_of(op.result)
        if _reads_by_number(op):
            over = self._total if self._is_shared(op.sharding) else (lambda found: found)
            return gathered_mean(_groups(op, self, fixed.data), state, fixed.forward[op.node.data], over)
        means, weights = [], []
        for nodes, paths, _ in _groups(op, self, {}):
            found = sum(collect(state[name], path, shape) for name, path in paths)
            made = np.asarray(sum(counts(path, shape) for _, path in paths))
            means.append(found / np.maximum(made, 1).astype(dtype_of(op.result)))
            weights.append(nodes * np.minimum(made, 1))
        readers = np.asarray(sum(weights, np.zeros((), np.int64)))
        mean = means[0] if len(means) == 1 else _averaged(means, weights, readers, dtype_of(op.result))
        if op.node.data in self.kept:
            return jnp.where(readers > 0, mean, fixed.forward[op.node.data])
        return jnp.asarray(mean)

    def _write(self, state: dict[str, Lazy], op: proj.WriteOp, value: Array, data: Tensors) -> None:
        for path in op.paths:
            name = path.variable.data
            shape = shape_of(self.variables[name].type)
            steps = bound(path.way(), data)
            held = None if owns_all(steps) or name not in state else added(state[name])
            written = write(held, value, steps, shape)
            state[name] = self._placed(self.variables[name].sharding, written)


def _by_move(gap: LazyState, before: LazyState, after: LazyState, added_up: State) -> LazyState:
    """Return the gap as what the state moves by, where it is that: then no more is computed for it."""
    found = dict(gap)
    for name, value in gap.items():
        if equal(value, combined((1, -1), (after[name], before[name]))):
            found[name] = combined((1, -1), (added_up[name], before[name]))
    return found


def dtype_of(value: SSAValue | Attribute) -> np.dtype[Any]:
    """Return the NumPy type of a tensor's elements."""
    kind = value.type if isinstance(value, SSAValue) else value
    assert isinstance(kind, TensorType)
    return np.dtype({f32: np.float32, f64: np.float64, i32: np.int32}[kind.get_element_type()])


def static_fields(fields: Mapping[str, Attribute]) -> dict[str, Any]:
    """Return an operator's static attributes as Python values."""
    found: dict[str, Any] = {}
    for name, attribute in fields.items():
        match attribute:
            case DenseArrayBase():
                found[name] = tuple(attribute.get_values())
            case FloatAttr() | IntegerAttr():
                found[name] = attribute.value.data
            case StringAttr():
                found[name] = attribute.data
            case _:
                raise TypeError(f"field '{name}' has an attribute of unknown kind: {attribute}")
    return found


def _first_value(op: proj.ParameterOp, key: Array) -> Array:
    """Return what a parameter, or each member of a family, starts from: drawn with its own name."""
    shape, dtype = shape_of(op.result), dtype_of(op.result)
    family = None if op.family is None else op.family.value.data
    hashes = np.array([zlib.crc32(name.encode()) for name in op.names()], np.uint32)
    if op.members is None:
        return initial(op.init, jax.random.fold_in(key, hashes[0]), shape, dtype, family)
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, hashes)
    return jnp.asarray(jax.vmap(lambda own: initial(op.init, own, shape[1:], dtype))(keys))


def initial(
    init: InitAttr, key: Array, shape: tuple[int, ...], dtype: np.dtype[Any], family: int | None = None
) -> Array:
    """Return a parameter's first value; that of a family of parameters along the first axis.

    he_normal has standard deviation ``sqrt(2 / fan_in)`` (He et al., "Delving deep into rectifiers",
    2015), glorot_uniform the bound ``sqrt(6 / (fan_in + fan_out))`` (Glorot and Bengio, 2010). The last
    axis counts outputs, all axes before it inputs.
    """
    own = shape if family is None else shape[1:]
    fan_in, fan_out = (prod(own[:-1]), own[-1]) if len(own) > 1 else (prod(own), prod(own))
    arguments = init.arguments.get_values()
    draws: dict[str, Callable[[], Array]] = {
        "zeros": lambda: jnp.zeros(shape, dtype),
        "ones": lambda: jnp.ones(shape, dtype),
        "constant": lambda: jnp.full(shape, arguments[0], dtype),
        "normal": lambda: arguments[0] * jax.random.normal(key, shape, dtype),
        "uniform": lambda: jax.random.uniform(key, shape, dtype, arguments[0], arguments[1]),
        "he_normal": lambda: sqrt(2 / fan_in) * jax.random.normal(key, shape, dtype),
        "glorot_uniform": lambda: (
            sqrt(6 / (fan_in + fan_out)) * jax.random.uniform(key, shape, dtype, -1.0, 1.0)
        ),
    }
    return init.scale.value.data * draws[init.kind.data]()


def _evaluate(op: proj.EvaluateOp, inputs: list[Array]) -> Array:
    """Return the operation's value on whole tensors; a dot needs no copies for that."""
    fields = static_fields(op.fields.data)
    if op.operator.data in BILINEAR:
        return bilinear(op.operator.data, fields, *inputs).forward(*inputs)
    return operator(op.operator.data, **fields).forward(*inputs)


def _viewed(op: Operation, inputs: list[Array]) -> Array:
    assert isinstance(op, ViewOp)
    if isinstance(op, ViewGatherOp):
        table, indices = inputs
        return jnp.asarray(spread(table, bound([Gather(indices.shape, "")], {"": indices})))
    if len(inputs) == 1:
        return jnp.asarray(spread(inputs[0], bound([op.step(0)])))
    return bound([op.step(len(inputs) - 1)])[0].joined(inputs)


def _required_value(op: proj.ConstrainOp, parameter: proj.ParameterOp, params: Tensors) -> Array:
    """Return what is required to be in a set: a parameter, or a view of it."""
    return jnp.asarray(spread(params[parameter.label.data], bound(op.path.way())))


def _with_required(op: proj.ConstrainOp, parameter: proj.ParameterOp, params: Tensors, value: Array) -> State:
    """Return the parameter of which a view has a new value; what the view does not show stays."""
    whole, steps = params[parameter.label.data], bound(op.path.way())
    made = np.asarray(counts(steps, whole.shape))
    mean = collect(value, steps, whole.shape) / np.maximum(made, 1).astype(whole.dtype)
    return {parameter.label.data: jnp.where(made > 0, mean, whole) if steps else value}


def _set_of(op: proj.ProjectSetOp | proj.ConstrainOp) -> ConstraintSet:
    return constraint_set(op.kind.data, **static_fields(op.fields.data))


def _project(op: proj.ProjectOp | proj.ProjectLossOp, values: dict[SSAValue, Array]) -> None:
    copies = tuple(values[each] for each in op.copies)
    fields = static_fields(op.fields.data)
    if isinstance(op, proj.ProjectLossOp):
        target = values[op.target]
        new = loss(op.operator.data, **fields).project(copies, target)
    else:
        new, value = operator(op.operator.data, **fields).project(copies, values[op.value])
        values[op.new_value] = value
    values.update(zip(op.new_copies, new, strict=True))


def _project_compressed(
    op: proj.ProjectSharedOp | proj.ProjectHalfwayOp, values: dict[SSAValue, Array]
) -> None:
    one, other = (values[each] for each in op.inputs)
    wanted, z = op.wanted.get_values(), values[op.value]
    product = bilinear(op.operator.data, static_fields(op.fields.data), one, other)
    if isinstance(op, proj.ProjectSharedOp):
        means, value = project_shared(one, other, z, wanted, product)
    else:
        held = {name.data: values[each] for name, each in zip(op.held, op.factors, strict=True)}
        means, new, value, _ = _halfway(op.form.data, (one, other), held, z, wanted, product)
        for name, each in zip(op.held, op.new_factors, strict=True):
            values[each] = getattr(new, name.data)
    values.update(zip(op.new_means, means, strict=True))
    values[op.new_value] = value


def _halfway(
    form: str,
    agreed: tuple[Array, Array],
    held: Tensors,
    z: Array,
    wanted: Sequence[int],
    product: Bilinear,
) -> Projected:
    """Return the projection of a product in one of the forms that go from iteration to iteration."""
    one, other = agreed
    if form == "held":
        return project_held(agreed, Held(**{"c": one, "d": other, **held}), z, wanted)
    factors = Factors(**{"c": one, "f": one, "d": other, "e": other, **held})
    return project_factored(agreed, factors, z, wanted, product)


def _reads_by_number(op: proj.GatherOp) -> bool:
    """Whether some reader's copies depend on indices, so that the counts are known only at run time."""
    return any(path.by_number() for path in op.paths)


def _groups(op: proj.GatherOp, emitter: Emitter, data: Tensors) -> list[Reader]:
    """Return the readers of a value."""
    found: dict[tuple[str, int], Reader] = {}
    for path in op.paths:
        name = path.variable.data
        key = emitter.variables[name].node.data, path.group.data
        reader = found.setdefault(key, Reader(path.nodes.data, [], bool(path.apart.data)))
        reader.paths.append((name, bound(path.way(), data)))
    return list(found.values())


def _averaged(
    means: Sequence[Array], weights: Sequence[np.ndarray], readers: np.ndarray, dtype: np.dtype[Any]
) -> Array:
    """Return the mean of the readers' means, each with as many votes as nodes of it read an entry."""
    total: Any = 0
    for mean, weight in zip(means, weights, strict=True):
        total = total + (mean if np.all(weight == 1) else mean * weight.astype(dtype))
    return jnp.asarray(total / np.maximum(readers, 1).astype(dtype))


def _readers(op: proj.GatherOp, emitter: Emitter) -> np.ndarray:
    """Return how many nodes read each entry."""
    shape = shape_of(op.result)
    found = np.zeros((), np.int64)
    for nodes, paths, _ in _groups(op, emitter, {}):
        made = sum(counts(path, shape) for _, path in paths)
        found = found + nodes * np.minimum(made, 1)
    return found


def _constant(op: proj.ConstantOp) -> Array:
    return jnp.full(shape_of(op.result), op.value.value.data, dtype_of(op.result))


@dataclass
class _Forward:
    """The forward pass while it runs: values by SSA value, and those of parameters and operations by node."""

    params: Tensors
    data: Tensors
    values: dict[SSAValue, Array] = field(default_factory=dict)
    by_node: dict[str, Array] = field(default_factory=dict)

    def evaluate(self, op: Operation) -> None:
        """Evaluate one op of the forward pass, or of the body of a loop in it."""
        match op:
            case proj.DatumOp():
                if op.result.uses:
                    self.values[op.result] = self.data[op.label.data]
            case proj.ConstantOp():
                self.values[op.result] = _constant(op)
            case proj.ParameterOp():
                self.values[op.result] = self.by_node[op.label.data] = self.params[op.label.data]
            case proj.EvaluateOp():
                with jax.named_scope(op.node.data):
                    self.values[op.result] = _evaluate(op, [self.values[each] for each in op.inputs])
                self.by_node[op.node.data] = self.values[op.result]
            case ViewOp():
                self.values[op.results[0]] = _viewed(op, [self.values[each] for each in op.operands])
            case proj.ForOp():
                self.repeat(op)

    def repeat(self, loop: proj.ForOp) -> None:
        """Run a loop: a scan over slices of the values that it runs over."""
        block = loop.body.block
        count, end = loop.count.value.data, block.last_op
        assert isinstance(end, proj.NextOp)

        outer = _read_from_outside(block, self.values)

        def body(
            carried: list[Array], slices: list[Array], common: list[Array]
        ) -> tuple[list[Array], list[Array]]:
            inner = _Forward(self.params, self.data, dict(zip(outer, common, strict=True)))
            inner.values |= zip(block.args, [*carried, *slices], strict=True)
            for op in block.ops:
                inner.evaluate(op)
            return [inner.values[v] for v in end.carried], [inner.values[v] for v in end.collected]

        inits = [self.values[value] for value in loop.inits]
        scanned = [self.values[value] for value in loop.scanned]
        cut = [x.reshape(count, x.shape[0] // count, *x.shape[1:]) for x in scanned]
        with jax.named_scope(loop.label.data):
            stacked = scan(body, inits, cut, [self.values[value] for value in outer], count)
        for result, inside, rows in zip(loop.collected, end.collected, stacked, strict=True):
            self.values[result] = rows.reshape(-1, *rows.shape[2:])
            if isinstance(inside.owner, proj.EvaluateOp):
                self.by_node[inside.owner.node.data] = self.values[result]


def _read_from_outside(block: Block, values: Mapping[SSAValue, Array]) -> list[SSAValue]:
    """Return the values from outside that the ops of a block read."""
    read = dict.fromkeys(operand for op in block.ops for operand in op.operands)
    return [value for value in read if value in values and value not in block.args]
