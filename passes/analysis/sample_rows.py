"""Where the samples of a batch are in the values of a problem that is being lowered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from xdsl.ir import SSAValue

from pjc.dialects import feas, ops, proj
from pjc.dialects.steps import Rows
from pjc.dialects.view import GatherOp, ViewOp, shape_of
from pjc.passes.analysis.own_rows import own_rows
from pjc.passes.analysis.reach import Reach
from pjc.passes.analysis.rows import Mixed, after_view
from pjc.passes.analysis.samples import Samples


def samples_in(
    problem: feas.ProblemOp, program: proj.ProgramOp, values: Mapping[SSAValue, SSAValue]
) -> tuple[SampleRows, Reach]:
    """Return where the values of a problem have their samples, and which values samples have of their own."""
    rows, reach = SampleRows(program, values), Reach(problem)
    if rows.batch is not None:
        rows.own = own_rows(reach, rows.batch, rows.of)
        made = (value for value in rows.own if isinstance(value.owner, ops.OperationOp))
        reach.own = reach.after({*reach.own, *made})
    return rows, reach


@dataclass
class SampleRows:
    """The rows of a problem's values, found in the forward pass of its program.

    ``values`` are what stands in the program for the values of the problem. Where operations mix samples,
    only those of targets and inputs are known.
    """

    program: proj.ProgramOp
    values: Mapping[SSAValue, SSAValue]
    own: Mapping[SSAValue, Rows] = field(default_factory=dict, init=False)
    """The rows of values that no data give, as their readers tell them."""

    @property
    def batch(self) -> int | None:
        """The size of the dimension called ``batch``, if there is one."""
        return self.program.batch

    @cached_property
    def samples(self) -> Samples | None:
        """The samples of the program; None where there are none, or operations mix them."""
        if self.batch is None:
            return None
        try:
            return Samples(self.program, self.batch)
        except Mixed:
            return None

    def of(self, value: SSAValue) -> Rows | None:
        """Return where a value has its samples; None where it has none, or that is not known."""
        owner = value.owner
        if isinstance(owner, ops.SourceOp):
            shape = shape_of(value)
            return Rows(0) if shape and shape[0] == self.batch else None
        if value in self.own:
            return self.own[value]
        if self.samples is None:
            return None
        known = self.values.get(value)
        if known is not None and known in self.samples.values:
            return self.samples.values[known].rows
        if isinstance(owner, ViewOp):
            return self._viewed(owner)
        return None

    def _viewed(self, op: ViewOp) -> Rows | None:
        assert self.batch is not None
        for index, operand in enumerate(op.operands):
            is_table = isinstance(op, GatherOp) and operand is op.table
            rows = None if is_table else self.of(operand)
            if rows is not None:
                return after_view(op, index, rows, self.batch)
        return None
