"""``pjc predict``: what a trained network says of samples."""

from __future__ import annotations

import csv
import io
import itertools
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pjc.commands.arguments import Usage, parse
from pjc.commands.outputs import (
    files_of_data,
    force_option,
    other_beginning,
    other_table,
    require_apart,
    require_ours,
    require_place,
)
from pjc.commands.shared import print_json
from pjc.commands.trained import AskedOfData, ModelArguments, Trained, model_field, trained, warn, warn_of
from pjc.diagnostics import CommandError, printable
from pjc.fields import LARGEST, Number, Switch, Text, differing, option, part
from pjc.python_files import file_of

if TYPE_CHECKING:
    from pjc.runtime.predicting import Predictions

_EXAMPLES = """
There need be no targets: a table without their column, an .npy or .npz file with x alone, or a folder of
images will do. Samples are normalized as in training, columns of a table are matched by name.

A table of predictions (stdout, FILE.csv) has a column `prediction`, or one for each column of the target;
with --scores also `score_CLASS`, what the network's output is for each class. FILE.npz has the arrays
`prediction`, and perhaps `scores` and `classes`.

examples:
  pjc predict iris.pjx --params iris.params.safetensors --data new.csv -o said.csv
  pjc predict digits.pjx --params digits.params.safetensors --data x.npy --scores -o said.npz
  pjc predict chars.pjx --params chars.params.safetensors --sample 200 --prompt "ROMEO:" --temperature 0.8
"""

USAGE = Usage(
    prog="pjc predict",
    usage="pjc predict MODEL --params FILE.safetensors --data SOURCE [-o FILE] [options]\n"
    "       pjc predict MODEL --params FILE.safetensors --sample N --prompt TEXT [options]",
    description="Writes what a trained network says of samples: classes by name, labels of 0 and 1, or\n"
    "numbers in the data's own units.",
    epilog=_EXAMPLES,
)
_DATA = "data"
_TEXT = "text, of networks on characters"


@dataclass(frozen=True)
class Sampling:
    """How a text is gone on with."""

    sample: int | None = option(
        None, kind=Number(whole=True, low=1), help="go on with the prompt by so many characters", group=_TEXT
    )
    prompt: str | None = option(None, kind=Text("TEXT"), help="what the text begins with", group=_TEXT)
    temperature: float = option(
        1.0,
        kind=Number(low=0, below=1e6, metavar="T"),
        help="below 1 likely characters are drawn more often, at 0 the likeliest alone",
        group=_TEXT,
    )
    seed: int = option(
        0, kind=Number(whole=True, low=0, high=LARGEST), metavar="S", help="of the draws", group=_TEXT
    )


@dataclass(frozen=True)
class Arguments:
    """The arguments of ``pjc predict``."""

    model: str = model_field()
    data: str | None = option(None, kind=Text("SOURCE"), help="the samples, as for pjc train", group=_DATA)
    output: str | None = option(
        None,
        kind=Text("FILE"),
        flags=("-o",),
        help="where to write: FILE.csv or FILE.npz, and FILE.txt of a text",
        shown="stdout",
        group="output",
    )
    force: bool = force_option("overwrite -o where it is no such file", group="output")
    scores: bool = option(
        False, kind=Switch(), help="also the network's output for each class", shown="", group="output"
    )
    json: bool = option(False, kind=Switch(), help="print JSON", shown="", group="output")
    asked: AskedOfData = part(AskedOfData)
    sampling: Sampling = part(Sampling)
    trained: ModelArguments = part(ModelArguments)


def main(arguments: Sequence[str]) -> int:
    """Run ``pjc predict``."""
    given = parse(Arguments, USAGE, arguments)
    _check(given)
    with trained(given.model, given.trained) as network:
        if given.sampling.sample is not None:
            _sample(given, network)
        else:
            _predict(given, network)
    return 0


def _check(given: Arguments) -> None:
    """Raise CommandError for arguments that do not go together."""
    sampling, output = given.sampling, given.output
    if (given.data is None) == (sampling.sample is None):
        raise CommandError("name the samples with --data, or go on with a text with --sample and --prompt")
    if sampling.sample is None and differing(sampling):
        raise CommandError("--prompt, --temperature and --seed go with --sample")
    if sampling.sample is not None and (sampling.prompt is None or given.scores):
        raise CommandError("--sample goes with --prompt TEXT, and without --scores")
    if any("\ud800" <= each < "\ue000" for each in sampling.prompt or ""):
        raise CommandError("the prompt is no UTF-8 text")
    if given.json and output is not None:
        raise CommandError("--json prints on stdout, so it goes without -o")
    if output is None:
        return
    endings = (".txt",) if sampling.sample is not None else (".csv", ".npz")
    if Path(output).suffix.lower() not in endings:
        raise CommandError(f"-o {output}: name a file that ends in {' or '.join(endings)}")
    params = [given.trained.params] if given.trained.params else []
    require_apart(Path(output), [file_of(Path(given.model)), *params, *files_of_data(given.data)])
    require_place(Path(output))


def _predict(given: Arguments, network: Trained) -> None:
    """Write or print what the network says of the samples."""
    from pjc.runtime.data.prepare import samples
    from pjc.runtime.predicting import NUMBERS, kind_of, predict
    from pjc.runtime.trainable import specs

    assert given.data is not None
    program, known = network.program, network.known
    if given.scores and kind_of(program) == NUMBERS:
        raise CommandError("--scores is for classes and labels; the numbers are all that the network gives")
    request = given.asked.request(known, given.data)
    found = samples(request, known, *specs(program))
    warn_of(found)
    said = predict(program, network.params, found.data, given.scores)
    names = network.names(found.class_names, request.target)
    if given.json:
        record = {"model": given.model, "params": given.trained.params, "data": given.data}
        print_json({**record, **_arrays_as_lists(said, names)})
    elif given.output is None:
        for line in _lines(said, names):
            _print(line)
    else:
        _write(Path(given.output), said, names, given.force)


def _print(text: str) -> None:
    """Write to stdout; on a terminal control characters are escapes."""
    sys.stdout.write(printable(text) if sys.stdout.isatty() else text)


def _write(path: Path, said: Predictions, names: Sequence[str], force: bool) -> None:
    """Write predictions; the file appears whole or not at all."""
    import numpy as np

    from pjc.runtime.files import held, replace_file

    require_ours(path, other_table(path, next(csv.reader([next(_lines(said, names))]))), force)

    def write(temporary: Path) -> None:
        if path.suffix.lower() == ".npz":
            with temporary.open("wb") as stream:
                np.savez(stream, **_arrays(said, names))
            return
        with temporary.open("w", encoding="utf-8", newline="") as text:
            text.writelines(_lines(said, names))

    with held([path]):
        replace_file(path, write)


def _arrays(said: Predictions, names: Sequence[str]) -> dict[str, Any]:
    """Return the arrays of an .npz file."""
    import numpy as np

    from pjc.runtime.predicting import CLASSES

    found: dict[str, Any] = {"prediction": said.named(names)}
    if said.scores is not None:
        found["scores"] = said.scores
    if said.kind == CLASSES and names:
        found["classes"] = np.array(names, dtype=np.str_)
    return found


def _arrays_as_lists(said: Predictions, names: Sequence[str]) -> dict[str, Any]:
    return {name: array.tolist() for name, array in _arrays(said, names).items()}


def _lines(said: Predictions, names: Sequence[str]) -> Iterator[str]:
    """Yield the lines of a table, the first of which names the columns."""
    from pjc.runtime.predicting import CLASSES

    values = said.named(names)
    columns = _titles("prediction", values.shape[1:], [] if said.kind == CLASSES else names)
    tables = [values.reshape(len(values), -1)]
    if said.scores is not None:
        shape = said.scores.shape[1:]
        columns += [f"score_{each}" for each in _sites(shape, names)]
        tables.append(said.scores.reshape(len(values), -1))
    yield _line(columns)
    for row in range(len(values)):
        yield _line(itertools.chain.from_iterable(table[row] for table in tables))


def _line(values: Iterable[object]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow([str(each) for each in values])
    return text.getvalue()


def _titles(word: str, shape: tuple[int, ...], names: Sequence[str]) -> list[str]:
    """Return what the columns of values are called that have a shape for each sample."""
    sites = _sites(shape, names)
    if len(sites) == 1:
        return [word]
    return sites if len(sites) == len(names) else [f"{word}_{each}" for each in sites]


def _sites(shape: tuple[int, ...], names: Sequence[str]) -> list[str]:
    """Return a text for each entry of a shape: its places, and of the last axis its name if it has one."""
    if not shape:
        return ["0"]
    last = list(names) if len(names) == shape[-1] else [str(place) for place in range(shape[-1])]
    before = [[str(place) for place in range(size)] for size in shape[:-1]]
    return ["_".join(each) for each in itertools.product(*before, last)]


def _sample(given: Arguments, network: Trained) -> None:
    """Write the prompt and what follows it, each character as soon as it is drawn."""
    from pjc.runtime.data.text import Text, require_text_network, room
    from pjc.runtime.files import held, replace_file
    from pjc.runtime.sampling import Draw, sample
    from pjc.runtime.trainable import specs

    asked = given.sampling
    assert asked.sample is not None and asked.prompt is not None
    source, target = specs(network.program)
    require_text_network(source, target)
    vocabulary = network.known.vocabulary(room(source, target))
    draw = Draw(asked.sample, asked.temperature, asked.seed)
    found = sample(network.program, network.params, vocabulary, asked.prompt, draw)
    if strange := vocabulary.strange(Text.of(asked.prompt, "the prompt")):
        shown = ", ".join(map(repr, strange[:10]))
        warn(f"the text of training has no {shown}, which the network takes for unknown characters")
    if given.json:
        print_json({"prompt": asked.prompt, "text": "".join(found), "seed": asked.seed})
    elif given.output is None:
        for each in itertools.chain([asked.prompt], found, ["\n"]):
            _print(each)
            sys.stdout.flush()
    else:
        path = Path(given.output)
        require_ours(path, other_beginning(path, asked.prompt), given.force)
        text = asked.prompt + "".join(found)
        with held([path]):
            replace_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8", newline=""))
