"""``pjc evaluate``: how good a trained network is on data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pjc.commands.arguments import Usage, parse
from pjc.commands.shared import cell, console_of_stdout, print_json, say
from pjc.commands.trained import AskedOfData, ModelArguments, Trained, model_field, say_how, trained, warn
from pjc.commands.training.arguments import Split
from pjc.commands.training.view import shown
from pjc.diagnostics import CommandError
from pjc.fields import Choice, Number, Switch, Text, option, part, required

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from pjc.runtime.data.prepare import Chosen
    from pjc.runtime.scores import Scores

SHOWN_ROWS = 100
"""How many rows of a table are printed."""
_EXAMPLES = """
Without --part it is the test part where the data is that of training (told by its checksum) and training
set one aside, and else all of it; the output says which. What training knew of its data stands beside the
parameters: normalization, vocabulary, the names of classes and columns, the parts.

examples:
  pjc evaluate iris.pjx --params iris.params.safetensors --data iris.csv
  pjc evaluate iris.pjx --params iris.params.safetensors --data new.csv --confusion
  pjc evaluate model.onnx --loss cross_entropy --data digits --json
"""

USAGE = Usage(
    prog="pjc evaluate",
    usage="pjc evaluate MODEL --params FILE.safetensors --data SOURCE [options]",
    description="Says how good a trained network is on data: accuracy, and precision, recall and F1 of each\n"
    "class; for numbers root mean square error and R2.",
    epilog=_EXAMPLES,
)
_PARTS = ("test", "validation", "train", "all")
_DATA = "data"
_FRACTION = Number(low=0, below=1, metavar="F")


@dataclass(frozen=True)
class Arguments:
    """The arguments of ``pjc evaluate``."""

    model: str = model_field()
    data: str = required(
        kind=Text(), flags=("--data",), metavar="SOURCE", help="the data, as for pjc train", group=_DATA
    )
    which: str | None = option(
        None,
        kind=Choice(_PARTS),
        flags=("--part",),
        help="which part of the data",
        group=_DATA,
        shown="test of the data of training, else all",
    )
    test: float | None = option(
        None, kind=_FRACTION, help="part that was to test on", group=_DATA, shown="as in training"
    )
    validation: float | None = option(
        None,
        kind=_FRACTION,
        help="part of the rest that was to validate",
        group=_DATA,
        shown="as in training",
    )
    split: tuple[float, float, float] | None = option(
        None, kind=Split(), help="all three parts, instead of the two above", group=_DATA
    )
    confusion: bool = option(
        False, kind=Switch(), help="count every pair of classes too", shown="", group="output"
    )
    json: bool = option(False, kind=Switch(), help="print JSON", shown="", group="output")
    asked: AskedOfData = part(AskedOfData)
    trained: ModelArguments = part(ModelArguments)


def main(arguments: Sequence[str]) -> int:
    """Run ``pjc evaluate``."""
    given = parse(Arguments, USAGE, arguments)
    if given.split and (given.test is not None or given.validation is not None):
        raise CommandError("--split names all parts, so it goes without --test and --validation")
    with trained(given.model, given.trained) as network:
        _require_target(network, given.model)
        found, scores = evaluated(given, network)
    if given.confusion and scores.confusion is None:
        warn(f"pairs are counted of classes alone, and of no more than {_max_confusion()}")
    if given.json:
        print_json(_record(given, found, scores))
    else:
        _show(console_of_stdout(), given, found, scores)
    return 0


def evaluated(given: Arguments, network: Trained) -> tuple[Chosen, Scores]:
    """Return which data it is, and the network's scores on it; raise PjcError."""
    from pjc.runtime.data.prepare import chosen
    from pjc.runtime.scores import scores
    from pjc.runtime.trainable import specs

    program, known = network.program, network.known
    request = given.asked.request(known, given.data, **_fractions(given))
    found = chosen(request, known, *specs(program), given.which)
    say_how(found)
    names = network.names(found.class_names, request.target)
    return found, scores(program, network.params, found.data, names, given.confusion)


def _fractions(given: Arguments) -> dict[str, Any]:
    from pjc.runtime.data.prepare import split_fractions

    if given.split:
        test, validation = split_fractions(*given.split)
        return {"test": test, "validation": validation}
    return {"test": given.test, "validation": given.validation}


def _require_target(network: Trained, model: str) -> None:
    """Raise CommandError where nothing says what outputs are compared with."""
    if not network.program.targets and not network.program.signature.trainable:
        raise CommandError(
            f"{model} does not say what its output is compared with; give --loss, as in --loss "
            "cross_entropy, or name a network that has a target"
        )


def _max_confusion() -> int:
    from pjc.runtime.scores import MAX_CONFUSION

    return MAX_CONFUSION


def _record(given: Arguments, found: Chosen, scores: Scores) -> dict[str, Any]:
    return {
        "model": given.model,
        "params": given.trained.params,
        "data": given.data,
        "part": found.part,
        **scores.record(),
    }


def _show(console: Console, given: Arguments, found: Chosen, scores: Scores) -> None:
    """Print tables, and the score last, as training prints it."""
    say(console, f"{given.data}: {found.why}, {scores.samples} samples")
    if len(scores.rows) > 1 or scores.kind != "numbers":
        console.print(_rows(scores))
        if len(scores.rows) > SHOWN_ROWS:
            say(console, f"and {len(scores.rows) - SHOWN_ROWS} more, which --json has")
    if scores.confusion is not None:
        _confusion(console, scores)
    if scores.exact is not None:
        say(console, f"exact match: {shown(scores.exact, 'accuracy')}")
    if scores.kind == "numbers":
        say(console, f"R2: {_number(scores.r2)}")
    of = "" if found.part == "all" else f"{found.part} "
    say(console, f"{of}{scores.metric}: {shown(scores.value, scores.metric)}", "bold")


def _rows(scores: Scores) -> Table:
    """Return the table of classes, labels or columns."""
    from rich.table import Table

    first = {"classes": "class", "labels": "label", "numbers": "column"}[scores.kind]
    titles = {"rms": "rms error", "mean_absolute": "mean absolute", "r2": "R2", "f1": "F1"}
    rows = [vars(row) for row in scores.rows[:SHOWN_ROWS]]
    names = [name for name in rows[0] if name != "name"]
    if scores.kind == "classes":
        names.remove("accuracy")
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column(first)
    for name in names:
        table.add_column(titles.get(name, name), justify="right")
    for row in rows:
        values = [str(row[name]) if name == "count" else _number(row[name]) for name in names]
        table.add_row(cell(row["name"]), *values)
    return table


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _confusion(console: Console, scores: Scores) -> None:
    """Print how often each class, a line each, was told to be each other, a column each."""
    from rich.table import Table

    assert scores.confusion is not None
    say(console, "confusion: a line for what it is, a column for what was told")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("")
    names = [row.name for row in scores.rows]
    for name in names:
        table.add_column(cell(name), justify="right", no_wrap=True)
    for name, counts in zip(names, scores.confusion.tolist(), strict=True):
        table.add_row(cell(name), *map(str, counts))
    with_room = max(console.width, sum(max(6, len(name) + 2) for name in names) + 40)
    console.print(table, width=with_room, soft_wrap=True)
