"""Where a network comes from: text in pjc's language, an ONNX model, IR that a stage left, or Python.

A source owns all that the compiler must know of it: the stage that it starts at, the module for given
options, the options that it does not use, and what a ``.pjx`` keeps of it. A new kind is a class here, in
:data:`SOURCES`.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Any, ClassVar

from pjc.diagnostics import DiagnosticError, PjcError, mistake
from pjc.fields import differing, options_of
from pjc.frontends.libraries import Libraries, LibrarySource, read_source, read_text
from pjc.ir_text import looks_like_ir, parse_ir, require_no_mlir, stage_of
from pjc.onnx import needs_onnx
from pjc.onnx.asked import Asked
from pjc.options import LOSSES, Options
from pjc.python_files import PythonName, calling, run
from pjc.reading import measured
from pjc.stage_names import STARTS

if TYPE_CHECKING:
    from xdsl.dialects.builtin import ModuleOp

    from pjc.builder import Network
    from pjc.frontends import ast
    from pjc.onnx.importer import Imported
    from pjc.tracing.trace import Traced


def _onnx_library(path: Path) -> LibrarySource:
    """Return a model as a library with one block, ``network``."""
    with needs_onnx(str(path)):
        from pjc.onnx.importer import import_block
    found = import_block(path)
    return LibrarySource(found.text, str(path), False, found.parameters)


LIBRARIES = {".pjn": read_text, ".onnx": _onnx_library}
"""What ``use NAME`` finds beside a file, by the endings of files."""


@dataclass(frozen=True)
class Start:
    """Where the stages start: a module, and the first values of parameters that came with it, by label."""

    module: ModuleOp
    initial: Mapping[str, Any] = field(default_factory=dict)


class Source(ABC):
    """A network as it comes to the compiler.

    Attributes:
        name: what the network is called.
        file: what messages call the file that it is in.
        what: what messages call sources of the kind.
        stage: the stage whose IR the module is.
    """

    kind: ClassVar[str]
    what: ClassVar[str]
    uses: ClassVar[frozenset[str]] = frozenset()
    """The options that make a difference to sources of the kind, but not to all."""
    faults: ClassVar[tuple[type[Exception], ...]] = ()
    """What else than mistakes a wrong source may raise on its way through the compiler."""
    name: str
    file: str
    stage: str = "net"

    @classmethod
    @abstractmethod
    def recognises(cls, path: Path) -> bool:
        """Return whether a file is a source of this kind, by its name or by what it holds."""

    @classmethod
    @abstractmethod
    def open(cls, path: Path) -> Source:
        """Return the source in a file.

        Raises:
            DiagnosticError: if it cannot be read.
        """

    @classmethod
    @abstractmethod
    def of_record(cls, record: Mapping[str, Any]) -> Source:
        """Return the source of which a file keeps a record."""

    @abstractmethod
    def record(self, options: Options) -> dict[str, Any]:
        """Return what a file keeps of the source, as JSON data: enough to start from it again."""

    @abstractmethod
    def start(self, options: Options) -> Start:
        """Return the module to start from.

        Raises:
            DiagnosticError: for every mistake in the source, each with its place.
        """

    def unused(self) -> frozenset[str]:
        """Return the names of the options that make no difference to the source."""
        return frozenset()

    @property
    def has_batch(self) -> bool:
        """Whether the network can be had for another batch."""
        return "batch" not in self.unused()

    def text(self, options: Options) -> str | None:
        """Return the network in pjc's language; None where it was not written in it."""
        return None

    def texts(self, options: Options) -> dict[str, str]:
        """Return the texts that operations have their places in, by what messages call their files."""
        text = self.text(options)
        return {} if text is None else {self.file: text}

    def tree(self, options: Options) -> ast.File | None:
        """Return the syntax tree of the text; None where there is none."""
        return None

    def names(self, options: Options) -> Mapping[str, str]:
        """Return what a model is to call inputs and outputs that the network calls otherwise."""
        return {}

    def dtype(self, options: Options) -> str:
        """Return the type of the network's numbers."""
        return options.dtype

    def check_training(self, options: Options) -> None:
        """Raise DiagnosticError if training needs an option that was not given."""
        return

    def check(self, options: Options) -> None:
        """Raise DiagnosticError for an option that would not be used, with the sources that use it."""
        for name in differing(options):
            if name in self.unused():
                users = [cls.what for cls in SOURCES.values() if name in cls.uses]
                raise mistake(f"{name} does not apply to {self.what}", f"it is for {' and '.join(users)}")


OPENED = "export the model with a first dimension that is open, where it treats samples one by one"
_ONNX_OPTIONS = frozenset({"loss", "reinit", "trainable"})
_TEXT_OPTIONS = frozenset({"batch", "defines", "dtype"})


@dataclass
class PjnSource(Source):
    """A network in pjc's language.

    ``file`` is what messages call it; ``libraries`` say where ``use`` looks, by default only among pjc's own;
    ``renamed`` is what the model that the text was made of calls inputs and outputs; ``parameters`` are what
    those of a text that was made of a Python function start from.
    """

    kind = "pjn"
    what = ".pjn files"
    uses = _TEXT_OPTIONS

    written: str
    name: str = "network"
    file: str = "<string>"
    libraries: Libraries = field(default_factory=Libraries)
    renamed: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def recognises(cls, path: Path) -> bool:
        return path.suffix.lower() == ".pjn"

    @classmethod
    def open(cls, path: Path) -> PjnSource:
        text = read_source(path)
        require_no_mlir(text, str(path))
        return cls(text, name_of(path), str(path), Libraries(path.parent, readers=LIBRARIES))

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> PjnSource:
        libraries = Libraries(recorded=record["libraries"])
        renamed = {str(own): str(name) for own, name in record.get("names", {}).items()}
        return cls(record["text"], record["name"], record["file"], libraries, renamed)

    def record(self, options: Options) -> dict[str, Any]:
        return _text_record(self.written, self.name, self.file, self.libraries.texts(), self.renamed)

    def names(self, options: Options) -> Mapping[str, str]:
        return self.renamed

    def unused(self) -> frozenset[str]:
        return _ONNX_OPTIONS

    def text(self, options: Options) -> str:
        return self.written

    def texts(self, options: Options) -> dict[str, str]:
        used = {found.file: found.text for found in self.libraries.found.values()}
        return {**super().texts(options), **used}

    def tree(self, options: Options) -> ast.File:
        from pjc.frontends import pjn

        return pjn.parse(self.written, self.file)

    def start(self, options: Options) -> Start:
        return _elaborated(self.tree(options), self.name, options, self.libraries, self.parameters)


def _text_record(
    text: str, name: str, file: str, libraries: Mapping[str, str], names: Mapping[str, str]
) -> dict[str, Any]:
    """Return what a file keeps of a network's text; names only where a model calls something otherwise."""
    found = {"text": text, "name": name, "file": Path(file).name, "libraries": dict(libraries)}
    return {**found, "names": dict(names)} if names else found


def _elaborated(
    tree: ast.File,
    name: str,
    options: Options,
    libraries: Libraries,
    parameters: Mapping[str, Any] | None = None,
) -> Start:
    from pjc.frontends.elaborate import elaborate

    found = elaborate(
        tree,
        name=name,
        defines=options.defines,
        batch=options.batch,
        dtype=options.dtype,
        libraries=libraries,
        parameters=parameters,
    )
    return Start(found.module, found.initial)


@dataclass
class OnnxSource(Source):
    """An ONNX model, through the text that the importer makes of it.

    A model that gives its batch a number is first read as one of any batch. Where that fails, for another
    batch than the model's or perhaps for its own, it is read as it says.
    """

    kind = "onnx"
    what = "ONNX models"
    uses = _TEXT_OPTIONS | _ONNX_OPTIONS

    name: str
    file: str
    path: Path | None = None
    """The model; None where a record kept only the text that was made of it."""
    found: dict[Asked, Imported] = field(default_factory=dict)
    """The text that the model was read as, by what was asked of it."""

    @classmethod
    def recognises(cls, path: Path) -> bool:
        return path.suffix.lower() == ".onnx"

    @classmethod
    def open(cls, path: Path) -> OnnxSource:
        with needs_onnx(str(path)):
            import pjc.onnx.importer  # noqa: F401
        return cls(name_of(path), f"{path}.pjn", path)

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> PjnSource:
        """Return the text that was made of the model, which it was compiled as."""
        return PjnSource.of_record(record)

    def record(self, options: Options) -> dict[str, Any]:
        return _text_record(self.text(options), self.name, self.file, {}, self.names(options))

    def names(self, options: Options) -> Mapping[str, str]:
        self.start(options)
        return self.found[_asked(options)].names

    def check_training(self, options: Options) -> None:
        if options.loss is None:
            raise mistake(
                f"{self.path} does not say what training is to reach; give --loss, as in --loss {LOSSES[0]}"
            )
        self.start(options)
        self._require_batches(self.found[_asked(options)])

    def text(self, options: Options) -> str:
        self.start(options)
        return self.found[_asked(options)].text

    def tree(self, options: Options) -> ast.File:
        from pjc.frontends import pjn

        return pjn.parse(self.text(options), self.file)

    def start(self, options: Options) -> Start:
        if _asked(options) in self.found:
            found = self.found[_asked(options)]
            self._check_batch(found, options)
            return self._read(found, options)
        found = self._imported(options, assume=True)
        try:
            start = self._read(found, options)
        except DiagnosticError as error:
            if not found.assumed:
                raise
            found = replace(self._imported(options, assume=False), fixed=error.diagnostics[0].message)
            start = self._read(found, options)
        self._check_batch(found, options)
        self.found[_asked(options)] = found
        return start

    def _require_batches(self, found: Imported) -> None:
        """Raise DiagnosticError for a model that takes no other samples than those of its own batch."""
        if found.fixed:
            message = f"{self.path} cannot be fed with batches, as it takes no other than its own"
            raise mistake(f"{message}: {found.fixed}", OPENED)

    def _check_batch(self, found: Imported, options: Options) -> None:
        """Raise DiagnosticError for a batch of another size than a model has that takes only its own."""
        if found.fixed and options.batch not in (None, found.number):
            its = "has no batch" if found.number is None else f"takes batches of {found.number} only"
            asked = f"and batches of {options.batch} are asked for"
            raise mistake(f"{self.path} {its}, {asked}: {found.fixed}", OPENED)

    def _imported(self, options: Options, *, assume: bool) -> Imported:
        from pjc.onnx.importer import import_file

        assert self.path is not None
        return import_file(self.path, _asked(options), assume=assume)

    def _read(self, found: Imported, options: Options) -> Start:
        from pjc.frontends import pjn

        tree = pjn.parse(found.text, self.file)
        parameters = {} if options.reinit else found.parameters
        return _elaborated(tree, self.name, options, Libraries(), parameters)


def _asked(options: Options) -> Asked:
    return Asked(options.loss, tuple(options.trainable))


@dataclass
class IrSource(Source):
    """IR that a stage left, perhaps edited, in MLIR's syntax: one net.network, feas.problem or proj.program.

    It goes on from where it stands: what the stages before would have taken from the options is in it.
    """

    kind = "ir"
    what = "IR"
    faults = (Exception,)

    name: str
    file: str
    written: str
    module: ModuleOp = field(repr=False, compare=False)
    stage: str

    @classmethod
    def recognises(cls, path: Path) -> bool:
        try:
            measured(path)  # a pipe would never end
            with path.open("rb") as file:
                return looks_like_ir(file.read(2**16).decode("utf-8-sig", "replace"))
        except (OSError, PjcError):
            return False

    @classmethod
    def open(cls, path: Path) -> IrSource:
        return cls._of(read_source(path), str(path))

    @classmethod
    def _of(cls, written: str, file: str) -> IrSource:
        module = parse_ir(written, file)
        stage = stage_of(module, file)
        if "mesh" in module.body.block.first_op.properties:  # type: ignore[union-attr]
            raise mistake(f"{file} is placed on a mesh already", "start from --emit proj, and give --mesh")
        return cls(_symbol(module), file, written, module, stage)

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> IrSource:
        return cls._of(record["text"], record["file"])

    def record(self, options: Options) -> dict[str, Any]:
        return {"text": self.written, "file": Path(self.file).name}

    def unused(self) -> frozenset[str]:
        return _ONNX_OPTIONS | _TEXT_OPTIONS | self._over().keys()

    def _over(self) -> dict[str, str]:
        """Return the options that a source which starts here is too late for, with their last stages."""
        ours = STARTS.index(self.stage)
        lasts = {each.name: each.until for each in options_of(Options) if each.until is not None}
        return {name: last for name, last in lasts.items() if STARTS.index(last) < ours}

    def check(self, options: Options) -> None:
        for name in differing(options):
            last = self._over().get(name)
            if last is not None:
                earlier = " and ".join(STARTS[: STARTS.index(last) + 1])
                raise mistake(
                    f"{name} does not apply to {self.file}, which starts at {self.stage}",
                    f"it is for networks that start at {earlier}",
                )
        super().check(options)

    def start(self, options: Options) -> Start:
        return Start(self.module.clone())

    def dtype(self, options: Options) -> str:
        return "f64" if _holds_f64(self.module) else "f32"


@dataclass
class FunctionSource(PjnSource):
    """A function of ``jax.numpy``, through the text that tracing made of it; files keep the text alone.

    ``wide`` tells that its parameters are of 64 bits.
    """

    what = "functions of Python"

    wide: bool = False

    @classmethod
    def of(cls, traced: Traced) -> FunctionSource:
        """Return the source of a function that was traced."""
        name = traced.name
        return cls(traced.text, name, f"<{name}>", parameters=traced.first, wide=traced.is_wide)

    def check(self, options: Options) -> None:
        super().check(options)
        if self.wide and options.dtype != "f64":
            raise mistake(
                f"the parameters of {self.name} are float64, and dtype is {options.dtype}",
                "give dtype f64, or parameters of float32",
            )


SOURCES: dict[str, type[Source]] = {cls.kind: cls for cls in (PjnSource, OnnxSource, IrSource)}
"""The kinds of sources; the first that recognises a file reads it."""


def open_source(path: str | Path) -> Source:
    """Return the source in a file, or what ``FILE.py:NAME`` names in a Python file, which is run.

    Raises:
        DiagnosticError: if it cannot be read, or is no source of a kind that is known; for what a Python
            file, which is run, raises.
    """
    named = PythonName.of(path)
    if named is not None:
        return _python(named)
    path = Path(path)
    for cls in SOURCES.values():
        if cls.recognises(path):
            return cls.open(path)
    return PjnSource.open(path)


def source_of(given: Source | Network | str | Path) -> Source:
    """Return the source that Python code names: itself, a network that was built, a text of several lines, or
    a path.

    Raises:
        DiagnosticError: as :func:`open_source`; and for anything else.
    """
    if isinstance(given, Source):
        return given
    if isinstance(given, str) and "\n" in given:
        if looks_like_ir(given):
            return IrSource._of(given, "<string>")
        require_no_mlir(given, "<string>")
        return PjnSource(given)
    if isinstance(given, str | Path):
        return open_source(given)
    from pjc.builder import Network

    if isinstance(given, Network):
        return IrSource._of(str(given.module()), f"<{given.name}>")
    raise mistake(
        f"a network is a path, a text of several lines, a source or a Network, found {type(given).__name__}",
        "as in pjc.compile('model.pjn')",
    )


def _python(named: PythonName) -> Source:
    """Return the network that a name in a Python file stands for; the file is run.

    Raises:
        DiagnosticError: if it has no such name, or that is no network and makes none.
    """
    module, file, name = run(named.file), named.file, named.name
    own = {key: value for key, value in vars(module).items() if not key.startswith("_")}
    if name is None:
        raise mistake(
            f"{file} is a Python file, which may hold several networks", _named(own, file, module.__name__)
        )
    if name not in own:
        raise mistake(f"{file} has no '{name}'", _named(own, file, module.__name__))
    value = own[name]
    if isinstance(value, FunctionType):
        missing = _required(value)
        if missing:
            raise mistake(
                f"'{name}' of {file} is a function of {', '.join(missing)}, and of a network it is known "
                "what they are",
                f"name what pjc.network({name}, params, inputs, ..) returns, or a function without arguments "
                "that returns it",
            )
        value = calling(file, value, f"{name}()")
    found = _network(value)
    if found is None:
        raise mistake(
            f"'{name}' of {file} is no network but {type(value).__name__}",
            "name what pjc.network or pjc.trace returns, or a function without arguments that returns it",
        )
    return found


def _named(own: Mapping[str, Any], file: Path, module: str) -> str:
    """Return what networks there are to be named in a Python file."""
    makers = [
        name
        for name, value in own.items()
        if isinstance(value, FunctionType) and value.__module__ == module and not _required(value)
    ]
    found = [name for name, value in own.items() if _network(value) is not None] + makers
    if not found:
        return "it has no network; pjc.network(function, params, inputs, ..) makes one"
    return "there is " + ", ".join(f"{file}:{name}" for name in found)


def _required(function: FunctionType) -> list[str]:
    """Return the names of the arguments that a function cannot be called without."""
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    given = inspect.signature(function).parameters.values()
    return [each.name for each in given if each.default is each.empty and each.kind not in kinds]


def _network(value: Any) -> Source | None:
    """Return the source that a value of Python code is, or was compiled from; None for anything else."""
    from pjc.builder import Network
    from pjc.tracing.program import TracedProgram

    if isinstance(value, TracedProgram):
        value = value.source
    return source_of(value) if isinstance(value, Source | Network) else None


def restored(record: Mapping[str, Any]) -> Source:
    """Return the source of a record that has its kind with it."""
    return SOURCES[record["kind"]].of_record(record)


def name_of(path: Path) -> str:
    """Return what a network in a file is called."""
    name = "".join(c if c.isalnum() else "_" for c in path.stem) or "network"
    return f"_{name}" if name[0].isdigit() else name


def _symbol(module: ModuleOp) -> str:
    (op,) = module.ops
    return str(op.properties["sym_name"].data)  # type: ignore[attr-defined]


def _holds_f64(module: ModuleOp) -> bool:
    from xdsl.dialects.builtin import TensorType, f64

    return any(
        isinstance(value.type, TensorType) and value.type.element_type == f64
        for op in module.walk()
        for value in op.results
    )
