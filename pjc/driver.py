"""From a source to a compiled solver, one stage after another."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation
from xdsl.passes import ModulePass
from xdsl.utils.exceptions import PassFailedException, VerifyException

from pjc.diagnostics import PjcError, code_of, mistake
from pjc.dialects import feas, ops, proj
from pjc.dialects.narrow import wrong_number
from pjc.dialects.view import shape_of
from pjc.fields import differing
from pjc.frontends import ast
from pjc.frontends.libraries import Libraries
from pjc.interrupts import interrupts_wait
from pjc.mesh import check_devices
from pjc.mesh_plan import MeshPlan, require_memory
from pjc.notebook import page
from pjc.options import Options
from pjc.passes.analysis.depth import levels
from pjc.passes.analysis.graph import only
from pjc.passes.canonicalize import CanonicalizePass
from pjc.passes.choose_representation import ChooseRepresentationPass, Explanation, explain
from pjc.passes.find_multiples import FindMultiplesPass
from pjc.passes.form_convolutions import FormConvolutionsPass
from pjc.passes.fuse import FusePass
from pjc.passes.infer_shapes import InferShapesPass
from pjc.passes.label import LabelPass
from pjc.passes.lowering.pieces import divides, piece_counts, put_pieces, whole_batches, why_not_in
from pjc.passes.net_to_feas import NetToFeasPass
from pjc.passes.roll import RollPass
from pjc.passes.solvers import parse
from pjc.passes.unnest import UnnestPass
from pjc.passes.unroll import UnrollPass
from pjc.passes.unroll_irregular import UnrollIrregularPass
from pjc.reading import reading
from pjc.reproducer import reproducible
from pjc.runtime.outer_settings import CUSTOM, DISPLACEMENT, OF_TICKS, START, STEP, TICK, WEIGHTED, outer_of
from pjc.sources import PjnSource, Source, Start, open_source
from pjc.stage_names import EMITTED
from pjc.universe import context, pass_factory

if TYPE_CHECKING:
    from pjc.runtime.emit import Emitter
    from pjc.runtime.layout import DeviceLayout
    from pjc.runtime.program import Program, Signature

Watch = Callable[[str, ModuleOp], None]
"""Called after each pass with its name and the module."""


@dataclass(frozen=True)
class Stage:
    """A stage of the compiler: the passes that reach it, and what holds of a module that they leave.

    The passes change nothing of a module that stands at the stage already, unless it was edited.
    """

    name: str
    passes: Callable[[Compilation], list[ModulePass]]
    leaves: str


def canonical(compilation: Compilation) -> list[ModulePass]:
    """Return the passes that bring a network into one form."""
    options = compilation.options
    if options.unroll or options.method.loops == "unrolled":
        return [InferShapesPass(), FindMultiplesPass(), UnrollPass(), CanonicalizePass(), LabelPass()]
    by_parts = options.method.loops == "families"
    roll = RollPass(by_parts=by_parts, least=options.method.rolled)
    rolled: list[ModulePass] = [roll] if options.level else []
    split = [UnrollIrregularPass()] if by_parts else []
    return [
        InferShapesPass(),
        FindMultiplesPass(),
        UnnestPass(),
        CanonicalizePass(),
        *rolled,
        *split,
        LabelPass(),
    ]


def restated(compilation: Compilation) -> list[ModulePass]:
    """Return the passes from a network to the problem that the solver takes."""
    solver = compilation.options.method
    return [NetToFeasPass(), FusePass(), *(pass_factory(name)()() for name in solver.partition)]


def lowered(compilation: Compilation) -> list[ModulePass]:
    """Return the passes from a problem to the solver's program."""
    solver = compilation.options.method
    lowering = pass_factory(solver.lowering)()(solver=str(solver))  # type: ignore[call-arg]
    return [compilation.chooser(), FormConvolutionsPass(), lowering]


def placed(compilation: Compilation) -> list[ModulePass]:
    """Return the passes that place a program on its mesh; none for one device."""
    return compilation.mesh_plan.passes()


STAGES = (
    Stage(
        "net",
        canonical,
        "sizes are known; loops stand side by side, or none do; views are folded; labels are unique",
    ),
    Stage("feas", restated, "every trained node has a part, and no edge joins two nodes of a part"),
    Stage("proj", lowered, "one program: what it takes, variables, forward pass, parts, iteration"),
    Stage("placed", placed, "every tensor says which axes of the mesh split it, if there is one"),
)


@dataclass(frozen=True)
class Summary:
    """What a compilation made: counts of nodes by (kind, part), sizes and seconds by stage."""

    constraints: dict[tuple[str, str], int]
    parameters: int
    copies_bytes: int
    seconds: dict[str, float]


@dataclass
class Compilation:
    """One source on its way through the stages; each runs once, when it is first asked for.

    All methods raise DiagnosticError for a mistake in the source, or in the options for it.
    """

    source: Source
    options: Options = field(default_factory=Options)
    watch: Watch | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    given: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """What parameters start from that came with a file which has the source's text alone, by label."""
    pieces: int | None = None
    """How many pieces a stream's batches go through it in; None for as many as are best."""
    _modules: dict[str, ModuleOp] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        self.source.check(self.options)
        if "solver" not in self.source.unused():
            self.options.require_used_by(self.options.method)

    @cached_property
    def start(self) -> Start:
        """Where the stages start, verified."""
        with self._timed(self.source.stage):
            found = self.source.start(self.options)
            _verified(found.module, "the network")
            _require_numbers(found.module, self.dtype == "f32")
            return replace(found, initial={**found.initial, **self.given})

    def at(self, name: str) -> ModuleOp:
        """Return the module after a stage."""
        if name not in self._modules:
            self._modules[name] = self._reach(name)
        return self._modules[name]

    def _reach(self, name: str) -> ModuleOp:
        names = [stage.name for stage in STAGES]
        if name not in names:
            raise mistake(f"unknown stage '{name}'", f"known are {', '.join(names)}")
        at, first = names.index(name), names.index(self.source.stage)
        if at < first:
            raise mistake(
                f"'{self.source.name}' starts at {self.source.stage}, which is behind {name}",
                f"later stages are {', '.join(names[first:])}",
            )
        before = self.start.module if at == first else self.at(names[at - 1])
        module = self._run(STAGES[at], before)
        if name == "proj" and self.pieces != 1 and self.source.has_batch:
            self._cut_batches(only(module, proj.ProgramOp))
        return module

    def _cut_batches(self, program: proj.ProgramOp) -> None:
        """Let the batches of a stream go through it in pieces, if it can: a solver's passes know one size.

        Raises:
            DiagnosticError: where a number of pieces was asked for in which they cannot.
        """
        best = piece_counts(program)
        if any(self._cut_into(program, count) for count in (best if self.pieces is None else [self.pieces])):
            return
        if self.pieces is not None:
            raise mistake(
                f"the batches of '{program.sym_name.data}', of {program.batch} samples, cannot go through it "
                f"in {self.pieces} pieces: {why_not_in(program, self.pieces)}",
                f"they may go in {' or '.join(map(str, [*best, 1]))}; on a mesh the share of a device along "
                "sample goes in as many as the whole batch: take another batch, or a mesh without sample",
            )

    def _cut_into(self, program: proj.ProgramOp, count: int) -> bool:
        """Let the batches of a stream go through it in so many pieces; False where they cannot."""
        if not program.stage_ops() or program.batch is None or not divides(count, program.batch):
            return False
        try:
            part = replace(self.for_batch(program.batch // count), pieces=1).at("proj")
        except PjcError:  # a network that is for this batch alone
            return False
        if not put_pieces(program, only(part, proj.ProgramOp)):
            return False
        program.verify()
        return True

    def _run(self, stage: Stage, module: ModuleOp) -> ModuleOp:
        """Return the module after a stage's passes, each verified."""
        passes = stage.passes(self)
        with self._timed(stage.name):
            given, module = module, module.clone() if passes else module
            for number, each in enumerate(passes):
                try:
                    with reproducible(given, passes[: number + 1]), self._blaming_source(each.name):
                        each.apply(context(), module)
                except PassFailedException as error:
                    raise mistake(f"{each.name}: {error}", code=code_of(error)) from error
                _verified(module, each.name)
                if self.watch is not None:
                    self.watch(each.name, module)
            return module

    @contextmanager
    def _blaming_source(self, doing: str) -> Iterator[None]:
        """Within it, what only a wrong source can be the cause of is a mistake in it."""
        try:
            yield
        except (PjcError, PassFailedException):  # those say what is wrong themselves
            raise
        except self.source.faults as error:
            if os.environ.get("PJC_TRACEBACK"):
                raise
            told = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            hint = "its dialects allow it, but no pass leaves such IR; what was edited last?"
            raise mistake(f"'{self.source.name}' cannot be compiled: {doing}: {told}", hint) from error

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start

    @property
    def dtype(self) -> str:
        """The type of the network's numbers, f32 or f64."""
        return self.source.dtype(self.options)

    @cached_property
    def memory(self) -> int:
        """The bytes of the memory of the device that will run the solver; 0 if that is not known."""
        from pjc.runtime.device import device_memory

        asked = self.options.memory
        return device_memory() if asked is None else int(asked)

    @property
    def chooses_copies(self) -> bool:
        """Whether the forms of copies are the compiler's choice: not asked for, and not in the source."""
        return self.options.words == ("auto",) and "copies" not in self.source.unused()

    def chooser(self) -> ChooseRepresentationPass:
        """Return the pass that chooses how copies are represented, by the options."""
        options = self.options
        named = ("exact", *(word for word in options.words if word != "auto"))
        copies = options.words if options.level else named
        return ChooseRepresentationPass(str(options.method), copies, options.level > 1, memory=self.memory)

    @cached_property
    def mesh_plan(self) -> MeshPlan:
        """How the program is placed on its mesh."""
        problem = None if self.source.stage == "proj" else only(self.at("feas"), feas.ProblemOp)
        options = self.options
        iterations = 1 if options.method.outer else options.repeats
        return MeshPlan(self.at("proj"), problem, self.chooser(), options.mesh, iterations)

    def require_memory(self) -> None:
        """Raise DiagnosticError if the devices cannot hold the two states that an iteration goes between."""
        program = only(self.at("proj"), proj.ProgramOp)
        require_memory(program, self.memory, self.mesh_plan.devices)

    def require_estimate(self, program: Program) -> None:
        """Raise DiagnosticError if XLA's estimate for a step of training exceeds the memory that was given.

        Only where ``--memory`` gives it: a device refuses by itself what it cannot hold.
        """
        if self.options.memory is None or self.memory == 0:
            return
        needed = program.memory(program.main_entry)
        if needed > self.memory:
            raise mistake(
                f"a step of training takes about {needed / 2**20:,.1f} MiB on each device by XLA's estimate, "
                f"and --memory gives {self.memory / 2**20:,.1f} MiB",
                "give a smaller --batch; --explain shows what holds memory; --copies or -O2 may hold less",
            )

    def require_loss(self) -> None:
        """Raise DiagnosticError if the source only says what to train towards when it is asked to."""
        self.source.check_training(self.options)

    def cautions(self) -> list[str]:
        """Return what to expect of training with the solver that was chosen, if it is not for such a network.

        Not told of a source that starts behind the problem.
        """
        if self.source.stage == "proj":
            return []
        problem = only(self.at("feas"), feas.ProblemOp)
        method = self.options.method
        program = only(self.at("proj"), proj.ProgramOp)
        found = [method.caution(levels(problem)), whole_batches(program)]
        found += [self._imprecise(problem)] if method.outer else []
        return [each for each in found if each is not None]

    @staticmethod
    def _imprecise(problem: feas.ProblemOp) -> str | None:
        """Return what to expect of operators of one's own without a response, if there are any."""
        from pjc.runtime.projections import operator

        own = {each.operator for each in problem.walk() if isinstance(each, ops.ApplyOp)}
        named = ", ".join(sorted(name for name in own if not operator(name).precise))
        if not named:
            return None
        return (
            f"{named} answers a sweep by its projection, as pjc.operator was given no respond: what is asked "
            "of it and is small beside its value is lost in rounding, and layers behind it may learn little"
        )

    def explain(self) -> list[Explanation]:
        """Return, for each dot, the form of its copies, why, and what that costs.

        Empty for a source that starts behind the choice.
        """
        _ = self.at("proj")  # which checks the options
        if self.source.stage == "proj":
            return []
        return explain(only(self.at("feas"), feas.ProblemOp), self.chooser())

    def program(self) -> Program:
        """Return the compiled solver."""
        with self._blaming_source("its program"):
            program = self._program()
            if self.source.faults:
                program.trace()
            return program

    def telling(self) -> Program:
        """Return the compiled solver whose training tells of every node; see :meth:`Program.telling`.

        Raises:
            DiagnosticError: if its constraints are spread over devices.
        """
        return self._program(tells=True)

    def _program(self, tells: bool = False) -> Program:
        with interrupts_wait():
            from pjc.export import export
            from pjc.runtime.artifact import save
            from pjc.runtime.emit import Emitter, entry_points, nodes_of
            from pjc.runtime.mesh import make_mesh
            from pjc.runtime.placement import placement_on
            from pjc.runtime.program import Program, Services

        whole, mesh = only(self.at("placed"), proj.ProgramOp), self.mesh_plan.mesh
        _check_precision(self.dtype)
        on_mesh = None
        if mesh is not None:
            check_devices(mesh)
            share = self.mesh_plan.share(whole, self._smaller if self.source.has_batch else None)
            on_mesh = Emitter(share.program, placement_on(make_mesh(mesh), share.program, share.count))
            if tells and not on_mesh.placement.sees_all:
                raise mistake(
                    "a trace needs devices that all know every constraint; along 'stack' each has its own",
                    "train on a mesh without that axis, as in --mesh sample=4, or without --trace",
                )
        again = (lambda size: self.for_batch(size).program()) if self.source.has_batch else None
        signature = self._signature(whole)
        self._require_given(signature)
        own = (START, STEP, STEP + WEIGHTED) if outer_of(self.options).name == CUSTOM else ()
        entries = entry_points(Emitter(whole), self.options.products, on_mesh, tells)
        functions, layout = self._with_outer(signature, entries, on_mesh)
        return Program(
            signature,
            functions,
            self.texts(),
            Services(
                for_batch=again,
                hold=self.holding,
                tell=self.telling,
                nodes=nodes_of(whole) if tells else {},
                saver=lambda program, path: save(self._portable(program), path, self.record(), own),
                exporter=lambda params, units, path, opset: export(
                    self.source, self.options, params, path, units, opset
                ),
                restore=restored_program,
                unpicklable=_OWN_OUTER if own else None,
                page=page,
                layout=layout,
            ),
            initial=self.start.initial,
        )

    def _require_given(self, signature: Signature) -> None:
        """Raise DiagnosticError where parameters have other shapes than what came for them."""
        shapes = {spec.name: spec.shape for spec in signature.parameters}
        for label, array in self.given.items():
            if shapes.get(label) != array.shape:
                found = f"is {list(shapes[label])} with these options" if label in shapes else "is none of it"
                raise mistake(
                    f"'{self.source.name}' came with a parameter '{label}' of shape {list(array.shape)}, "
                    f"which {found}",
                    "leave out the options that change it",
                )

    def _signature(self, whole: proj.ProgramOp) -> Signature:
        """Return the signature of a program, once it is known that its solver uses the options."""
        from pjc.signature import signature_of

        found = signature_of(whole, self.options.repeats)
        if found.solver is not None:
            self.options.require_used_by(parse(found.solver))
        outer = outer_of(self.options)
        if not outer.freeze:
            return found
        from pjc.runtime.outer import frozen_in

        return replace(found, frozen=frozen_in(outer, found.members))

    def _with_outer(
        self, signature: Signature, functions: dict[str, Any], on_mesh: Emitter | None
    ) -> tuple[dict[str, Any], DeviceLayout | None]:
        """Return the entry points with those of the outer step, if there is one; and how states lie."""
        outer = outer_of(self.options)
        if DISPLACEMENT not in functions or not outer.is_given:
            return {name: each for name, each in functions.items() if name not in OF_TICKS}, None
        if TICK in functions:
            from pjc.runtime.emit.stream import moved_by
            from pjc.runtime.layout import ring_places
            from pjc.runtime.placement import StagePlacement
            from pjc.runtime.streaming import Devices, stream_entries

            program = only(self.at("placed"), proj.ProgramOp)
            stages, devices = moved_by(program), None
            if on_mesh is not None and isinstance(on_mesh.placement, StagePlacement):
                places = ring_places(program, on_mesh.program)
                devices = Devices(on_mesh.placement.mesh, on_mesh.placement.line, places)
            return stream_entries(outer, signature.members, stages, functions, program.pieces, devices)
        from pjc.runtime.outer import step_entries

        return {**functions, **step_entries(outer, signature.members, functions)}, None

    def _smaller(self, batch: int) -> proj.ProgramOp:
        """Return the program for a share of the batch, with the same forms of copies, for one device."""
        forms = tuple(f"{each.label}={each.choice.form}" for each in self.explain())
        options = replace(self.options, batch=batch, copies=forms or ("auto",), mesh=None)
        pieces = only(self.at("proj"), proj.ProgramOp).pieces
        return only(Compilation(self.source, options, pieces=pieces).at("proj"), proj.ProgramOp)

    def _portable(self, program: Program) -> Program:
        """Return the program as files hold it: for one device."""
        if self.options.mesh is None:
            return program
        return Compilation(self.source, replace(self.options, mesh=None)).program().rescaled(program.units)

    def holding(self, labels: tuple[str, ...]) -> Program | None:
        """Return the program in which the dots named are held; None where it is not the compiler's choice."""
        if not self.chooses_copies:
            return None
        copies = (*self.options.words, *(f"{label}=held" for label in labels))
        return replace(self, options=replace(self.options, copies=copies)).program()

    def for_batch(self, size: int) -> Compilation:
        """Return the compilation of the same source for another size of the dimension ``batch``."""
        return Compilation(self.source, replace(self.options, batch=size))

    def texts(self) -> dict[str, str]:
        """Return the text of the module after each stage from the source's on."""
        names = [stage.name for stage in STAGES]
        found = names[names.index(self.source.stage) :]
        return {name: str(self.at(name)) for name in found if name != "placed" or self.options.mesh}

    def record(self) -> dict[str, Any]:
        """Return what is needed to compile the source again, as JSON data."""
        options = self.options.record()
        options.pop("mesh", None)  # a file holds the program for one device
        return {"kind": self.source.kind, **self.source.record(self.options), "options": options}

    def fingerprint(self) -> str:
        """Return a checksum of the network, problem or program that the source gives."""
        return hashlib.sha256(str(self.start.module).encode()).hexdigest()[:16]

    def emit(self, stage: str, entry: str | None = None) -> str:
        """Return the text of a stage; for "stablehlo" and "hlo" that of one entry point.

        ``entry`` is one of :meth:`Program.entries`; by default what trains, or "apply" if the network
        requires nothing.
        """
        if stage not in EMITTED:
            raise mistake(f"unknown stage '{stage}'", f"known are {', '.join(EMITTED)}")
        if stage in ("pjn", "ast"):
            return self._emit_text(stage)
        if stage not in ("stablehlo", "hlo"):
            return self._not_in_ir() + str(self.at(stage))
        program = self.program()
        entry = entry or program.main_entry
        with self._timed(stage):
            if stage == "stablehlo":
                return program.stablehlo(entry)
            return str(program.lowered(entry).compile().as_text())

    def _not_in_ir(self) -> str:
        """Return a comment of what the source has and its IR has not; "" if that is nothing."""
        if not self.start.initial:
            return ""
        name = self.source.name
        return (
            f"// The first values of the parameters of '{name}' are not in this text: what starts from it\n"
            "// draws its own. Program.init of the compiled model has them; pjc train --params takes them\n"
            "// from a file.\n"
        )

    def _emit_text(self, stage: str) -> str:
        text, tree = self.source.text(self.options), None
        if stage == "ast":
            tree = self.source.tree(self.options)
        if text is None:
            raise mistake(f"'{self.source.name}' was not written in pjc's language, so there is no {stage}")
        return text if tree is None else ast.show(tree)

    def summary(self) -> Summary:
        """Return counts, sizes and times of what was compiled."""
        program = only(self.at("proj"), proj.ProgramOp)
        counts: Counter[tuple[str, str]] = Counter()
        nodes = [] if self.source.stage == "proj" else only(self.at("feas"), feas.ProblemOp).nodes()
        for node in nodes:
            if not isinstance(node, ops.GivenOp | ops.ParameterOp):
                part = "" if node.part is None else node.part.data
                counts[node.operator, part] += 1
        parameters = [op for op in program.walk() if isinstance(op, ops.ParameterOp)]
        return Summary(
            dict(counts),
            sum(prod(shape_of(op.result)) for op in parameters),
            program.state_bytes(),
            dict(self.seconds),
        )


def compile_text(
    text: str,
    options: Options | None = None,
    *,
    name: str = "network",
    file: str = "<string>",
    watch: Watch | None = None,
    libraries: Libraries | None = None,
) -> Compilation:
    """Return the compilation of a network in pjc's language; its stages run when they are asked for.

    ``libraries`` says where ``use`` looks; by default only among pjc's own.
    """
    source = PjnSource(text, name, file, libraries or Libraries())
    return Compilation(source, options or Options(), watch)


def compile_file(path: str | Path, options: Options | None = None, watch: Watch | None = None) -> Compilation:
    """Return the compilation of a file: ``.pjn``, ``.onnx``, IR, or that of which a ``.pjx`` has a record.

    Raises:
        DiagnosticError: if the file cannot be read, or does not use one of the options.
        ArtifactError: if a ``.pjx`` file cannot be read.
    """
    if Path(path).suffix.lower() == ".pjx":
        return recompiled(Path(path), options or Options(), watch)
    return Compilation(open_source(path), options or Options(), watch)


def recompiled(path: Path, options: Options, watch: Watch | None = None) -> Compilation:
    """Return the compilation of which a ``.pjx`` file has a record, with options that differ from the usual.

    Raises:
        DiagnosticError: for a mistake in the options.
        ArtifactError: if the file cannot be read, or its record is none of a network.
    """
    from pjc.runtime.artifact import ArtifactError, read_record

    recorded = read_record(path)
    changed = {name: getattr(options, name) for name in differing(options)}
    with reading(path, "a .pjx file whose network can be compiled again", ArtifactError):
        if "defines" in changed:
            changed["defines"] = {**recorded.source["options"].get("defines", {}), **changed["defines"]}
        found = replace(again(recorded.source, **changed), watch=watch, given=recorded.initial)
        _ = found.start  # which reads all of the record
        return found


def again(record: Mapping[str, Any], **changed: Any) -> Compilation:
    """Return the compilation of which a file keeps a record, with some options changed."""
    from pjc.sources import restored

    source = restored(record)
    given = {name: value for name, value in record["options"].items() if name not in source.unused()}
    return Compilation(source, Options(**{**given, **changed}))


_OWN_OUTER = (
    "its outer step is an optax transformation of your own, which no file holds; pickle parameters, and "
    "compile the network again, or take an outer step that is known by its name"
)


def loaded(path: str | Path, outer: Any = None) -> Program:
    """Return the program of a ``.pjx`` file, with ``outer``, an optax transformation, as outer step if given.

    Raises:
        ArtifactError: if the file is missing, truncated, altered, or of another format.
    """
    from pjc.export import export
    from pjc.runtime.artifact import load
    from pjc.runtime.program import Services

    def write(
        record: dict[str, Any], params: Any, units: Any, to: Path, opset: int | None
    ) -> tuple[str, ...]:
        found = again(record)
        return export(found.source, found.options, params, to, units, opset)

    return load(
        path,
        Services(
            restore=restored_program,
            unpicklable=None if outer is None else _OWN_OUTER,
            page=page,
        ),
        recompile=lambda record, size: again(record, batch=size).program(),
        hold=lambda record, labels: again(record).holding(labels),
        tell=lambda record: again(record).telling(),
        export=write,
        outer=None if outer is None else lambda record: outer_of(again(record).options).with_own(outer),
    )


def restored_program(data: bytes) -> Program:
    """Return the program whose ``.pjx`` file holds these bytes; as :func:`loaded`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "program.pjx")
        path.write_bytes(data)
        return loaded(path)


def _verified(op: Operation, where: str) -> None:
    try:
        op.verify()
    except VerifyException as error:
        raise mistake(f"{where}: {error}") from error


def _require_numbers(module: ModuleOp, f32: bool) -> None:
    """Raise DiagnosticError for a number that is not finite, or becomes infinite in ``f32``."""
    for op in module.walk():
        if wrong := wrong_number(op, f32):
            raise mistake(f"{op.name}: {wrong}")


def _check_precision(dtype: str) -> None:
    import jax

    if dtype == "f64" and not jax.config.read("jax_enable_x64"):
        raise mistake(
            "dtype f64 needs JAX's 64-bit mode, which is off",
            "call jax.config.update('jax_enable_x64', True) first, or set JAX_ENABLE_X64=1",
        )
