"""A program's functions, each pure and traceable, and what they have in common."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from jax import Array

from pjc.dialects import proj
from pjc.runtime.combination import LazyState
from pjc.runtime.emit import iterate, parameters
from pjc.runtime.emit.agreement import kept_nodes
from pjc.runtime.emit.forward import run_forward
from pjc.runtime.emit.iterate import Moving
from pjc.runtime.emit.measures import Measures
from pjc.runtime.emit.metric import first_metric, moved, rate_of
from pjc.runtime.emit.parts import losses
from pjc.runtime.emit.required import Required, required_sets, within
from pjc.runtime.emit.sweep import Swept, run_sweep
from pjc.runtime.emit.telling import PartTelling, SweepTelling, Told, told_of_parameters
from pjc.runtime.emit.variables import Fixed, State, Variables
from pjc.runtime.emit.weighing import Weighing
from pjc.runtime.placement import ONE_DEVICE, Placement
from pjc.runtime.program import Tensors


@dataclass(frozen=True)
class Emitter:
    """The functions of a program.

    On a mesh, those that train are for :meth:`Placement.mapped`: they run on one share of the samples.
    """

    program: proj.ProgramOp
    placement: Placement = ONE_DEVICE

    @cached_property
    def variables(self) -> Variables:
        """What a state has an array for."""
        return Variables(self.program, self.placement)

    @cached_property
    def measures(self) -> Measures:
        """What an update says of itself."""
        return Measures(self.program, self.variables)

    @cached_property
    def sets(self) -> list[Required]:
        """The sets that parameters are required to be in."""
        return required_sets(self.program, self.variables)

    @cached_property
    def kept(self) -> frozenset[str]:
        """The nodes whose forward values what their readers agree on needs."""
        return kept_nodes(self.program, self.variables)

    def init(self, key: Array) -> State:
        """Return fresh parameters; each draws from the key and its own name alone."""
        ops = parameters.parameters_of(self.program)
        return {name: parameters.first_value(op, key) for name, op in ops.items()}

    def apply(self, params: Tensors, data: Tensors) -> dict[str, Array]:
        """Return the network's outputs by name."""
        return run_forward(self.program, self.variables, params, data, exact=True).outputs

    def start(self, params: Tensors, data: Tensors) -> tuple[State, Fixed]:
        """Return the state in which all copies agree with the forward pass."""
        params = parameters.placed(self.program, self.placement, params)
        ran = run_forward(self.program, self.variables, params, data)
        return ran.state, Fixed(data, {name: ran.values[name] for name in sorted(self.kept)})

    def sweep(
        self, params: Tensors, data: Tensors, weights: Array | None = None, tells: bool = False
    ) -> tuple[Swept, Told]:
        """Return what a sweep gives, from parameters in their sets; ``weights`` are those of samples.

        Where it ``tells`` of its nodes, that stands behind.
        """
        params = parameters.placed(self.program, self.placement, params)
        ran = run_forward(self.program, self.variables, params, data)
        batch = self.program.batch or 1
        weighing = Weighing.of(self.placement, batch, weights)
        telling = SweepTelling(self.program, weighing) if tells else None
        found = run_sweep(self.program, self.variables, ran.values, data, weighing, telling)
        found = found._replace(displacement=within(self.sets, params, found.displacement))
        if telling is None:
            return found, {}
        return found, telling.told | told_of_parameters(self.program, params, found.displacement)

    def losses(self, state: State, fixed: Fixed) -> list[Array]:
        """Return the mean of each loss over its sites, at a state of a program that iterates."""
        parts = self.program.part_ops().values()
        return [each for part in parts for each in losses(part, self.variables, state, fixed)]

    def first(self, state: State) -> Moving:
        """Return what iterations change, as it is at first: in the metric all copies weigh the same."""
        return Moving(state, first_metric(self.program, self.variables))

    def iterate(self, moving: Moving, fixed: Fixed) -> tuple[Moving, LazyState]:
        """Return what is after one iteration of the solver, and the difference whose size is the gap."""
        state, metric = moving
        after, gap = iterate.iterate(self.program, self.variables, state, fixed, metric)
        return Moving(after, moved(metric, gap, rate_of(self.program)) if metric else metric), gap

    def tell(self, moving: Moving, fixed: Fixed) -> Told:
        """Return what one more iteration tells of the nodes.

        It is not kept: an update whose nodes are told of has the same iterations as any other.
        """
        telling = PartTelling(self.variables, self.measures)
        _, differences = iterate.iterate(
            self.program, self.variables, moving.state, fixed, moving.metric, telling
        )
        gaps = self.measures.node_gaps(self.measures.square_gaps(differences))
        return {"gap": gaps, **telling.told}
