"""The projection of a state onto a part: onto the constraints of its nodes, one by one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
from jax import Array
from xdsl.ir import Operation, SSAValue

from pjc.dialects import ops, proj
from pjc.dialects.view import ViewOp
from pjc.runtime.combination import Lazy, LazyState, added, combined
from pjc.runtime.emit.agreement import agreed
from pjc.runtime.emit.metric import NO_METRIC
from pjc.runtime.emit.telling import PartTelling
from pjc.runtime.emit.values import constant, set_of, static_fields
from pjc.runtime.emit.variables import Fixed, Variables
from pjc.runtime.emit.views import viewed
from pjc.runtime.program import Tensors
from pjc.runtime.projections import loss, operator
from pjc.runtime.projections.bilinear import Bilinear, bilinear
from pjc.runtime.projections.dot_halfway import Factors, Held, Projected, project_factored, project_held
from pjc.runtime.projections.dot_shared import project_shared


def project(
    part: proj.PartOp,
    variables: Variables,
    state: LazyState,
    fixed: Fixed,
    given: LazyState | None = None,
    metric: Tensors = NO_METRIC,
    telling: PartTelling | None = None,
) -> LazyState:
    """Return the projection of a state onto a part.

    ``given`` is the second state that a part with halfway forms needs, ``metric`` the weights of copies;
    ``telling`` hears of the part.
    """

    def run(ops: Iterable[Operation]) -> LazyState:
        running = _Part(variables, state, fixed, given, dict(state), metric, telling=telling)
        for op in ops:
            running.evaluate(op)
        return running.after

    with jax.named_scope(f"part_{part.part.data}"):
        after = variables.placement.project(part, state, run)
    if telling is not None:
        telling.projected(part, state, after)
    return after


def losses(part: proj.PartOp, variables: Variables, state: LazyState, fixed: Fixed) -> list[Array]:
    """Return the mean over its sites of each loss of a part, at a state, over all shares of the samples."""
    found = []
    for op in part.body.block.ops:
        if not isinstance(op, proj.ProjectLossOp):
            continue
        running = _Part(variables, state, fixed, None, dict(state), NO_METRIC)
        for needed in _leading_to(op):
            running.evaluate(needed)
        required = loss(op.operator.data, **static_fields(op.fields.data))
        copies = tuple(running.values[each] for each in op.copies)
        sites = required.value(copies, running.values[op.target])
        found.append(variables.placement.mean(None, jnp.mean(sites)))
    return found


def _leading_to(op: Operation) -> list[Operation]:
    """Return the ops that those values come from which an op takes, each once, in their order."""
    found: dict[Operation, None] = {}
    for value in op.operands:
        if isinstance(value.owner, Operation) and value.owner not in found:
            found |= dict.fromkeys([*_leading_to(value.owner), value.owner])
    return list(found)


@dataclass
class _Part:
    """A part while it is projected onto: values by SSA value, and the state ``after`` what was written."""

    variables: Variables
    state: LazyState
    fixed: Fixed
    given: LazyState | None
    after: dict[str, Lazy]
    metric: Tensors
    values: dict[SSAValue, Array] = field(default_factory=dict)
    telling: PartTelling | None = None

    def evaluate(self, op: Operation) -> None:
        """Evaluate one op of the part."""
        match op:
            case proj.ReadOp():
                source = self.state if op.given is None or self.given is None else self.given
                self.values[op.result] = added(source[op.variable.data])
            case ViewOp():
                self.values[op.results[0]] = viewed(op, [self.values[each] for each in op.operands])
            case proj.DatumOp():
                self.values[op.result] = self.fixed.data[op.label.data]
            case ops.ConstantOp():
                self.values[op.result] = constant(op)
            case proj.WriteOp():
                self.write(op)
            case (
                proj.GatherOp()
                | proj.ProjectOp()
                | proj.ProjectLossOp()
                | proj.ProjectSetOp()
                | proj.ProjectSharedOp()
                | proj.ProjectHalfwayOp()
            ):
                with jax.named_scope(op.node.data):
                    self.project(op)
                    self.tell(op)
            case _:
                raise TypeError(f"a part has no {op.name}")

    def tell(self, op: Operation) -> None:
        """Tell of what a node did, where somebody hears of it."""
        if self.telling is None:
            return
        if isinstance(op, proj.GatherOp):
            self.telling.gathered(op, self.state, self.fixed, self.values[op.result])
        else:
            self.telling.worked(op, self.values)

    def write(self, op: proj.WriteOp) -> None:
        """Write a value, or what it is beyond what was agreed on."""
        value = self.values[op.value]
        if op.agreed is None:
            self.variables.write(self.after, op, value, self.fixed.data)
            return
        beyond = self.values[op.agreed]
        for name in (path.variable.data for path in op.paths):
            self.after[name] = combined((1, 1, -1), (value, self.after[name], beyond))

    def project(
        self,
        op: proj.GatherOp
        | proj.ProjectOp
        | proj.ProjectLossOp
        | proj.ProjectSetOp
        | proj.ProjectSharedOp
        | proj.ProjectHalfwayOp,
    ) -> None:
        """Evaluate what a node does: gather what its readers agree on, or project onto its constraint."""
        values = self.values
        match op:
            case proj.GatherOp():
                values[op.result] = agreed(op, self.variables, self.state, self.fixed, self.metric)
            case proj.ProjectOp():
                copies = tuple(values[each] for each in op.copies)
                made = operator(op.operator.data, **static_fields(op.fields.data))
                new, values[op.new_value] = made.project(copies, values[op.value])
                values.update(zip(op.new_copies, new, strict=True))
                self.place_value(op)
            case proj.ProjectLossOp():
                copies = tuple(values[each] for each in op.copies)
                required = loss(op.operator.data, **static_fields(op.fields.data))
                new = required.project(copies, values[op.target])
                values.update(zip(op.new_copies, new, strict=True))
            case proj.ProjectSetOp():
                values[op.new_copies] = set_of(op).project(values[op.copies])
            case proj.ProjectSharedOp() | proj.ProjectHalfwayOp():
                _project_compressed(op, values)
                self.share_means(op)
                self.place_value(op)

    def share_means(self, op: proj.ProjectSharedOp | proj.ProjectHalfwayOp) -> None:
        """Make the new means of a compressed node those over all shares of the samples."""
        for index, mean in zip(op.wanted.get_values(), op.new_means, strict=True):
            name = self.variables.mean(op.node.data, index)
            sharding = self.variables.by_name[name].sharding
            self.values[mean] = self.variables.placement.mean(sharding, self.values[mean])

    def place_value(self, op: proj.ProjectOp | proj.ProjectSharedOp | proj.ProjectHalfwayOp) -> None:
        """Split the new value of a node as what was gathered for it."""
        if isinstance(op.value.owner, proj.GatherOp):
            placement, sharding = self.variables.placement, op.value.owner.sharding
            self.values[op.new_value] = placement.placed(sharding, self.values[op.new_value])


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
