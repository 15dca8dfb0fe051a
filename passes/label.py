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

    One without a label gets its operator's name. Of several with one label the first that was given it keeps
    it, and the others get it with a number. Parameters keep theirs, by which they are known outside.

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
    kept = {op.label.data for op in found if isinstance(op, ops.ParameterOp)}
    named = [op for op in found if isinstance(op, ForOp | ops.NodeOp) and not isinstance(op, _KNOWN_OUTSIDE)]
    names = Labels(kept.union(op.label.data for op in named if op.label is not None))
    for op in named:
        label = op.label.data if op.label is not None else ""  # which none of them is
        if not label or label in kept:
            label = names.unused(label or _operator(op))
        kept.add(label)
        op.label = StringAttr(label)


def _operator(op: ForOp | ops.NodeOp) -> str:
    return "loop" if isinstance(op, ForOp) else op.operator


_KNOWN_OUTSIDE = (ops.InputOp, ops.ParameterOp)


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
