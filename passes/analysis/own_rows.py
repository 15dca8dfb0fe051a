"""Which values that no data give are each sample's own, since it reads its row of them and no other.

``h @ w`` depends on a parameter alone if h is a constant of ``(batch, 4)``, from which a loop may start; at
later steps of that loop h depends on data. A sweep is to ask the same of all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from xdsl.ir import SSAValue, Use

from pjc.dialects import ops
from pjc.dialects.steps import Rows
from pjc.dialects.view import ViewOp, shape_of
from pjc.passes.analysis.reach import Reach
from pjc.passes.analysis.rows import (
    Layout,
    Mixed,
    after_view,
    leaves_samples,
    operation_layouts,
    possible_rows,
)


def own_rows(reach: Reach, batch: int, known: Callable[[SSAValue], Rows | None]) -> dict[SSAValue, Rows]:
    """Return the values of which each sample reads its own row alone, and where, of those that no data give.

    ``known`` tells where a value that data give has its samples, if it has. All that might have rows by their
    shapes are taken to, and what a reader contradicts is struck out until nothing changes: so it is found
    around loops too. What nothing reads but sets, in the end, has no samples that would tell its rows.
    """
    listed = [op for group in reach.outputs_first() for op in reversed(group)]
    found: dict[SSAValue, set[Rows]] = {
        value: set(possible_rows(shape_of(value), range(len(shape_of(value))), batch))
        for op in listed
        if isinstance(op, ops.OperationOp | ViewOp)
        for value in op.results
        if value in reach.moved and value not in reach.given
    }
    readers = _Readers(reach, batch, known, found)
    while sum(readers.strike_out(value) for value in found):
        pass
    while sum(readers.tell(value) for value in found):
        pass
    return {
        value: min(rows, key=lambda each: (each.axis, each.inner))
        for value, rows in found.items()
        if rows and value in readers.told
    }


@dataclass
class _Readers:
    """What the readers of values say of their rows."""

    reach: Reach
    batch: int
    known: Callable[[SSAValue], Rows | None]
    found: dict[SSAValue, set[Rows]]
    """The rows that values may have, of those that no data give."""
    told: set[SSAValue] = field(default_factory=set)
    """The values that are read, in the end, where samples are known."""

    def strike_out(self, value: SSAValue) -> bool:
        """Keep of a value's rows those that all of its readers allow; return whether some were others."""
        uses = list(value.uses)
        kept = {rows for rows in self.found[value] if all(self._allows(use, rows) for use in uses)}
        changed = kept != self.found[value]
        self.found[value] = kept
        return changed

    def _allows(self, use: Use, rows: Rows) -> bool:
        """Whether what reads a value there reads, for a sample, the rows of that sample and no others."""
        match use.operation:
            case ops.OutputOp():
                return True
            case ops.LossOp() as loss:
                return use.index == 0 and self.known(loss.target) == rows
            case ops.SetOp() as node:
                return leaves_samples(node.kind.data, node.fields(), rows.axis)
            case ops.OperationOp() | ViewOp() as reader:
                after = _after(reader, use.index, rows, self.batch)
                return after is not None and after in self._possible(reader.results[0])
        return False

    def _possible(self, value: SSAValue) -> set[Rows]:
        """Return the rows that a value has, or may have."""
        if value not in self.reach.given:
            return self.found.get(value, set())
        rows = self.known(value)
        return set() if rows is None else {rows}

    def tell(self, value: SSAValue) -> bool:
        """Note whether a value is read where samples are known; return whether that is new."""
        readers = [use.operation for use in value.uses]
        made = [result for reader in readers for result in reader.results]
        told = any(isinstance(reader, ops.LossOp) for reader in readers) or any(
            result in self.reach.given or result in self.told for result in made
        )
        new = told and value not in self.told
        if new:
            self.told.add(value)
        return new


def _after(reader: ops.OperationOp | ViewOp, index: int, rows: Rows, batch: int) -> Rows | None:
    """Return where the samples of a result are if those of one operand are there; None if it mixes them."""
    if isinstance(reader, ViewOp):
        return after_view(reader, index, rows, batch)
    others = Layout(None, frozenset({rows}))
    layouts = [Layout(rows) if place == index else others for place in range(len(reader.operands))]
    try:
        _, found = operation_layouts(reader, layouts, reader.called)
    except Mixed:
        return None
    return found.rows
