"""Give every operation of a network a label of its own."""

from __future__ import annotations

from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.passes import ModulePass

from pjc.dialects import net, ops
from pjc.dialects.loops import ForOp


@dataclass(frozen=True)
class LabelPass(ModulePass):
    """Give every operation, loss, set and loop of a network a label of its own.

    One without a label gets its operator's name. Of several with one label the first keeps it, and the others
    get it with a number. Parameters keep theirs, by which they are known outside.

    ```
    %a = op.dot "dense.matmul" %x, %w : ...         %a = op.dot "dense.matmul" %x, %w : ...
    %b = op.dot "dense.matmul" %a, %w : ...    ->   %b = op.dot "dense.matmul_1" %a, %w : ...
    %c = op.identity %b : ...                       %c = op.identity "identity" %b : ...
    ```
    """

    name = "net-label"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for network in op.ops:
            if isinstance(network, net.NetworkOp):
                label_operations(network)


def label_operations(network: net.NetworkOp) -> None:
    """Give every operation, loss, set and loop of a network a label of its own; see :class:`LabelPass`."""
    found = list(network.walk())
    names = Labels({op.label.data for op in found if isinstance(op, ops.ParameterOp)})
    for op in found:
        if isinstance(op, ForOp):
            op.label = StringAttr(names.unused(op.label.data))
        elif isinstance(op, ops.NodeOp) and not isinstance(op, ops.InputOp | ops.ParameterOp):
            op.label = StringAttr(names.unused(op.operator if op.label is None else op.label.data))


@dataclass
class Labels:
    """The labels that are taken."""

    taken: set[str]
    counts: dict[str, int] = field(default_factory=dict)
    """For each label that was asked for again, the last number that it got."""

    def unused(self, label: str) -> str:
        """Return the label, with a number if it is taken, and take it."""
        found = label
        while found in self.taken:
            self.counts[label] = self.counts.get(label, 0) + 1
            found = f"{label}_{self.counts[label]}"
        self.taken.add(found)
        return found
