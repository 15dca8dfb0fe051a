"""Restate a network as a feasibility problem."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, NameLoc, i32
from xdsl.ir import Block, Operation, Region, SSAValue
from xdsl.passes import ModulePass
from xdsl.utils.exceptions import PassFailedException

from pjc.dialects import feas, net
from pjc.dialects.view import ViewOp, element_of


@dataclass(frozen=True)
class NetToFeasPass(ModulePass):
    """Restate a network as a feasibility problem.

    Inputs become data (or, as numbers of rows, indices), parameters stay parameters, every operation becomes
    a constraint on its operands and its result, every ``require`` a loss; views are kept as they are. A
    constraint is labelled by the place where it was written.

    ```
    %z = net.matmul %x, %w : ...              %z = feas.dot "dense_0.matmul" %x, %w : ...
    %h = net.sum_relu %z axes [] : ...   ->   %h = feas.sum_relu "relu" %z axes [] : ...
    net.margin %h, %y in [0.0, 1.0] : ...     feas.margin "margin" %h, %y in [0.0, 1.0] : ...
    ```
    """

    name = "net-to-feas"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for network in [each for each in op.ops if isinstance(each, net.NetworkOp)]:
            block = Block()
            _Conversion(block).run(network)
            problem = feas.ProblemOp(network.sym_name.data, network.dims, Region([block]))
            problem.location = network.location
            op.body.block.insert_op_before(problem, network)
            network.detach()
            network.erase()


@dataclass
class _Conversion:
    block: Block
    values: dict[SSAValue, SSAValue] = field(default_factory=dict)
    used: Counter[str] = field(default_factory=Counter)

    def run(self, network: net.NetworkOp) -> None:
        for op in network.body.block.ops:
            new = self.converted(op)
            new.location = op.location
            self.block.add_op(new)
            for old_result, new_result in zip(op.results, new.results, strict=True):
                new_result.name_hint = old_result.name_hint
                self.values[old_result] = new_result

    def label(self, op: Operation) -> str:
        """Return a unique label: where the op was written, else what it is, and a count."""
        written, kind = op.location, op.name.removeprefix("net.")
        label = written.desc.data if isinstance(written, NameLoc) else kind
        self.used[label] += 1
        if self.used[label] == 1:
            return label
        return self.unused(label)

    def unused(self, label: str) -> str:
        while (candidate := f"{label}_{self.used[label] - 1}") in self.used:
            self.used[label] += 1
        self.used[candidate] += 1
        return candidate

    def converted(self, op: Operation) -> Operation:
        """Return the feas op for a net op, reading converted values."""
        operands = [self.values[operand] for operand in op.operands]
        match op:
            case ViewOp():
                return op.clone(value_mapper=self.values)
            case net.InputOp() if element_of(op.result) == i32:
                return feas.IndexOp(op.label.data, op.result.type)
            case net.InputOp():
                return feas.DatumOp(op.label.data, op.result.type)
            case net.TargetOp():
                return feas.TargetOp(op.label.data, op.classes, op.result.type)
            case net.ParamOp():
                self.used[op.label.data] += 1
                return feas.ParameterOp(op.label.data, op.init, op.result.type)
            case net.MatmulOp():
                return feas.DotOp(self.label(op), *operands)
            case net.SumOp():
                return feas.SumOp(self.label(op), operands, op.axes.get_values())
            case net.SumReluOp():
                return feas.SumReluOp(self.label(op), operands, op.axes.get_values())
            case net.MaxOp():
                return feas.MaxOp(self.label(op), operands, op.axes.get_values())
            case net.IdentityOp():
                return feas.IdentityOp(self.label(op), *operands)
            case net.QuantizeOp():
                return feas.QuantizeOp(self.label(op), operands[0], op.levels.get_values())
            case net.CrossEntropyOp():
                return feas.CrossEntropyOp(self.label(op), operands[0], operands[1], op.strength.value.data)
            case net.MarginOp():
                return feas.MarginOp(self.label(op), operands[0], operands[1], *op.bounds.get_values())
            case net.OutputOp():
                return feas.OutputOp(op.label.data, operands[0])
        raise PassFailedException(f"'{op.name}' has no counterpart in feas")
