"""The command line: ``pjc MODEL.pjn``, ``pjc train``, ``pjc opt``.

Nothing heavy is imported until a command needs it, so that ``pjc --help`` answers at once.
"""

from __future__ import annotations

import argparse
import difflib
import hashlib
import os
import signal
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pjc import __version__
from pjc.diagnostics import DiagnosticError

if TYPE_CHECKING:
    from rich.console import Console

    from pjc.driver import Compilation, Options, Summary
    from pjc.runtime.data import Dataset
    from pjc.runtime.history import Result, Row
    from pjc.runtime.program import Program

SOLVERS = ("ap", "ar", "dr", "rrr", "dm", "cp", "cdr")
STAGES = ("ast", "net", "feas", "proj", "stablehlo", "hlo")
COMMANDS = ("compile", "train", "opt")
DTYPES = ("f32", "f64")

_USAGE = """pjc MODEL.pjn [options]
       pjc train MODEL.pjn --data SOURCE [options]
       pjc opt FILE.mlir -p PASSES [options]"""

_EXAMPLES = """\
commands:
  pjc MODEL.pjn          compile a network (also: pjc compile MODEL.pjn)
  pjc train MODEL.pjn    compile it and train it; see pjc train --help
  pjc opt FILE.mlir      run passes on IR, in the manner of mlir-opt; see pjc opt --help

examples:
  pjc digits_mlp.pjn                       writes digits_mlp.pjx beside the source
  pjc digits_mlp.pjn -D hidden=256         with another value for a const of the file
  pjc digits_mlp.pjn --emit feas           shows the feasibility problem
  pjc digits_mlp.pjn --solver rrr --step 0.5 --emit proj
  pjc train digits_mlp.pjn --data digits --epochs 10 --seed 0

A wrong file or value is reported on stderr, with exit code 1; a wrong command line with 2.
"""

_TRAIN_EXAMPLES = """\
data:
  digits                 8 x 8 handwritten digits, bundled with scikit-learn
  FILE.npz               arrays x and y
  FILE.csv               with --target COLUMN
  FILE                   IDX images (the MNIST format, gzipped or not), labels found beside them
  IMAGES,LABELS          two IDX files

The test part and the validation part are the same in every run, whatever the seed. Ctrl-C finishes
the batch and writes what there is (exit code 130); a second Ctrl-C aborts. --resume goes on from
there to the same numbers as a run that was never stopped.

examples:
  pjc train digits_mlp.pjn --data digits --epochs 10 --seed 0
  pjc train digits_mlp.pjn --data digits --epochs 20 --seed 0 --resume
  pjc train mnist.pjn --data train-images-idx3-ubyte.gz --test-data t10k-images-idx3-ubyte.gz
  pjc train iris.pjn --data iris.csv --target species --normalize standard -o runs/iris
"""


class CommandError(Exception):
    """A mistake of the user's that no other part reports; its text says what to do."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``pjc`` with the arguments ``argv`` (by default the process's) and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _dispatch(arguments)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # Whoever read our output has gone; nothing may be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except Exception as error:
        return _report(error)


def _report(error: Exception) -> int:
    """Print what went wrong, in a sentence, and return the exit code."""
    if isinstance(error, DiagnosticError):
        print(error, file=sys.stderr)
        return 1
    if isinstance(error, CommandError):
        return _fail(str(error))
    from pjc.runtime.data import DataError

    if isinstance(error, DataError):
        return _fail(str(error))
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
        return _fail("out of memory; give a smaller --batch, or a smaller network")
    if isinstance(error, OSError):
        named = f"{error.filename}: " if error.filename else ""
        return _fail(f"{named}{error.strerror or error}")
    if os.environ.get("PJC_TRACEBACK"):
        raise error
    text = " ".join(str(error).split())[:500]
    return _fail(
        f"internal error, {type(error).__name__}: {text}\n"
        "hint: this is a mistake in pjc; PJC_TRACEBACK=1 shows where it happened"
    )


def _fail(message: str, code: int = 1) -> int:
    print(f"pjc: error: {message}", file=sys.stderr)
    return code


def _dispatch(arguments: list[str]) -> int:
    command = arguments[0] if arguments and arguments[0] in COMMANDS else None
    if command == "opt":
        from pjc import opt

        return int(opt.main(arguments[1:]) or 0)
    if command == "train":
        return _train(_train_parser().parse_args(arguments[1:]))
    if command is None and arguments and not arguments[0].startswith("-"):
        _refuse_misspelt_command(arguments[0])
    parser = _compile_parser()
    if not arguments:
        parser.print_help(sys.stderr)
        return 2
    return _compile(parser.parse_args(arguments[command is not None :]))


def _refuse_misspelt_command(word: str) -> None:
    """Raise CommandError if ``word`` is no file and close to the name of a command."""
    near = difflib.get_close_matches(word, COMMANDS, 1)
    if near and not Path(word).exists():
        raise CommandError(f"there is no file {word!r}; did you mean the command {near[0]!r}?")


# --- arguments ------------------------------------------------------------------------------------


def _number(
    kind: Callable[[str], float], accept: Callable[[float], bool], wanted: str
) -> Callable[[str], float]:
    """Return an argparse type: a number for which ``accept`` holds, or an error naming ``wanted``."""

    def parse(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not accept(value):
            raise argparse.ArgumentTypeError(f"expected {wanted}, got {text!r}")
        return value

    return parse


_count = _number(int, lambda n: 1 <= n < 2**31, "a whole number from 1")
_seed = _number(int, lambda n: 0 <= n < 2**31, "a whole number from 0 to 2147483647")
_fraction = _number(float, lambda v: 0 <= v < 1, "a fraction from 0 to below 1")
_relaxation = _number(float, lambda v: 0 < v <= 1, "a number above 0, at most 1")
_step = _number(float, lambda v: 0 < v <= 2, "a number above 0, at most 2")
_beta = _number(float, lambda v: v != 0 and abs(v) <= 1e6, "a number other than 0")


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Keeps the examples as written; gives option names room."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=100)


def _compile_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pjc",
        usage=_USAGE,
        description="Compiles a neural network to projections, which train it without gradients.",
        epilog=_EXAMPLES,
        formatter_class=_Formatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"pjc {__version__}")
    parser.add_argument("model", metavar="MODEL.pjn", help="the network")
    parser.add_argument("-o", dest="output", metavar="FILE", help="where to write (default: MODEL.pjx)")
    parser.add_argument("--emit", choices=STAGES, help="print this stage instead, or write it to -o")
    _add_compile_options(parser)
    return parser


def _add_compile_options(parser: argparse.ArgumentParser) -> None:
    solver = parser.add_argument_group("solver")
    solver.add_argument("--solver", choices=SOLVERS, help="how sets are projected onto (default: dr)")
    add = solver.add_argument
    add("--iterations", type=_count, metavar="N", help="iterations on a batch (default: 50)")
    add("--relaxation", type=_relaxation, metavar="L", help="of dr, in (0, 1] (default: 0.5)")
    add("--step", type=_step, metavar="B", help="of rrr, in (0, 2] (default: 1)")
    add("--beta", type=_beta, metavar="B", help="of dm, not 0 (default: 1)")
    network = parser.add_argument_group("network")
    add = network.add_argument
    add("--batch", type=_count, metavar="N", help="samples in a batch (default: the file's, or 64)")
    add("--dtype", choices=DTYPES, help="type of the numbers (default: f32)")
    add(
        *("-D", "--define"),
        dest="defines",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="give a const of the file another value; may be repeated",
    )
    dumps = parser.add_argument_group("dumps, on stderr")
    add = dumps.add_argument
    add("--print-ir-after-all", action="store_true", help="print the IR after every pass")
    add(
        "--print-ir-after",
        action="append",
        default=[],
        metavar="PASS",
        help="print the IR after this pass; may be repeated",
    )


def _train_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pjc train",
        usage="pjc train MODEL.pjn --data SOURCE [options]",
        description="Compiles a network and trains it, and leaves in the current directory\n"
        "MODEL.params.safetensors, MODEL.history.csv and MODEL.pjx.",
        epilog=_TRAIN_EXAMPLES,
        formatter_class=_Formatter,
        allow_abbrev=False,
    )
    parser.add_argument("model", metavar="MODEL.pjn", help="the network")
    data = parser.add_argument_group("data")
    add = data.add_argument
    add("--data", required=True, metavar="SOURCE", help="what to train on (see below)")
    add("--target", metavar="COLUMN", help="the column of a CSV file that holds the targets")
    add("--test-data", metavar="SOURCE", help="what to test on, instead of a part of --data")
    add("--test", type=_fraction, metavar="F", help="part of --data to test on (default: 0.2)")
    add(
        *("--validation",),
        type=_fraction,
        default=0.1,
        metavar="F",
        help="part of what remains to watch training with (default: 0.1)",
    )
    add(
        "--normalize",
        choices=("none", "standard"),
        default="none",
        help="standard: mean 0, variance 1 for each feature of the training part (default: none)",
    )
    run = parser.add_argument_group("run")
    add = run.add_argument
    add("--epochs", type=_count, default=10, metavar="N", help="epochs in all (default: 10)")
    add("--seed", type=_seed, default=0, metavar="S", help="of parameters and order (default: 0)")
    add("--params", metavar="FILE", help="safetensors with parameters to start from")
    add("--resume", action="store_true", help="go on from what an earlier run wrote")
    add(
        "-o",
        dest="output",
        default=".",
        metavar="WHERE",
        help="a directory to write to, or a path to put before .params.safetensors and the others",
    )
    _add_compile_options(parser)
    return parser


# --- compiling ------------------------------------------------------------------------------------


def _options(given: argparse.Namespace) -> Options:
    """Return the driver's options; what was not given keeps the driver's default."""
    from pjc.driver import Options
    from pjc.frontends.elaborate import parse_define

    names = ("solver", "batch", "dtype", "relaxation", "step", "beta", "iterations")
    chosen = {name: getattr(given, name) for name in names if getattr(given, name) is not None}
    return Options(**chosen, defines=dict(parse_define(text) for text in given.defines))


@contextmanager
def _precision(given: argparse.Namespace) -> Iterator[None]:
    """Let JAX compute in float64 inside, where ``--dtype f64`` was given."""
    if given.dtype != "f64":
        yield
        return
    import jax

    with jax.enable_x64(True):
        yield


@dataclass
class _Dumps:
    """Prints the IR after the passes that were asked for, and knows which passes ran."""

    every: bool
    wanted: Sequence[str]
    seen: list[str] = field(default_factory=list)

    def __call__(self, name: str, text: str) -> None:
        self.seen.append(name)
        if self.every or name in self.wanted:
            print(f"// ----- after {name} -----\n{text}", file=sys.stderr)

    def check(self) -> None:
        """Raise CommandError if a pass that was asked for did not run."""
        for name in self.wanted:
            if name not in self.seen:
                ran = ", ".join(dict.fromkeys(self.seen)) or "none"
                raise CommandError(f"no pass {name!r} ran; the passes of this run were: {ran}")


def _open_model(given: argparse.Namespace) -> tuple[Compilation, _Dumps]:
    """Return the model's compilation and the dumps that go with it."""
    from pjc.driver import compile_file

    dumps = _Dumps(given.print_ir_after_all, given.print_ir_after)
    return compile_file(given.model, _options(given), after_pass=dumps), dumps


def _require_source(path: Path) -> None:
    """Raise CommandError if there is no file ``path``, or nothing in it; the driver does the rest."""
    try:
        path.stat()
        if path.is_dir():
            raise CommandError(f"{path} is a directory; name a .pjn file in it")
        if path.is_file() and not path.read_bytes().strip():
            raise CommandError(f"{path} is empty")
    except FileNotFoundError:
        near = difflib.get_close_matches(path.name, _names_in(path.parent), 1)
        advice = f"; did you mean {path.with_name(near[0])}?" if near else ""
        raise CommandError(f"there is no file {path}{advice}") from None
    except (OSError, ValueError) as error:
        raise CommandError(f"{path} cannot be read: {_reason(error)}") from None


def _names_in(folder: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in folder.iterdir())
    except OSError:
        return []


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _compile(given: argparse.Namespace) -> int:
    """Run ``pjc MODEL.pjn``."""
    from pjc.runtime.history import replace_file

    source = Path(given.model)
    _require_source(source)
    output = Path(given.output) if given.output else source.with_suffix(".pjx")
    if output.exists() and output.samefile(source):
        raise CommandError(f"-o {output} would overwrite the source; name another file")
    with _precision(given):
        compilation, dumps = _open_model(given)
        if given.emit:
            text = compilation.emit(given.emit).rstrip("\n") + "\n"
            dumps.check()
            if given.output:
                replace_file(output, lambda path: path.write_text(text, encoding="utf-8"))
            else:
                sys.stdout.write(text)
            return 0
        program = compilation.program()
        dumps.check()
        _save_program(program, output)
        summary = compilation.summary()
    console = _console()
    _print_summary(console, summary)
    _say(console, f"wrote {output}")
    return 0


def _save_program(program: Program, path: Path) -> None:
    """Write the compiled program; a directory, device or pipe is left alone, with CommandError."""
    from pjc.runtime.history import replace_file

    if path.exists() and not path.is_file():
        raise CommandError(f"{path} cannot be written: it is no regular file")
    replace_file(path, program.save)


def _console() -> Console:
    """Return the console for stdout: styled on a terminal, plain lines elsewhere."""
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else 120)


def _say(console: Console, text: str, style: str | None = None) -> None:
    """Print a line as it is, however long."""
    console.print(text, style=style, markup=False, soft_wrap=True)


def _print_summary(console: Console, summary: Summary) -> None:
    """Print constraints by kind and part, parameters, memory of the copies, and times."""
    from rich.table import Table

    parts = sorted({part for _, part in summary.constraints})
    kinds = sorted({kind for kind, _ in summary.constraints})
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column("constraints", style="bold")
    for part in parts:
        table.add_column(f"part {part}" if part else "count", justify="right")
    for kind in kinds:
        counts = [summary.constraints.get((kind, part), 0) for part in parts]
        table.add_row(kind, *(str(count) if count else "-" for count in counts))
    console.print(table)
    _say(console, f"parameters    {summary.parameters:,}")
    _say(console, f"copies        {_bytes(summary.copies_bytes)}")
    times = ", ".join(f"{stage} {seconds:.2f}" for stage, seconds in summary.seconds.items())
    _say(console, f"seconds       {times}")


def _bytes(count: int) -> str:
    """Return a number of bytes in the unit that reads best."""
    value, unit = float(count), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            break
        value /= 1024
    return f"{count} B" if unit == "B" else f"{value:.1f} {unit}"


# --- training -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Outputs:
    """The three files that a training run writes."""

    params: Path
    history: Path
    program: Path

    @staticmethod
    def at(where: str, model: Path) -> _Outputs:
        """Return the files for ``-o where``, whose directory is made and must take files."""
        folder = Path(where)
        is_folder = folder.is_dir() or where.endswith(("/", os.sep))
        prefix = folder / model.stem if is_folder else folder
        try:
            prefix.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CommandError(f"{prefix.parent} cannot be made a directory: {_reason(error)}") from None
        if not os.access(prefix.parent, os.W_OK | os.X_OK):
            raise CommandError(f"{prefix.parent} cannot be written to; choose another with -o")
        name = prefix.name
        return _Outputs(
            prefix.with_name(f"{name}.params.safetensors"),
            prefix.with_name(f"{name}.history.csv"),
            prefix.with_name(f"{name}.pjx"),
        )


@dataclass(frozen=True)
class _Parts:
    """The data of a run, in the network's shapes; ``notes`` says how it was normalized."""

    train: Dataset
    validation: Dataset | None
    test: Dataset | None
    notes: Mapping[str, str]


def _train(given: argparse.Namespace) -> int:
    """Run ``pjc train``."""
    if given.resume and given.params:
        raise CommandError("--resume goes on from what was written, so it takes no --params")
    if given.test_data and given.test is not None:
        raise CommandError("--test sets a part of --data aside, so it goes without --test-data")
    model = Path(given.model)
    _require_source(model)
    outputs = _Outputs.at(given.output, model)
    with _precision(given):
        from pjc.runtime.program import ProgramError
        from pjc.runtime.train import TrainError

        compilation, dumps = _open_model(given)
        program = compilation.program()
        dumps.check()
        try:
            return _train_program(given, compilation, program, outputs)
        except (TrainError, ProgramError) as error:
            raise CommandError(str(error)) from error


def _train_program(
    given: argparse.Namespace, compilation: Compilation, program: Program, outputs: _Outputs
) -> int:
    """Train a compiled program and write what comes of it."""
    from pjc.runtime import train

    console = _console()
    parts = _load_parts(given, program)
    settings = _settings(given, compilation, program, parts)
    start = _start(given, program, outputs, settings)
    _save_program(program, outputs.program)
    sizes = [f"{len(parts.train)} to train on"]
    sizes += [f"{len(parts.validation)} to validate"] if parts.validation else []
    sizes += [f"{len(parts.test)} to test"] if parts.test else []
    _say(console, f"{parts.train.name}: {', '.join(sizes)}; batches of {program.batch}")
    metric = train.metric(program)
    view = _View(console, given.epochs, len(parts.train) // (program.batch or 1), metric, start)

    def save(result: Result) -> None:
        _save(outputs, result, settings, parts.notes, metric)

    def after_epoch(result: Result) -> None:
        save(result)
        view.epoch(result.history[-1])

    with view, _Interrupt(console) as interrupt:
        result = train.train(
            program,
            parts.train,
            epochs=given.epochs,
            seed=given.seed,
            validation=parts.validation,
            start=start,
            callback=after_epoch,
            progress=view.progress,
            stop=interrupt,
        )
        save(result)
    for path in (outputs.params, outputs.history, outputs.program):
        _say(console, f"wrote {path}")
    if interrupt.asked:
        done = f"{result.epoch} epochs" + (f" and {result.batch} batches" if result.batch else "")
        _say(console, f"stopped after {done} of {given.epochs} epochs; --resume goes on from here")
    if parts.test is not None:
        score = train.evaluate(program, result.params, parts.test)
        _say(console, f"test {metric}: {_score(score, metric)}", "bold")
    return 130 if interrupt.asked else 0


def _load_parts(given: argparse.Namespace, program: Program) -> _Parts:
    """Load, fit, split and normalize the data."""
    from pjc.runtime.data import Standardize, fit, load, match, split
    from pjc.runtime.train import specs

    source, target = specs(program)
    train_part = fit(load(given.data, given.target), source, target)
    test: Dataset | None = None
    if given.test_data:
        column = given.target if given.test_data.lower().endswith(".csv") else None
        test = fit(match(load(given.test_data, column), train_part), source, target)
    elif given.test != 0:
        fraction = 0.2 if given.test is None else given.test
        train_part, test = split(train_part, fraction, "test")
    validation: Dataset | None = None
    if given.validation:
        train_part, validation = split(train_part, given.validation, "validation")
    if given.normalize == "none":
        return _Parts(train_part, validation, test, {})
    standardize = Standardize.measure(train_part)
    return _Parts(
        standardize(train_part),
        None if validation is None else standardize(validation),
        None if test is None else standardize(test),
        standardize.notes(),
    )


Settings = Mapping[str, str | int | float]


def _settings(
    given: argparse.Namespace, compilation: Compilation, program: Program, parts: _Parts
) -> Settings:
    """Return what must be the same for a resumed run to give the same numbers."""
    data = zlib.crc32(parts.train.y.tobytes(), zlib.crc32(parts.train.x.tobytes()))
    options = compilation.options
    return {
        "network": hashlib.sha256(compilation.emit("net").encode()).hexdigest()[:16],
        "seed": given.seed,
        "data": f"{len(parts.train)} samples to train on, checksum {data:08x}",
        "batch": program.batch or 0,
        "dtype": options.dtype,
        "solver": options.solver,
        "relaxation": options.relaxation,
        "step": options.step,
        "beta": options.beta,
        "iterations": options.iterations,
    }


def _start(
    given: argparse.Namespace, program: Program, outputs: _Outputs, settings: Settings
) -> Result | None:
    """Return what training starts from: a checkpoint, given parameters, or None for fresh ones."""
    from pjc.runtime.history import Result, read_checkpoint, read_parameters
    from pjc.runtime.train import check_parameters

    if given.params:
        return Result(check_parameters(program, read_parameters(Path(given.params))))
    if not given.resume:
        return None
    if not outputs.params.exists():
        raise CommandError(f"there is nothing to resume: no {outputs.params}; run without --resume")
    checkpoint = read_checkpoint(outputs.params)
    for name, ours in settings.items():
        theirs = checkpoint.settings.get(name)
        if theirs != ours:
            difference = f"was {theirs}, now it is {ours}" if name != "network" else "is another"
            raise CommandError(
                f"{outputs.params} cannot be resumed: its {name} {difference}; "
                "repeat the options of that run, or start anew without --resume"
            )
    result = checkpoint.result
    return replace(result, params=check_parameters(program, result.params))


def _save(
    outputs: _Outputs, result: Result, settings: Settings, notes: Mapping[str, str], metric: str
) -> None:
    """Write the parameters, which are also the checkpoint, and the history."""
    from pjc.runtime.history import Checkpoint, write_checkpoint, write_history

    write_checkpoint(outputs.params, Checkpoint(result, settings), notes)
    write_history(outputs.history, result.history, metric)


def _score(value: float, metric: str) -> str:
    return f"{100 * value:.1f}%" if metric == "accuracy" else f"{value:.4g}"


class _Interrupt:
    """Within it the first Ctrl-C only asks to stop, which calling it tells; the second aborts."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.asked = False
        self.before: Any = None

    def __call__(self) -> bool:
        return self.asked

    def __enter__(self) -> _Interrupt:
        with suppress(ValueError):  # only the main thread may set handlers
            self.before = signal.signal(signal.SIGINT, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        if self.before is not None:
            signal.signal(signal.SIGINT, self.before)

    def _ask(self, *_: object) -> None:
        self.asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.stderr.write("\nstopping after this batch; Ctrl-C again aborts\n")


class _View:
    """Shows a training run: a line for each epoch and, on a terminal, a progress bar."""

    def __init__(
        self, console: Console, epochs: int, batches: int, metric: str, start: Result | None
    ) -> None:
        from rich import progress

        self.console = console
        self.epochs = epochs
        self.batches = batches
        self.metric = metric
        self.done = start.epoch if start else 0
        self.validation = ""
        self.bar = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.TextColumn("{task.fields[state]}"),
            progress.TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        total = epochs * batches
        at = self.done * batches + (start.batch if start else 0)
        self.task = self.bar.add_task(self._title(), total=total, completed=at, state="")

    def __enter__(self) -> _View:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def _title(self) -> str:
        return f"epoch {min(self.done + 1, self.epochs)}/{self.epochs}"

    def progress(self, batch: int, gap: float) -> None:
        """Show how many batches of the epoch are done, and their mean gap."""
        state = f"gap {gap:.3g}{self.validation}"
        self.bar.update(
            self.task,
            completed=self.done * self.batches + batch,
            description=self._title(),
            state=state,
        )

    def epoch(self, row: Row) -> None:
        """Show the numbers of an epoch."""
        self.done = row.epoch
        if row.validation is not None:
            self.validation = f", validation {self.metric} {_score(row.validation, self.metric)}"
        text = f"epoch {row.epoch}/{self.epochs}: gap {row.gap:.3g}{self.validation}"
        _say(self.console, f"{text}, {row.seconds:.1f} s")


if __name__ == "__main__":
    sys.exit(main())
