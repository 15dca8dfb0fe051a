"""How a program is placed on a mesh of devices: which mesh, what each device takes, what that costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod

from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass
from xdsl.utils.exceptions import PassFailedException

from pjc.diagnostics import code_of, mistake
from pjc.dialects import feas, proj
from pjc.dialects.layout import MeshAttr
from pjc.mesh import AUTO, factorizations
from pjc.passes.analysis.assignment import Assignment, assign, distinct_graph
from pjc.passes.analysis.cost import MACHINES, CostModel, Machine, Prediction
from pjc.passes.analysis.graph import only
from pjc.passes.analysis.samples import different_sizes, share_shardings
from pjc.passes.analysis.stream_cost import StreamCostModel
from pjc.passes.choose_representation import ChooseRepresentationPass, explain
from pjc.passes.partition import Partition, PartitionPass, partition, why_not


@dataclass(frozen=True)
class Share:
    """The program that runs on each share of a batch's samples, and how many shares there are."""

    program: proj.ProgramOp
    count: int


@dataclass
class MeshPlan:
    """On which mesh one program is placed, and how; :mod:`pjc.runtime.placement` carries that out.

    Attributes:
        whole: the module with the program, for one device.
        problem: the problem that it was lowered from, by whose dots the costs are told; None if only the
            program is known.
        chooser: the pass by which the forms of copies were chosen.
        asked: the mesh as :class:`pjc.options.Options` has it.
        iterations: how many iterations an update has.
    """

    whole: ModuleOp
    problem: feas.ProblemOp | None
    chooser: ChooseRepresentationPass
    asked: str | Mapping[str, int] | None
    iterations: int

    @cached_property
    def mesh(self) -> dict[str, int] | None:
        """The devices along each axis of the mesh; None for one device."""
        if self.asked != AUTO:
            return dict(self.asked) if isinstance(self.asked, Mapping) else None
        import jax

        program = only(self.whole, proj.ProgramOp)
        meshes = [
            mesh for mesh in factorizations(len(jax.devices())) if why_not(program, MeshAttr(**mesh)) is None
        ]
        if not meshes:
            raise mistake(
                f"no mesh of {len(jax.devices())} devices is for this network", "leave out the mesh"
            )
        return min(meshes, key=lambda mesh: self.predict(mesh).seconds)

    @property
    def devices(self) -> int:
        """How many devices there are in the mesh."""
        return prod(self.mesh.values()) if self.mesh else 1

    def passes(self, mesh: Mapping[str, int] | None = None) -> list[ModulePass]:
        """Return the passes that place the program on a mesh, by default on its own."""
        mesh = mesh or self.mesh
        if mesh is None:
            return []
        words: tuple[str, ...] = ()
        if self.can_assign(mesh) and self.problem is not None:
            found = self.assignment(mesh["stack"]).devices
            words = tuple(f"{label}={device}" for device, labels in enumerate(found) for label in labels)
        return [PartitionPass(mesh["sample"], mesh["feature"], mesh["stack"], words)]

    def placed(self, mesh: Mapping[str, int] | None = None) -> proj.ProgramOp:
        """Return a copy of the program, placed on a mesh, by default on its own."""
        from pjc.universe import context

        module = self.whole.clone()
        for each in self.passes(mesh):
            try:
                each.apply(context(), module)
            except PassFailedException as error:
                raise mistake(f"{each.name}: {error}", code=code_of(error)) from error
        return only(module, proj.ProgramOp)

    def can_assign(self, mesh: Mapping[str, int]) -> bool:
        """Return whether the devices of the stack axis can take constraints, rather than parts of loops.

        In a network without loops; and with one device along the feature axis, where XLA exchanges what all
        devices must compute at once.
        """
        loops = only(self.whole, proj.ProgramOp).has_loops()
        return mesh["stack"] > 1 and mesh["feature"] == 1 and not loops

    def assignment(self, devices: int) -> Assignment:
        """Return the device that a graph partitioner gives each constraint that no loop stacks."""
        return assign(distinct_graph(self._known(), self._operations), devices)

    def predict(self, mesh: Mapping[str, int] | None = None, machine: Machine | None = None) -> Prediction:
        """Return what an iteration, or a tick of a stream, is predicted to cost on a mesh.

        By default on the chosen one. ``machine`` is what each device is taken for; by default the kind that
        JAX runs on.
        """
        if machine is None:
            import jax

            machine = MACHINES.get(jax.default_backend(), MACHINES["gpu"])
        program = self.placed(mesh)
        model = StreamCostModel if program.stage_ops() else CostModel
        return model(program, self._operations, machine, self.iterations).predict()

    def partition(self) -> Partition:
        """Return how the program's tensors are split over the mesh, and why an axis does not split some."""
        program = self.placed()
        assert program.mesh is not None, "there is no mesh"
        return partition(program, program.mesh)

    def share(self, whole: proj.ProgramOp, smaller: Callable[[int], proj.ProgramOp] | None) -> Share:
        """Return what runs on each share of the samples, annotated for the other axes; and their number.

        ``whole`` is the placed program. ``smaller`` gives the program for another batch, None if there is no
        other: the share is that program, if it differs from the whole in nothing but sizes.

        Raises:
            DiagnosticError: if the samples cannot be split.
        """
        assert self.mesh is not None
        count, batch = self.mesh["sample"], whole.batch
        if count == 1 or batch is None or batch % count or not _is_cut(whole):
            return Share(whole, 1)
        if smaller is None:
            reason = "the source is for one batch only"
        else:
            part = smaller(batch // count)
            found = different_sizes(whole, part, count)
            if found is None:
                share_shardings(whole, part)
                part.verify()
                return Share(part, count)
            reason = found
        raise mistake(f"the samples cannot be split: {reason}", "take a mesh without sample")

    @cached_property
    def _operations(self) -> dict[str, int]:
        """The operations of each dot in an iteration, by its label."""
        return {each.label: each.cost.operations for each in explain(self._known(), self.chooser)}

    def _known(self) -> feas.ProblemOp:
        if self.problem is None:
            raise mistake(
                "costs are told by the problem that a program was lowered from, and this one starts at proj",
                "start from --emit feas, or give the mesh's axes",
            )
        return self.problem


def require_memory(program: proj.ProgramOp, memory: int, devices: int) -> None:
    """Raise DiagnosticError if devices with so many bytes cannot hold the states of an iteration.

    What each holds is at least its share, were every tensor split over all. ``memory`` is 0 if not known.
    """
    needed = _states(program) * program.state_bytes() / devices
    if 0 < memory < needed:
        raise mistake(
            f"the solver's states take at least {needed / 2**20:,.1f} MiB on each device, which has "
            f"{memory / 2**20:,.1f} MiB",
            "give a smaller --batch; --explain shows what holds them, and --copies or -O2 may hold less",
        )


def _states(program: proj.ProgramOp) -> int:
    """Return how many states an iteration holds at once: the one before, the one after, what lies between.

    Between lie the first projection and the second, or what is combined of them; a sweep, which writes
    anew what it holds, and solvers that project in place, have two.
    """
    iteration = program.iterate_op()
    if iteration is None:
        return 2
    return 4 if any(isinstance(op, proj.CombineOp) for op in iteration.body.block.ops) else 2


def _is_cut(program: proj.ProgramOp) -> bool:
    """Whether some tensor of a program is split over the samples."""
    return any(
        isinstance(op, proj.SHARDED) and op.sharding is not None and op.sharding.where("sample") is not None
        for op in program.walk()
    )
