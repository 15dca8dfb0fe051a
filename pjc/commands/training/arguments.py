"""The arguments of ``pjc train``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pjc.commands.outputs import force_option
from pjc.commands.shared import LEVELS, DumpOptions, Session, model_argument
from pjc.diagnostics import CommandError
from pjc.fields import LARGEST, Choice, Kind, Number, Switch, Text, differing, option, part, required
from pjc.numerals import decimal, is_whole
from pjc.options import Options
from pjc.runtime.data.parts import (
    CLASS_WEIGHTS,
    DECIMALS,
    LAYOUTS,
    MISSING,
    NORMALIZATIONS,
    STANDARD,
    TARGETS,
    TEST,
    VALIDATION,
    Request,
)
from pjc.runtime.sampled import EVERY


class Split(Kind):
    """Fractions to train on, to validate and to test on."""

    metavar = "A,B,C"

    @property
    def wanted(self) -> str:
        return "three fractions that add up to 1, as in 0.8,0.1,0.1"

    def read(self, text: str) -> tuple[float, float, float]:
        return self.check(tuple(decimal(each) for each in text.split(",")))

    def check(self, value: Any) -> tuple[float, float, float]:
        if len(value) != 3 or not (value[0] > 0 and min(value) >= 0 and abs(sum(value) - 1) < 1e-6):
            raise ValueError
        return value[0], value[1], value[2]


class Delimiter(Kind):
    """A character between columns."""

    metavar = "CHAR"
    names: ClassVar[Mapping[str, str]] = {
        "tab": "\t",
        "\\t": "\t",
        "comma": ",",
        "semicolon": ";",
        "space": " ",
    }

    @property
    def wanted(self) -> str:
        return "one character that no number has, or the word tab"

    def check(self, value: Any) -> str:
        found = self.names.get(value, value)
        if not isinstance(found, str) or len(found) != 1 or found.isalnum() or found in '.+-_"\r\n\0':
            raise ValueError
        return found


class Address(Kind):
    """A host and a port."""

    metavar = "HOST:PORT"

    @property
    def wanted(self) -> str:
        return "HOST:PORT, as in 10.0.0.1:9876"

    def check(self, value: Any) -> str:
        host, _, port = str(value).rpartition(":")
        if not host or not is_whole(port) or not 0 < int(port) < 2**16:
            raise ValueError
        return str(value)


_FRACTION = Number(low=0, below=1, metavar="F")
_COUNT = Number(whole=True, low=1)
_DATA = "data"
_RUN = "run"
_SEVERAL = "several processes, on one host or many"


@dataclass(frozen=True)
class DataArguments:
    """Which data, and in which parts."""

    data: str = required(
        kind=Text(), flags=("--data",), metavar="SOURCE", help="what to train on (see below)", group=_DATA
    )
    target: str | None = option(
        None, kind=Text("COLUMN"), help="the column of a table that holds the targets", group=_DATA
    )
    test_data: str | None = option(
        None, kind=Text("SOURCE"), help="what to test on, instead of a part of --data", group=_DATA
    )
    test: float | None = option(
        None,
        kind=_FRACTION,
        help="part of --data to test on",
        shown=f"the test part that the data have, or {TEST}",
        group=_DATA,
    )
    validation: float | None = option(
        None,
        kind=_FRACTION,
        help="part of what remains to watch training with",
        shown=f"such a part that the data have, or {VALIDATION}",
        group=_DATA,
    )
    split: tuple[float, float, float] | None = option(
        None,
        kind=Split(),
        help="parts to train on, to validate and to test on, of all --data; instead of the two above",
        group=_DATA,
    )
    normalize: str = option(
        "none",
        kind=Choice(NORMALIZATIONS),
        help="each feature, as measured on the training part: unit: to 0..1; standard: to mean 0, variance 1",
        group=_DATA,
    )
    normalize_targets: str | None = option(
        None,
        kind=Choice(TARGETS),
        help="targets of numbers: standard: training sees each column with mean 0 and variance 1, while "
        "outputs and scores are in the data's own units; none: as they are",
        shown=f"{STANDARD} where the loss allows it",
        group=_DATA,
    )
    stride: int | None = option(
        None,
        kind=_COUNT,
        help="characters from one window of a text to the next",
        shown="no overlap where every character is predicted, 1 where only the last is",
        group=_DATA,
    )
    resize: bool = option(
        False,
        kind=Switch(),
        help="bring image files to the size that the network takes",
        shown="",
        group=_DATA,
    )
    layout: str | None = option(
        None,
        kind=Choice(LAYOUTS),
        help="how samples that are images lie in the data: they are transposed where the network has them "
        "otherwise",
        shown="as their shape says",
        group=_DATA,
    )
    delimiter: str | None = option(
        None,
        kind=Delimiter(),
        help="what separates the columns of a table: a character, or the word tab",
        shown="as the first lines show",
        group=_DATA,
    )
    decimal: str | None = option(
        None, kind=Choice(DECIMALS), help="the decimal mark", shown="as the table shows", group=_DATA
    )
    encoding: str | None = option(
        None,
        kind=Text("NAME"),
        help="the encoding of a table, as in latin-1 or utf-16",
        shown="UTF-8, or as the file shows",
        group=_DATA,
    )
    no_header: bool = option(
        False,
        kind=Switch(),
        help="the first line of a table is a sample; columns are called 1, 2, ..",
        shown="",
        group=_DATA,
    )
    categorical: str | None = option(
        None,
        kind=Text("COLUMNS"),
        help="columns of a table that are categories though they hold numbers, with commas between",
        shown="those that hold text",
        group=_DATA,
    )
    ignore: str | None = option(
        None, kind=Text("COLUMNS"), help="columns of a table to leave out, with commas between", group=_DATA
    )
    missing: str = option(
        "refuse",
        kind=Choice(MISSING),
        help="values of a table that are missing: mean: the feature's mean over the training part; drop: "
        "leaves out such rows",
        group=_DATA,
    )
    weights: str | None = option(
        None, kind=Text("COLUMN"), help="the column of a table that holds the samples' weights", group=_DATA
    )
    class_weight: str | None = option(
        None,
        kind=Choice(CLASS_WEIGHTS),
        help="balanced: training sees every class equally often",
        shown="as often as it is in the data",
        group=_DATA,
    )


@dataclass(frozen=True)
class RunArguments:
    """How long to train, from where, and where to write."""

    epochs: int = option(10, kind=_COUNT, help="epochs in all", group=_RUN)
    seed: int = option(
        0,
        kind=Number(whole=True, low=0, high=LARGEST),
        metavar="S",
        help="of parameters and order",
        group=_RUN,
    )
    keep_best: bool = option(
        False,
        kind=Switch(),
        help="also write MODEL.best.safetensors, of the epoch that validates best, and test with it",
        shown="",
        group=_RUN,
    )
    patience: int | None = option(
        None,
        kind=_COUNT,
        help="end once the validation score was no better for so many epochs in a row; with --keep-best",
        shown="",
        group=_RUN,
    )
    params: str | None = option(
        None, kind=Text("FILE"), help="safetensors with parameters to start from", group=_RUN
    )
    resume: bool = option(
        False, kind=Switch(), help="go on from what an earlier run wrote", shown="", group=_RUN
    )
    force: bool = force_option("write over what another run wrote", group=_RUN)
    checkpoint_every: float = option(
        60.0,
        kind=Number(above=0, below=1e9, of="seconds", metavar="S"),
        help="seconds between checkpoints in an epoch, after which there is always one",
        group=_RUN,
    )
    output: str = option(
        ".",
        kind=Text("WHERE"),
        flags=("-o",),
        help="a directory to write to, or a path to put before .params.safetensors and the others",
        shown="",
        group=_RUN,
    )

    quiet: bool = option(
        False, kind=Switch(), help="say only what comes of it; as --log-level error", shown="", group=_RUN
    )
    log_level: str = option(
        "info",
        kind=Choice(LEVELS),
        help="how much is said on the way: debug also tells what takes the time, warning only warnings",
        group=_RUN,
    )
    trace: str | None = option(
        None,
        kind=Text("FILE.npz"),
        help="record what sampled updates say of every constraint, for pjc plot and pjc view --trace",
        shown="none",
        group=_RUN,
    )
    trace_every: int = option(
        EVERY, kind=_COUNT, help="of so many updates one is recorded, with --trace", group=_RUN
    )
    runs: int = option(
        1,
        kind=_COUNT,
        help="train so many times, with --seed and those that follow it; writes MODEL.runs.csv and the "
        "parameters of the run that validates best",
        group=_RUN,
    )

    @property
    def level(self) -> str:
        """The least level that is said."""
        return "error" if self.quiet else self.log_level

    @property
    def keeps_best(self) -> bool:
        """Whether the parameters of the epoch that validates best are kept."""
        return self.keep_best or self.patience is not None


@dataclass(frozen=True)
class SeveralArguments:
    """Which processes train together."""

    distributed: bool = option(
        False,
        kind=Switch(),
        help="train together with the other processes that get the same command; who they are is as the "
        "cluster sets it (Slurm, Open MPI, Kubernetes, Cloud TPU), or as these three say",
        shown="",
        group=_SEVERAL,
    )
    coordinator: str | None = option(None, kind=Address(), help="where process 0 listens", group=_SEVERAL)
    processes: int | None = option(None, kind=_COUNT, help="how many processes there are", group=_SEVERAL)
    process: int | None = option(
        None,
        kind=Number(whole=True, low=0),
        metavar="I",
        help="which one this is, from 0; 0 writes the files",
        group=_SEVERAL,
    )
    heartbeat: int = option(
        30,
        kind=Number(whole=True, low=5, high=3600, of="seconds"),
        metavar="S",
        help="seconds without a sign of life after which a process is given up",
        group=_SEVERAL,
    )


@dataclass(frozen=True)
class Arguments:
    """The arguments of ``pjc train``."""

    model: str = model_argument()
    data: DataArguments = part(DataArguments)
    run: RunArguments = part(RunArguments)
    several: SeveralArguments = part(SeveralArguments)
    options: Options = part(Options)
    session: Session = part(Session)
    dumps: DumpOptions = part(DumpOptions)


def check_arguments(given: Arguments) -> None:
    """Raise CommandError for arguments that do not go together."""
    _check_processes(given.several)
    if given.run.resume and given.run.force:
        raise CommandError("--resume goes on from what a run wrote, and --force writes over it; give one")
    if given.run.quiet and given.run.log_level != RunArguments.log_level:
        raise CommandError("--quiet is --log-level error; give one of them")
    if given.run.trace is None and given.run.trace_every != EVERY:
        raise CommandError("--trace-every says how often --trace FILE records, and there is no --trace")
    if given.run.runs > 1 and given.several.distributed:
        raise CommandError("--runs is for one process; start each run by itself with --distributed")
    if given.run.seed + given.run.runs - 1 > LARGEST:
        raise CommandError(f"--runs {given.run.runs} from --seed {given.run.seed} goes past seed {LARGEST}")
    data = given.data
    if given.run.resume and given.run.params:
        raise CommandError("--resume goes on from what was written, so it takes no --params")
    if data.split and (data.test is not None or data.validation is not None):
        raise CommandError("--split names all parts, so it goes without --test and --validation")
    if data.split and data.test_data and data.split[2]:
        raise CommandError("--test-data is the test part, so the third number of --split must be 0")
    if data.test_data and data.test is not None:
        raise CommandError("--test sets a part of --data aside, so it goes without --test-data")


def _check_processes(given: SeveralArguments) -> None:
    several = (given.coordinator, given.processes, given.process)
    if not given.distributed and differing(given):
        raise CommandError("--coordinator, --processes, --process and --heartbeat go with --distributed")
    if any(each is None for each in several) and any(each is not None for each in several):
        raise CommandError(
            "--coordinator, --processes and --process go together; without all three the cluster says"
        )
    if given.processes is not None and given.process is not None and given.process >= given.processes:
        raise CommandError(
            f"--process {given.process} is none of {given.processes} processes; they are counted from 0"
        )


def request_of(given: DataArguments) -> Request:
    """Return which data the command line asks for, and in which parts."""
    from pjc.runtime.data.prepare import split_fractions

    asked = {"test": given.test, "validation": given.validation}
    parts: dict[str, Any] = {name: fraction for name, fraction in asked.items() if fraction is not None}
    if given.split:
        parts["test"], parts["validation"] = split_fractions(*given.split)
    return Request(
        data=given.data,
        test_data=given.test_data,
        target=given.target,
        normalize=given.normalize,
        stride=given.stride,
        resize=given.resize,
        layout=given.layout,
        delimiter=given.delimiter,
        decimal=given.decimal,
        encoding=given.encoding,
        no_header=given.no_header,
        categorical=given.categorical,
        ignore=given.ignore,
        missing=given.missing,
        weights=given.weights,
        class_weight=given.class_weight,
        **parts,
    )
