"""Restate a network as a feasibility problem."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, NameLoc, i32
from xdsl.ir import Block, Operation, Region, SSAValue
from xdsl.passes import ModulePass
from xdsl.pattern_rewriter import PatternRewriteWalker
from xdsl.utils.exceptions import PassFailedException

from pjc.dialects import feas, net
from pjc.dialects.loops import ForOp
from pjc.dialects.view import Sizes, ViewOp, element_of, sizes
from pjc.passes.index_views import MoveIndexViewsBehindGather
from pjc.passes.lift import Lifting, liftable
from pjc.passes.unroll import unroll


@dataclass(frozen=True)
class NetToFeasPass(ModulePass):
    """Restate a network as a feasibility problem.

    Inputs become data (or, as numbers of rows, indices), parameters stay parameters, every operation becomes
    a constraint on its operands and its result, every ``require`` a loss; views are kept as they are. A
    constraint is labelled by the place where it was written. A loop becomes families of constraints on the
    values of all its iterations, stacked along a first axis; what an iteration carries to the next goes
    through a shift.

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
        for loop in [op for op in network.body.block.ops if isinstance(op, ForOp)]:
            if not liftable(loop):
                unroll(loop)
        PatternRewriteWalker(MoveIndexViewsBehindGather()).rewrite_region(network.body)
        for op in network.body.block.ops:
            if isinstance(op, ForOp):
                name = self.unused(op.label.data)
                results = Lifting(op, name, self.values, self.converted, self.added).run()
                self.values |= zip(op.results, results, strict=True)
                continue
            new = self.converted(op, [self.values[operand] for operand in op.operands])
            self.added(new, op)
            self.values |= zip(op.results, new.results, strict=True)

    def added(self, new: Operation, old: Operation) -> Operation:
        """Add an op that stands for one of the network."""
        new.location = old.location
        self.block.add_op(new)
        if new.results and old.results and not isinstance(old, ForOp):
            new.results[0].name_hint = old.results[0].name_hint
        return new

    def label(self, op: Operation) -> str:
        """Return a unique label: where the op was written, else what it is, and a count."""
        written, kind = op.location, op.name.removeprefix("net.")
        label = written.desc.data if isinstance(written, NameLoc) else kind
        return self.unused(label)

    def unused(self, label: str) -> str:
        """Return the label, with a count if it is taken."""
        self.used[label] += 1
        if self.used[label] == 1:
            return label
        while (candidate := f"{label}_{self.used[label] - 1}") in self.used:
            self.used[label] += 1
        self.used[candidate] += 1
        return candidate

    def converted(self, op: Operation, operands: list[SSAValue], lift: int = 0) -> Operation:
        """Return the feas op for a net op, reading converted values, which grew by ``lift`` first axes."""
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
                return feas.ParameterOp(op.label.data, op.init, op.result.type, op.family)
            case net.ConstantOp():
                return feas.ConstantOp(self.label(op), op.value, op.result.type)
            case net.MatmulOp():
                return feas.DotOp(self.label(op), *operands)
            case net.SumOp() | net.SumReluOp():
                kind = feas.SumOp if isinstance(op, net.SumOp) else feas.SumReluOp
                weights = () if op.weights is None else op.weights.get_values()
                offset = 0.0 if op.offset is None else op.offset.value.data
                return kind(self.label(op), operands, _raised(op.axes, lift), weights, offset)
            case net.MaxOp():
                return feas.MaxOp(self.label(op), operands, _raised(op.axes, lift))
            case net.MinOp():
                return feas.MinOp(self.label(op), operands, _raised(op.axes, lift))
            case net.ProductOp():
                return feas.ProductOp(self.label(op), *operands)
            case net.IdentityOp():
                return feas.IdentityOp(self.label(op), *operands)
            case net.ApplyOp():
                return feas.ApplyOp(self.label(op), op.operator_name.data, op.signature.data, operands)
            case net.RoundOp():
                return feas.RoundOp(self.label(op), *operands)
            case net.PiecewiseOp():
                return feas.PiecewiseOp(self.label(op), operands[0], dict(op.properties))
            case net.QuantizeOp():
                return feas.QuantizeOp(self.label(op), operands[0], op.levels.get_values())
            case net.LossOp():
                return self.loss(op, operands)
            case net.SetOp():
                fields = dict(op.fields.data)
                for name in ("axes",) if lift else ():
                    if name in fields:
                        fields[name] = sizes(_raised(fields[name], lift))  # type: ignore[arg-type]
                return feas.SetOp(self.label(op), operands[0], op.kind.data, fields)
            case net.OutputOp():
                return feas.OutputOp(op.label.data, operands[0])
        raise PassFailedException(f"'{op.name}' has no counterpart in feas")

    def loss(self, op: net.LossOp, operands: list[SSAValue]) -> Operation:
        """Return the feas op for a loss. An input can be the target too."""
        label = self.label(op)
        given = operands[1].owner
        if isinstance(given, feas.DatumOp):
            target = feas.TargetOp(given.label.data, None, given.result.type)
            operands = [operands[0], self.added(target, op).results[0]]
        match op:
            case net.CrossEntropyOp():
                return feas.CrossEntropyOp(label, operands[0], operands[1], op.strength.value.data)
            case net.HingeOp():
                return feas.HingeOp(label, operands[0], operands[1], op.strength.value.data)
            case net.SquaredErrorOp():
                return feas.SquaredErrorOp(label, operands[0], operands[1], op.strength.value.data)
            case net.MarginOp():
                return feas.MarginOp(label, operands[0], operands[1], *op.bounds.get_values())
            case net.MultiLabelOp():
                return feas.MultiLabelOp(label, operands[0], operands[1], *op.bounds.get_values())
            case net.ClassMarginOp():
                return feas.ClassMarginOp(label, operands[0], operands[1], op.margin.value.data)
            case net.EqualOp():
                return feas.EqualOp(label, operands[0], operands[1])
        raise PassFailedException(f"'{op.name}' has no counterpart in feas")


def _raised(axes: Sizes, lift: int) -> list[int]:
    """Return the axes behind ``lift`` new first ones."""
    return [axis + lift for axis in axes.get_values()]
