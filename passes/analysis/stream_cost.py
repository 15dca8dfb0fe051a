"""What a tick of a stream costs on a mesh of devices, predicted from its stages.

A stage runs forward on the piece that comes, if it hands something on, and again on the one that comes back;
and each of its products asks twice, of either operand, each time at the cost of the product. Then its
parameters move. Stages alike are shared evenly; the first device also has what stands before them, the last
one what stands behind, and the device that has the most decides. What crosses from device to device along
``stack`` is what one stage hands on, and what one is asked, one after the other; along ``sample`` devices add
up what is asked of parameters.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from pjc.dialects import proj
from pjc.dialects.asking import DemandInSetOp, DemandOp, OverSamplesOp, RespondOp, RespondSharedOp
from pjc.dialects.ops import ParameterOp, operation_of
from pjc.dialects.streaming import DATA, HandOp, RingOp, StageOp
from pjc.dialects.view import element_bytes, shape_of
from pjc.passes.analysis.cost import ENTRY_OPERATIONS, CostModel, Message


class StreamCostModel(CostModel):
    """The costs of a tick, which are what :class:`CostModel` has of an iteration."""

    def compute(self) -> float:
        """Return the operations of a tick on that device which has the most."""
        devices = self._pieces(("stack",))
        loads = [0.0] * devices
        for stage in self.program.stage_ops():
            work = self._work(stage)
            if stage.home == "shared":
                loads = [load + work * stage.count / devices for load in loads]
            else:
                loads[0 if stage.home == "first" else -1] += work
        return max(loads)

    def forward(self) -> float:
        """Return 0: a tick has its forward pass in it."""
        return 0.0

    def messages(self) -> Iterator[Message]:
        """Yield the collectives of a tick."""
        devices, samples = self._pieces(("stack",)), self._pieces(("sample",))
        for ring in self.program.rings().values():
            if devices > 1 and _crosses(ring):
                size = prod(shape_of(ring.type)) * element_bytes(ring.type) // samples
                yield Message("collective-permute", ("stack",), size, ring.kind.data, ring.label)
        for stage in self.program.stage_ops() if samples > 1 else ():
            own = stage.count // devices if stage.count > 1 else 1
            for op in stage.walk():
                if isinstance(op, OverSamplesOp) and op.everywhere is not None:
                    size = prod(shape_of(op.result)) * element_bytes(op.result.type) * own
                    yield Message("all-reduce", ("sample",), size, "tick", stage.label.data)

    def _work(self, stage: StageOp) -> float:
        """Return the operations of one stage, of several alike, on one device's share of the samples."""
        forward = stage.forward_op().body.block.ops
        times = 2 if any(isinstance(op, HandOp) for op in forward) else 1
        samples, moving = 0.0, 0.0
        products = {}
        for op in forward:
            if isinstance(op, proj.EvaluateOp):
                inputs = [shape_of(each) for each in op.inputs]
                work = operation_of(op.operator.data).work(inputs, shape_of(op.result))
                products[op.node.data] = work
                samples += times * work
            elif isinstance(op, ParameterOp):
                moving += ENTRY_OPERATIONS * prod(shape_of(op.result))
        for op in stage.sweep_op().walk():
            if isinstance(op, RespondSharedOp):
                samples += products[op.node.data]
            elif isinstance(op, RespondOp | DemandOp | DemandInSetOp):
                samples += ENTRY_OPERATIONS * sum(prod(shape_of(each)) for each in op.results)
        return samples / self._pieces(("sample",)) + moving


def _crosses(ring: RingOp) -> bool:
    """Whether what a ring takes goes from device to device: among stages alike, or past all of them."""
    if ring.kind.data == DATA:
        return False
    return ring.count > 1 or 0 in ring.ends
