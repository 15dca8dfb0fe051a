"""From a source file to a compiled solver, one stage after another."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from xdsl.dialects.builtin import FileLineColLoc, ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.utils.exceptions import PassFailedException, VerifyException

from pjc.diagnostics import Diagnostic, DiagnosticError
from pjc.dialects import feas, net, ops, proj
from pjc.dialects.loops import AtOp
from pjc.dialects.view import GatherOp, ViewOp, shape_of
from pjc.frontends import ast
from pjc.frontends.libraries import Libraries, needs_onnx, read_source
from pjc.mesh import AUTO, check_devices, factorizations, parse_mesh
from pjc.passes.assign import Assignment, assign, distinct_graph
from pjc.passes.bipartition import BipartitionPass
from pjc.passes.canonicalize import CanonicalizePass
from pjc.passes.choose_representation import ChooseRepresentationPass, Explanation, explain
from pjc.passes.families import FamilyError
from pjc.passes.feas_to_proj import FeasToProjPass, check_families
from pjc.passes.form_convolutions import FormConvolutionsPass
from pjc.passes.fuse import FusePass
from pjc.passes.legalize_bipartite import LegalizeBipartitePass
from pjc.passes.levels import LevelsPass
from pjc.passes.loop_parameters import loops_around
from pjc.passes.mesh_cost import MACHINES, CostModel, Machine, Prediction
from pjc.passes.net_to_feas import NetToFeasPass
from pjc.passes.partition import Partition, PartitionPass, partition
from pjc.passes.roll import RollPass
from pjc.passes.samples import batch_of, different_sizes, share_shardings
from pjc.passes.solvers import CYCLIC
from pjc.passes.solvers import SOLVERS as SOLVER_FORMULAS
from pjc.passes.unnest import UnnestPass
from pjc.passes.unroll import UnrollPass
from pjc.universe import context

if TYPE_CHECKING:
    from pjc.runtime.collectives import Collective
    from pjc.runtime.program import Program, Signature

SOLVERS = tuple(SOLVER_FORMULAS)
STAGES = ("pjn", "ast", "net", "feas", "proj", "stablehlo", "hlo")
COPIES = ("auto", *ops.FORMS)
PRODUCTS = ("f32", "bf16")

OPEN_BATCHES = (1009, 1013, 1019, 1021, 1031, 1033, 1039, 1049, 1051, 1061)

OpT = TypeVar("OpT")

AfterPass = Callable[[str, str], None]
"""Called with a pass's name and the text of the IR after it."""


@dataclass(frozen=True)
class Options:
    """How to compile.

    Attributes:
        solver: one of ``SOLVERS``.
        batch: the size of the dimension ``batch``, where the file leaves it open; 64 if None.
        dtype: "f32" or "f64", the element type of every float tensor.
        defines: values for the file's constants and open dimensions.
        relaxation: dr's relaxation, in (0, 1].
        step: rrr's step.
        beta: dm's b, not zero.
        iterations: how many iterations an update runs if it is not told.
        level: 0 holds every copy, 1 uses only forms that change nothing, 2 also the factored form.
        copies: "auto", or the one form to use wherever it applies: "exact", "held", "shared" or "factored";
            and "LABEL=FORM" for single dots. One word, or several.
        unroll: whether loops are unrolled, rather than all their iterations projected at once.
        products: "f32", or "bf16": matrix products take factors that are rounded to bfloat16, and add up in
            float32. For GPUs and TPUs; CPUs compute them in float32 all the same.
        mesh: how many devices split the samples, the features, and the iterations of loops, as in
            "sample=4,feature=2" or ``{"sample": 4, "feature": 2}``; the sizes multiply to the number
            of devices. "auto" takes the mesh of all devices that costs least (docs/parallel.md). None: one
            device.
        memory: the bytes of the memory of the device that will run the solver; 0 for any. None: of the first
            device here.
    """

    solver: str = "dr"
    batch: int | None = None
    dtype: str = "f32"
    defines: Mapping[str, int | float] = field(default_factory=dict)
    relaxation: float = 0.5
    step: float = 1.0
    beta: float = 1.0
    iterations: int = 50
    level: int = 2
    copies: str | Sequence[str] = ("auto",)
    products: str = "f32"
    unroll: bool = False
    mesh: str | Mapping[str, int] | None = None
    memory: int | None = None

    def __post_init__(self) -> None:
        if self.solver not in SOLVERS:
            raise _mistake(f"unknown solver '{self.solver}'", f"known are {', '.join(SOLVERS)}")
        if self.dtype not in ("f32", "f64"):
            raise _mistake(f"unknown dtype '{self.dtype}'", "known are f32 and f64")
        if not 0 < self.relaxation <= 1:
            raise _mistake(f"relaxation must be in (0, 1], found {self.relaxation}")
        if self.beta == 0:
            raise _mistake("beta must not be zero")
        if self.iterations < 1:
            raise _mistake(f"iterations must be at least 1, found {self.iterations}")
        if self.level not in (0, 1, 2):
            raise _mistake(f"level must be 0, 1 or 2, found {self.level}")
        if self.products not in PRODUCTS:
            raise _mistake(f"unknown products '{self.products}'", f"known are {', '.join(PRODUCTS)}")
        if self.products != "f32" and self.dtype != "f32":
            raise _mistake(f"products of {self.products} are for networks in f32, found {self.dtype}")
        words = (self.copies,) if isinstance(self.copies, str) else tuple(self.copies)
        object.__setattr__(self, "copies", words)
        for word in words:
            if word.rpartition("=")[2] not in COPIES or word.endswith("=auto"):
                raise _mistake(f"unknown copies '{word}'", f"known are {', '.join(COPIES)} and LABEL=FORM")
        object.__setattr__(self, "mesh", parse_mesh(self.mesh))
        if self.memory is not None and self.memory < 0:
            raise _mistake(f"memory must not be negative, found {self.memory}")
        if self.batch is not None and self.batch < 1:
            raise _mistake(f"batch must be at least 1, found {self.batch}")


@dataclass(frozen=True)
class Summary:
    """What a compilation made: counts of nodes by (kind, part), sizes and seconds by stage."""

    name: str
    constraints: dict[tuple[str, str], int]
    parameters: int
    copies_bytes: int
    seconds: dict[str, float]


@dataclass(frozen=True)
class Share:
    """The program that runs on each share of a batch's samples, and how many shares there are."""

    program: proj.ProgramOp
    count: int


def _mistake(message: str, hint: str | None = None) -> DiagnosticError:
    return DiagnosticError([Diagnostic(message, None, hint)])


def compile_text(
    text: str,
    options: Options | None = None,
    *,
    name: str = "network",
    file: str = "<string>",
    after_pass: AfterPass | None = None,
    libraries: Libraries | None = None,
) -> Compilation:
    """Return the compilation of a network in pjc's language; its stages run when they are asked for.

    ``libraries`` says where ``use`` looks; by default only among pjc's own.
    """
    return Compilation(text, options or Options(), name, file, after_pass, libraries or Libraries())


def compile_file(
    path: str | Path,
    options: Options | None = None,
    *,
    after_pass: AfterPass | None = None,
    loss: str | None = None,
    reinit: bool = False,
) -> Compilation:
    """Return the compilation of a ``.pjn`` or ``.onnx`` file.

    Args:
        path: the file.
        options: how to compile.
        after_pass: called after every pass.
        loss: what to require of the output of an ONNX model: "cross_entropy", "margin" or "squared_error".
        reinit: whether the parameters of an ONNX model are drawn afresh.

    Raises:
        DiagnosticError: if the file cannot be read, or is no model that can be imported.
    """
    path = Path(path)
    name = "".join(c if c.isalnum() else "_" for c in path.stem) or "network"
    name = f"_{name}" if name[0].isdigit() else name
    if path.suffix == ".onnx":
        return _compile_onnx(path, options, name, after_pass, loss, reinit)
    if loss is not None or reinit:
        raise _mistake("a loss and fresh parameters are asked for ONNX models", "write 'require' in the file")
    libraries = Libraries(path.parent)
    text = read_source(path)
    return compile_text(text, options, name=name, file=str(path), after_pass=after_pass, libraries=libraries)


def _compile_onnx(
    path: Path,
    options: Options | None,
    name: str,
    after_pass: AfterPass | None,
    loss: str | None,
    reinit: bool,
) -> Compilation:
    with needs_onnx(str(path)):
        from pjc.onnx.importer import LOSSES, import_file
    if loss is not None and loss not in LOSSES:
        raise _mistake(f"unknown loss '{loss}'", f"known are {', '.join(LOSSES)}")
    for assume in (True, False):
        found = import_file(path, loss, assume=assume)
        compilation = compile_text(found.text, options, name=name, file=f"{path}.pjn", after_pass=after_pass)
        compilation.parameters = {} if reinit else found.parameters
        if not found.assumed:
            break
        try:
            _ = compilation.net
            break
        except DiagnosticError:  # for another batch than the model's; perhaps not for its own
            continue
    return compilation


@dataclass
class Compilation:
    """One source on its way through the stages; each runs once, when it is first asked for.

    Every stage raises DiagnosticError for a mistake in the source.
    """

    text: str
    options: Options
    name: str
    file: str
    after_pass: AfterPass | None = None
    libraries: Libraries = field(default_factory=Libraries)
    seconds: dict[str, float] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """Arrays that the parameters of the text start from, by their names in it; the others are drawn."""

    @cached_property
    def tree(self) -> ast.File:
        """The syntax tree."""
        from pjc.frontends import pjn

        with self._timed("ast"):
            return pjn.parse(self.text, self.file)

    @cached_property
    def net(self) -> ModuleOp:
        """The network as written."""
        from pjc.frontends.elaborate import elaborate

        tree = self.tree
        with self._timed("net"):
            options = self.options
            module = elaborate(
                tree,
                name=self.name,
                defines=options.defines,
                batch=options.batch,
                dtype=options.dtype,
                libraries=self.libraries,
            )
            module.verify()
            return module

    @cached_property
    def initial(self) -> dict[str, Any]:
        """What parameters start from that the text, or an ONNX model that it uses, comes with."""
        given = {source.file: source.parameters for source in self.libraries.found.values()}
        given[self.file] = self.parameters
        found: dict[str, Any] = {}
        for op in self.net.walk() if any(given.values()) else ():
            if isinstance(op, ops.ParameterOp) and isinstance(op.location, FileLineColLoc):
                file = op.location.filename.data
                label = op.label.data
                array = given.get(file, {}).get(label.rpartition(".")[2])
                if array is not None:
                    counts = [loop.iterations for loop in loops_around(op)]
                    family = (prod(counts),) if counts else ()
                    found[label] = np.broadcast_to(array, (*family, *array.shape))
        return found

    @cached_property
    def feas(self) -> ModuleOp:
        """The feasibility problem, split into parts.

        Its loops are families of constraints, unless the solver or the options want them unrolled, or what
        the iterations read makes them none.
        """
        unrolled = self.options.unroll or self.options.solver in CYCLIC
        found = self._run("feas", self.net, self._to_feas(unrolled))
        try:
            check_families(only(found, feas.ProblemOp))
        except FamilyError:
            found = self._run("feas", self.net, self._to_feas(unrolled=True))
        return found

    def _to_feas(self, unrolled: bool) -> list[ModulePass]:
        """Return the passes from the network to the problem."""
        cyclic, level = self.options.solver in CYCLIC, self.options.level
        loops: list[ModulePass] = [UnrollPass() if unrolled else UnnestPass(), CanonicalizePass()]
        if level and not unrolled:
            loops.append(RollPass())
        split: list[ModulePass] = [LevelsPass()] if cyclic else [LegalizeBipartitePass(), BipartitionPass()]
        return [*loops, NetToFeasPass(), FusePass(), *split]

    @cached_property
    def proj(self) -> ModuleOp:
        """The solver's program."""
        return self.whole if self.mesh is None else self._split_over(self.mesh)

    @cached_property
    def whole(self) -> ModuleOp:
        """The solver's program for one device."""
        options = self.options
        lower = FeasToProjPass(options.solver, options.relaxation, options.step, options.beta)
        return self._run("proj", self.feas, [self.chooser(), FormConvolutionsPass(), lower])

    def _split_over(self, mesh: Mapping[str, int]) -> ModuleOp:
        """Return the solver's program with its tensors split over a mesh, or its constraints."""
        words: tuple[str, ...] = ()
        if self.can_assign(mesh):
            found = self.assignment(mesh["stack"]).devices
            words = tuple(f"{label}={device}" for device, labels in enumerate(found) for label in labels)
        lower = PartitionPass(mesh["sample"], mesh["feature"], mesh["stack"], words)
        return self._run("proj", self.whole, [lower])

    def can_assign(self, mesh: Mapping[str, int]) -> bool:
        """Return whether the devices of the stack axis can take constraints, rather than parts of loops.

        In a network without loops; and with one device along the feature axis, where XLA exchanges what all
        devices must compute at once.
        """
        loops = only(self.whole, proj.ProgramOp).has_loops()
        return mesh["stack"] > 1 and mesh["feature"] == 1 and not loops

    @cached_property
    def mesh(self) -> dict[str, int] | None:
        """The devices along each axis of the mesh; None for one device."""
        asked = self.options.mesh
        if asked != AUTO:
            return dict(asked) if isinstance(asked, Mapping) else None
        import jax

        meshes = factorizations(len(jax.devices()))
        return min(meshes, key=lambda mesh: self.predict(mesh).seconds)

    def predict(self, mesh: Mapping[str, int] | None = None, machine: Machine | None = None) -> Prediction:
        """Return what an iteration is predicted to cost on a mesh, by default the chosen one.

        ``machine`` is what each device is taken for; by default the kind that JAX runs on.
        """
        if machine is None:
            import jax

            machine = MACHINES.get(jax.default_backend(), MACHINES["gpu"])
        module = self.proj if mesh is None else self._split_over(mesh)
        program = only(module, proj.ProgramOp)
        return CostModel(program, self._operations(), machine, self.options.iterations).predict()

    def _operations(self) -> dict[str, int]:
        """Return the operations of each dot in an iteration, by its label."""
        explained = explain(only(self.feas, feas.ProblemOp), self.chooser())
        return {each.label: each.cost.operations for each in explained}

    def assignment(self, devices: int) -> Assignment:
        """Return the device that a graph partitioner gives each constraint that no loop stacks."""
        return assign(distinct_graph(only(self.feas, feas.ProblemOp), self._operations()), devices)

    @cached_property
    def partition(self) -> Partition:
        """How the program's tensors are split over the mesh, and why an axis does not split some."""
        program = only(self.proj, proj.ProgramOp)
        assert program.mesh is not None, "there is no mesh"
        return partition(program, program.mesh)

    def collectives(self) -> list[Collective]:
        """Return what devices send each other in an iteration, read from the compiled program."""
        from pjc.runtime.collectives import iteration_collectives

        return iteration_collectives(self.program().lowered("update").compile().as_text())

    @cached_property
    def share(self) -> Share:
        """What runs on each share of the samples, annotated for the other axes; and the number of shares.

        It is the program for a smaller batch, if that differs from the whole in nothing but sizes.
        """
        whole = only(self.proj, proj.ProgramOp)
        assert self.mesh is not None
        count, batch = self.mesh["sample"], batch_of(whole)
        if count > 1 and batch is not None and batch % count == 0 and _is_cut(whole):
            chosen = {each.label: each.choice.form for each in self.explain()}
            copies = tuple(f"{label}={form}" for label, form in chosen.items())
            smaller = self.for_batch(batch // count)
            options = replace(smaller.options, copies=copies or ("auto",), mesh=None)
            part = only(replace(smaller, options=options).proj, proj.ProgramOp)
            if (reason := different_sizes(whole, part, count)) is None:
                share_shardings(whole, part)
                part.verify()
                return Share(part, count)
            raise _mistake(f"the samples cannot be split: {reason}", "take a mesh without sample")
        return Share(whole, 1)

    def chooser(self) -> ChooseRepresentationPass:
        """Return the pass that chooses how copies are represented, by the options."""
        options = self.options
        copies = (
            tuple(options.copies)
            if options.level
            else ("exact", *(word for word in options.copies if word != "auto"))
        )
        return ChooseRepresentationPass(
            options.solver,
            options.relaxation,
            options.step,
            copies,
            options.level > 1,
            memory=self.memory,
        )

    @cached_property
    def memory(self) -> int:
        """The bytes of the memory of the device that will run the solver; 0 if that is not known."""
        from pjc.runtime.device import device_memory

        return device_memory() if self.options.memory is None else self.options.memory

    def require_memory(self) -> None:
        """Raise DiagnosticError if the devices cannot hold the two states that an iteration goes between.

        What each holds is at least its share, were every tensor split over all.
        """
        devices = prod(self.mesh.values()) if self.mesh else 1
        needed = 2 * only(self.proj, proj.ProgramOp).state_bytes() / devices
        if 0 < self.memory < needed:
            raise _mistake(
                f"the solver's states take at least {needed / 2**20:,.1f} MiB on each device, which has "
                f"{self.memory / 2**20:,.1f} MiB",
                "give a smaller --batch; --explain shows what holds them, and --copies or -O2 may hold less",
            )

    def explain(self) -> list[Explanation]:
        """Return, for each dot, the form of its copies, why, and what that costs."""
        _ = self.proj  # which checks the options
        return explain(only(self.feas, feas.ProblemOp), self.chooser())

    def program(self) -> Program:
        """Return the compiled solver."""
        from pjc.runtime.artifact import save
        from pjc.runtime.emit import Emitter, entry_points
        from pjc.runtime.mesh import make_mesh
        from pjc.runtime.placement import placement_on
        from pjc.runtime.program import Program

        emitter = Emitter(only(self.proj, proj.ProgramOp))
        self._check_precision()
        on_mesh = None
        if self.mesh is not None:
            check_devices(self.mesh)
            share = self.share
            placement = placement_on(make_mesh(self.mesh), share.program, share.count)
            on_mesh = Emitter(share.program, placement)
        return Program(
            self.signature(),
            entry_points(emitter, self.options.products, on_mesh),
            {stage: str(getattr(self, stage)) for stage in ("net", "feas", "proj")},
            for_batch=lambda size: self.for_batch(size).program(),
            saver=lambda program, path: save(self._portable(program), path, self.source_record()),
            exporter=self.export,
            initial=self.initial,
        )

    def _portable(self, program: Program) -> Program:
        """Return the program as files hold it: for one device."""
        if self.mesh is None:
            return program
        return replace(self, options=replace(self.options, mesh=None)).program()

    def export(self, params: Mapping[str, Any], path: Path) -> None:
        """Write the network with these parameters as an ONNX model; the file appears whole or not at all.

        Raises:
            DiagnosticError: if the package onnx is missing, or the network calls operators of the user's own.
            OSError: if the file cannot be written.
        """
        with needs_onnx("to_onnx"):
            from pjc.onnx.exporter import export_model
        from pjc.runtime.files import replace_file

        opened, batch = self._with_open_batch()
        module = opened.net.clone()
        UnrollPass().apply(context(), module)
        model = export_model(module, params, self.name, batch)
        replace_file(path, lambda temporary: temporary.write_bytes(model.SerializeToString()))

    def _with_open_batch(self) -> tuple[Compilation, int | None]:
        """Return the network with a batch whose size divides no other, so that it can be told from them.

        A network that only takes the batch that it was compiled for is returned as it is.
        """
        if "batch" not in only(self.net, net.NetworkOp).dims.data:
            return self, None
        sizes = {size for op in self.net.walk() for value in op.results for size in shape_of(value)}
        batch = next(prime for prime in OPEN_BATCHES if all(size % prime for size in sizes))
        opened = self.for_batch(batch)
        try:
            _ = opened.net
        except DiagnosticError:
            return self, None
        return opened, batch

    def for_batch(self, size: int) -> Compilation:
        """Return the compilation of the same source for another size of the dimension ``batch``."""
        options = replace(self.options, batch=size)
        libraries = Libraries(recorded=self.libraries.texts())
        return compile_text(self.text, options, name=self.name, file=self.file, libraries=libraries)

    def signature(self) -> Signature:
        """Return what the program takes and gives."""
        from pjc.runtime.emit import dtype_of
        from pjc.runtime.program import Signature, TensorSpec

        network = only(self.net, net.NetworkOp)
        specs: dict[type, list[TensorSpec]] = {}
        for op in network.body.block.ops:
            if isinstance(op, ops.SourceOp | ops.OutputOp):
                value = op.value if isinstance(op, ops.OutputOp) else op.result
                specs.setdefault(ops.InputOp if isinstance(op, ops.IndexOp) else type(op), []).append(
                    TensorSpec(
                        op.label.data, shape_of(value), dtype_of(value).name, _class_count(op), _threshold(op)
                    )
                )
        problem = only(self.feas, feas.ProblemOp)
        nodes = [node for node in problem.nodes() if isinstance(node, ops.ParameterOp)]
        parameters = [
            TensorSpec(name, shape_of(node.result)[node.members is not None :], dtype_of(node.result).name)
            for node in nodes
            for name in node.names()
        ]
        batch = network.dims.data.get("batch")
        return Signature(
            name=self.name,
            inputs=tuple(specs.get(ops.InputOp, ())),
            targets=tuple(specs.get(ops.TargetOp, ())),
            outputs=tuple(specs.get(ops.OutputOp, ())),
            parameters=tuple(parameters),
            batch=None if batch is None else batch.value.data,  # type: ignore[attr-defined]
            iterations=self.options.iterations,
            trainable=bool(problem.part_names()),
            families={node.label.data: tuple(node.names()) for node in nodes if node.members is not None},
        )

    def source_record(self) -> dict[str, object]:
        """Return what is needed to compile the source again, as JSON data."""
        options = {**vars(self.options), "defines": dict(self.options.defines)}
        del options["mesh"]  # a file holds the program for one device
        return {
            "text": self.text,
            "name": self.name,
            "file": Path(self.file).name,
            "options": options,
            "libraries": self.libraries.texts(),
        }

    def emit(self, stage: str, entry: str | None = None) -> str:
        """Return the text of a stage; for "stablehlo" and "hlo" that of one entry point.

        ``entry`` is "init", "apply", "update" or "gap"; by default "update", or "apply" if the network
        requires nothing.
        """
        if stage not in STAGES:
            raise _mistake(f"unknown stage '{stage}'", f"known are {', '.join(STAGES)}")
        if stage == "pjn":
            return self._readable()
        if stage == "ast":
            return ast.show(self.tree)
        if stage in ("net", "feas", "proj"):
            return str(getattr(self, stage))
        program = self.program()
        entry = entry or ("update" if program.signature.trainable else "apply")
        with self._timed(stage):
            if stage == "stablehlo":
                return program.stablehlo(entry)
            return str(program.lowered(entry).compile().as_text())

    def _readable(self) -> str:
        """Return the text; that of an ONNX model with loops for its equal layers, where that is one too."""
        if not self.file.endswith(".onnx.pjn"):
            return self.text
        from pjc.onnx.rolling import rolled

        text = "\n".join(rolled(self.text.splitlines()))
        try:
            _ = replace(self, text=text, parameters={}).net
        except DiagnosticError:  # what a loop would carry does not keep its shape
            return self.text
        return text

    def summary(self) -> Summary:
        """Return counts, sizes and times of what was compiled."""
        problem = only(self.feas, feas.ProblemOp)
        program = only(self.proj, proj.ProgramOp)
        counts: Counter[tuple[str, str]] = Counter()
        for node in problem.nodes():
            if not isinstance(node, ops.GivenOp | ops.ParameterOp):
                part = "" if node.part is None else node.part.data
                counts[node.operator, part] += 1
        width = 4 if self.options.dtype == "f32" else 8
        parameters = [n for n in problem.nodes() if isinstance(n, ops.ParameterOp)]
        return Summary(
            self.name,
            dict(counts),
            sum(prod(shape_of(node.result)) for node in parameters),
            sum(prod(shape_of(op.type)) * width for op in program.variables().values()),
            dict(self.seconds),
        )

    def _run(self, stage: str, module: ModuleOp, passes: list[ModulePass]) -> ModuleOp:
        """Return the module after the passes, each verified; a failure becomes a diagnostic."""
        with self._timed(stage):
            module = module.clone()
            ctx = context()
            for each in passes:
                try:
                    each.apply(ctx, module)
                    module.verify()
                except (PassFailedException, VerifyException) as error:
                    raise _mistake(f"{each.name}: {error}") from error
                if self.after_pass is not None:
                    self.after_pass(each.name, str(module))
            return module

    def _check_precision(self) -> None:
        import jax

        if self.options.dtype == "f64" and not jax.config.read("jax_enable_x64"):
            raise _mistake(
                "dtype f64 needs JAX's 64-bit mode, which is off",
                "call jax.config.update('jax_enable_x64', True) first, or set JAX_ENABLE_X64=1",
            )

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start


def _is_cut(program: proj.ProgramOp) -> bool:
    """Whether some tensor of a program is split over the samples."""
    return any(
        isinstance(op, proj.SHARDED) and op.sharding is not None and op.sharding.where("sample") is not None
        for op in program.walk()
    )


def _class_count(op: Operation) -> int | None:
    """Return how many class or row numbers the entries of a tensor are below; None where they are none.

    An index may name the rows that every table has in which it is looked up.
    """
    if isinstance(op, ops.TargetOp):
        return None if op.classes is None else op.classes.value.data
    return min(_tables_of(op.results[0]), default=None) if isinstance(op, ops.IndexOp) else None


def _threshold(op: Operation) -> float | None:
    """Return what tells ones from zeros in the outputs for a target of several labels, if it is one."""
    for use in op.results[0].uses if isinstance(op, ops.TargetOp) else ():
        if isinstance(use.operation, ops.MultiLabelOp):
            return use.operation.threshold
    return None


def _tables_of(indices: SSAValue) -> list[int]:
    """Return the sizes of the tables in which indices are looked up, through views."""
    found: list[int] = []
    for use in indices.uses:
        reader = use.operation
        if isinstance(reader, GatherOp) and reader.indices is indices:
            found.append(shape_of(reader.table)[0])
        elif isinstance(reader, ViewOp | AtOp):
            found += _tables_of(reader.results[0])
    return found


def only(module: ModuleOp, kind: type[OpT]) -> OpT:
    """Return the module's one op of a kind."""
    return next(op for op in module.ops if isinstance(op, kind))


def compile(source: str | Path, **options: object) -> Program:
    """Return the compiled solver of a network: the way in for Python programs.

    Args:
        source: the path of a ``.pjn`` or ``.onnx`` file, or a network's text itself (of several lines).
        options: the fields of :class:`Options`; for ONNX also ``loss`` and ``reinit``, as in
            :func:`compile_file`.

    Raises:
        DiagnosticError: for every mistake in the source, each with its place; and for wrong options.
    """
    onnx = {key: options.pop(key) for key in ("loss", "reinit") if key in options}
    unknown = sorted(options.keys() - Options.__dataclass_fields__.keys())
    if unknown:
        raise _mistake(
            f"unknown option '{unknown[0]}'", f"known are {', '.join(Options.__dataclass_fields__)}"
        )
    settings = Options(**options)  # type: ignore[arg-type]
    if isinstance(source, str) and "\n" in source:
        return compile_text(source, settings).program()
    return compile_file(source, settings, **onnx).program()  # type: ignore[arg-type]


def load(path: str | Path) -> Program:
    """Return the program of a ``.pjx`` file. Nothing in the file is executed.

    Raises:
        pjc.runtime.artifact.ArtifactError: if the file is missing, truncated, altered, or of a newer format.
    """
    from pjc.runtime.artifact import load as read

    def again(source: dict[str, Any], **changed: int) -> Compilation:
        options = Options(**{**source["options"], **changed})
        libraries = Libraries(recorded=source.get("libraries", {}))
        return compile_text(
            source["text"], options, name=source["name"], file=source["file"], libraries=libraries
        )

    return read(
        path,
        recompile=lambda source, size: again(source, batch=size).program(),
        export=lambda source, params, to: again(source).export(params, to),
    )
