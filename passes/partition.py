"""Say for each tensor of a program how it is split over a mesh of devices."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects.builtin import DictionaryAttr, IntegerAttr, IntegerType, ModuleOp, i64
from xdsl.passes import ModulePass
from xdsl.utils.exceptions import PassFailedException, VerifyException

from pjc.dialects import ops, proj
from pjc.dialects.asking import DisplaceOp
from pjc.dialects.layout import MeshAttr, ShardingAttr
from pjc.dialects.ops import BilinearOp, operation_of
from pjc.dialects.shapes import Shape
from pjc.dialects.steps import Rows
from pjc.dialects.view import shape_of
from pjc.numerals import is_whole
from pjc.passes.analysis.rows import Mixed
from pjc.passes.analysis.samples import Samples
from pjc.passes.solvers import AlternatingProjections, DouglasRachford, Stream


@dataclass(frozen=True)
class PartitionPass(ModulePass):
    """Say for each tensor of a program how it is split over a mesh of devices.

    The mesh has three axes. `sample` splits batch rows, `stack` the iterations of loops (time or depth), and
    `feature` output columns: the last dimension of what an operation gives, and of a dot's copies the one
    that counts outputs. A dot has whole rows of its first operand, and a loss all columns of a row. An axis
    splits a dimension only where it divides it evenly, and the sample axis only where no operation reads two
    samples at once. Where a loop lays its iterations one after another, one dimension is split by two axes:
    iterations are its outer part, batch rows the inner one. In a program without loops the devices of `stack`
    may each take some of the constraints instead.

    ```
    proj.variable @h.0 "copies" operand 0 of "h" : tensor<64x128xf32>
    ```
    becomes, with `sample=4 feature=2`,
    ```
    proj.variable @h.0 "copies" operand 0 of "h" sharded <[sample], [feature]> : tensor<64x128xf32>
    ```
    """

    name = "proj-partition"

    sample: int = 1
    """Devices along the sample axis."""
    feature: int = 1
    """Devices along the feature axis."""
    stack: int = 1
    """Devices along the stack axis."""
    assigned: tuple[str, ...] = ()
    """LABEL=N for each constraint of a program without loops: the device along stack that projects it."""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        try:
            mesh = MeshAttr(self.sample, self.feature, self.stack)
        except VerifyException as error:
            raise PassFailedException(str(error)) from error
        for program in op.ops:
            if isinstance(program, proj.ProgramOp):
                refused = why_not(program, mesh)
                if refused is not None:
                    raise PassFailedException(
                        f"'{program.sym_name.data}' is trained by {program.solver}, {refused}"
                    )
                partition(program, mesh)
                if self.assigned:
                    program.assigned = DictionaryAttr(dict(map(self._device, self.assigned)))

    def _device(self, word: str) -> tuple[str, IntegerAttr[IntegerType]]:
        label, _, device = word.rpartition("=")
        if not (label and is_whole(device) and int(device) < self.stack):
            raise PassFailedException(f"expected LABEL=N with N below {self.stack}, found '{word}'")
        return label, IntegerAttr(int(device), i64)


def why_not(program: proj.ProgramOp, mesh: MeshAttr) -> str | None:
    """Say why the solver of a program cannot use a mesh, to be read behind its name; None where it can."""
    if program.stage_ops():
        return _unlike_stages(program, mesh)
    if program.sweep_op() is None or mesh.sizes()["stack"] == 1:
        return None
    others = f"{DouglasRachford.name} or {AlternatingProjections.name}"
    return (
        "which goes through its levels one after another, so that devices along stack would wait for each "
        f"other; take sample or feature, --solver {Stream.name}, whose stages all work at every moment, or "
        f"--solver {others}, which project all levels at once"
    )


def _unlike_stages(program: proj.ProgramOp, mesh: MeshAttr) -> str | None:
    """Say why a stream's stages, or samples, cannot be shared evenly among devices; None where they can."""
    sizes, batch = mesh.sizes(), program.batch
    if sizes["feature"] > 1:
        return "whose devices each have whole stages; take stack and sample, and no feature"
    alike = {stage.label.data: stage.count for stage in program.stage_ops() if stage.count > 1}
    for label, count in alike.items() or {"": 1}.items():
        if count % sizes["stack"]:
            loop = f"the {count} iterations of loop '{label}'" if label else "a loop of one iteration"
            divisors = [str(size) for size in range(2, count + 1) if count % size == 0]
            advice = f"take stack={' or '.join(divisors)}" if divisors else "take a mesh without stack"
            return f"and {loop} cannot be shared evenly by {sizes['stack']} devices along stack; {advice}"
    if sizes["stack"] > 1 and (viewed := _set_on_views(program)) is not None:
        return (
            f"and '{viewed}' is a set on a view of a parameter of the loop, or on several parameters, which "
            "devices along stack would share; require the set of one whole parameter, or take no stack"
        )
    own = program.pieces * sizes["sample"]
    if sizes["sample"] > 1 and batch is not None and (batch % own or batch < 2 * own):
        size = f"{batch // program.pieces} samples"
        return (
            f"which takes a batch of {batch} in pieces of {size}, and {sizes['sample']} devices along sample "
            "cannot share one evenly, two samples or more to each; take another batch, or another mesh"
        )
    return None


def _set_on_views(program: proj.ProgramOp) -> str | None:
    """Return a set of what no device has whole; None if there is none.

    That is a view of a parameter that stages alike each have a share of, or several parameters together.
    """
    alike = {
        op.variable.data
        for stage in program.stage_ops()
        for op in stage.walk()
        if isinstance(op, DisplaceOp) and stage.count > 1
    }
    for op in program.body.block.ops:
        if not isinstance(op, proj.ConstrainOp):
            continue
        if len(op.paths) > 1 or any(path.variable.data in alike and path.way() for path in op.paths):
            return op.node.data
    return None


@dataclass
class Partition:
    """The shardings of a program's tensors, and where an axis of the mesh could not be used."""

    program: proj.ProgramOp
    mesh: MeshAttr
    samples: Samples | None = field(init=False, default=None)
    notes: list[str] = field(init=False, default_factory=list)
    """A sentence for each reason not to use an axis."""

    def __post_init__(self) -> None:
        self.sizes = self.mesh.sizes()
        self.stacked = _families(self.program)
        self.common = _common(self.program)
        self.dots = _dots(self.program)
        self.losses = _losses(self.program)
        batch = self.program.batch
        if self.sizes["sample"] == 1:
            return
        if batch is None:
            self.notes.append("sample splits nothing: the network has no dimension 'batch'")
        elif batch % self.sizes["sample"]:
            self.notes.append(f"sample splits nothing: {self.sizes['sample']} does not divide batch {batch}")
        else:
            try:
                self.samples = Samples(self.program, batch)
            except Mixed as error:
                self.notes.append(f"sample splits nothing: {error}")

    def sharding(self, op: proj.VariableOp | proj.DatumOp | ops.ParameterOp | proj.GatherOp) -> ShardingAttr:
        """Return how the tensor of an op is split."""
        shape = shape_of(op.sharded_type())
        dims: list[list[str]] = [[] for _ in shape]
        rows = None if self.samples is None else self.samples.rows_of(op)
        if rows is not None:
            dims[rows.axis].append("sample")
        if not isinstance(op, proj.DatumOp):
            self._stack(op, shape, dims)
            self._feature(op, shape, dims, rows)
        return ShardingAttr(dims)

    def _stack(
        self, op: proj.VariableOp | ops.ParameterOp | proj.GatherOp, shape: Shape, dims: list[list[str]]
    ) -> None:
        name = _node_of(op)
        count = self.stacked.get(name)
        if count is None or (isinstance(op, proj.VariableOp) and op.sym_name.data in self.common):
            return
        if not shape or shape[0] % count:
            return
        if count % self.sizes["stack"]:
            self._note("stack", op, f"{count} iterations")
        elif self.sizes["stack"] > 1:
            dims[0].insert(0, "stack")

    def _feature(
        self,
        op: proj.VariableOp | ops.ParameterOp | proj.GatherOp,
        shape: Shape,
        dims: list[list[str]],
        rows: Rows | None,
    ) -> None:
        if self.sizes["feature"] == 1 or not shape:
            return
        axis = len(shape) - 1
        if isinstance(op, proj.VariableOp) and axis >= self.losses.get(op.node.data, len(shape)):
            return  # a loss looks at all columns again and again
        if isinstance(op, proj.VariableOp) and op.node.data in self.dots:
            if not op.is_for.copied and op.place.operand == 0:
                return  # every column reads all entries of a row
            axis -= op.is_for.copied
        if axis < 0 or dims[axis] or (rows is not None and rows.axis == axis):
            return
        if shape[axis] % self.sizes["feature"]:
            self._note("feature", op, f"{shape[axis]} columns")
        else:
            dims[axis].append("feature")

    def _note(self, axis: str, op: proj.VariableOp | ops.ParameterOp | proj.GatherOp, found: str) -> None:
        note = f"{axis} does not split '{_node_of(op)}': {self.sizes[axis]} does not divide {found}"
        if note not in self.notes:
            self.notes.append(note)


def partition(program: proj.ProgramOp, mesh: MeshAttr) -> Partition:
    """Annotate a program's tensors with how they are split over a mesh; return the reasons with it."""
    found = Partition(program, mesh)
    for op in _sharded(program):
        op.sharding = found.sharding(op)
    program.mesh = mesh
    return found


def _sharded(
    program: proj.ProgramOp,
) -> Iterator[proj.VariableOp | proj.DatumOp | ops.ParameterOp | proj.GatherOp]:
    for op in program.walk():
        if isinstance(op, proj.SHARDED):
            yield op


def _node_of(op: proj.VariableOp | ops.ParameterOp | proj.GatherOp) -> str:
    return op.label.data if isinstance(op, ops.ParameterOp) else op.node.data


def _families(program: proj.ProgramOp) -> dict[str, int]:
    """Return the nodes that stand for all iterations of a loop, or for a parameter of each, and how many."""
    found: dict[str, int] = {}
    for op in program.forward_op().body.block.ops:
        if isinstance(op, ops.ParameterOp) and op.family is not None:
            found[op.label.data] = op.family.value.data
        if isinstance(op, proj.ForOp):
            for inner in op.body.block.ops:
                if isinstance(inner, proj.EvaluateOp):
                    found[inner.node.data] = op.count.value.data
    return found


def _common(program: proj.ProgramOp) -> set[str]:
    """Return the variables in which all iterations of a loop hold one thing together."""
    nodes = {
        op.node.data
        for op in program.walk()
        if isinstance(op, proj.ProjectSharedOp | proj.ProjectHalfwayOp) and len(shape_of(op.inputs[1])) == 2
    }
    held = program.held()
    return {
        variable.sym_name.data
        for place, variable in held.items()
        if place.node in nodes and place.operand == 1 and not variable.is_for.copied
    }


def _losses(program: proj.ProgramOp) -> dict[str, int]:
    """Return for each loss how many axes count its sites; it reads those behind them together."""
    return {
        op.node.data: len(shape_of(op.target)) for op in program.walk() if isinstance(op, proj.ProjectLossOp)
    }


def _dots(program: proj.ProgramOp) -> set[str]:
    """Return the nodes that are dots or convolutions."""
    return {
        op.node.data
        for op in program.walk()
        if isinstance(op, proj.EvaluateOp) and issubclass(operation_of(op.operator.data), BilinearOp)
    }
