"""``pjc info``: what a file holds. Nothing in it is executed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pjc.commands.arguments import Usage, parse
from pjc.commands.shared import cell, console_of_stdout, print_json, say, shown_bytes
from pjc.commands.training.arguments import DataArguments
from pjc.diagnostics import CommandError, PjcError
from pjc.fields import Switch, Text, like, option, options_of, part, required
from pjc.options import Options
from pjc.python_files import PythonName
from pjc.runtime.data.parts import Request

if TYPE_CHECKING:
    from rich.console import Console

    from pjc.driver import Compilation
    from pjc.runtime.data.dataset import Dataset
    from pjc.runtime.data.text import Text as CharacterText
    from pjc.runtime.history import Stored
    from pjc.runtime.program import Signature, TensorSpec

Record = dict[str, Any]

_EXAMPLES = """
What it is: a compiled network (.pjx), parameters (.safetensors) and how far their training came, the history
of a run (.csv), a network (.pjn, .onnx, IR), or data, named as for pjc train. Options such as -D are for
networks that are not compiled.

examples:
  pjc info digits_mlp.pjx
  pjc info digits_mlp.params.safetensors --json
  pjc info iris.csv --target species
"""

USAGE = Usage(
    prog="pjc info",
    usage="pjc info FILE [options]",
    description="Says what a file holds, how it was made, and how large it is; nothing in it is executed.",
    epilog=_EXAMPLES,
)
_NETWORKS = (".pjn", ".onnx", ".mlir")


@dataclass(frozen=True)
class TableArguments:
    """How a table is read of which nothing else is known."""

    delimiter: str | None = like(DataArguments, "delimiter")
    decimal: str | None = like(DataArguments, "decimal")
    encoding: str | None = like(DataArguments, "encoding")
    missing: str = like(DataArguments, "missing")
    no_header: bool = like(DataArguments, "no_header")
    categorical: str | None = like(DataArguments, "categorical")
    ignore: str | None = like(DataArguments, "ignore")

    def request(self, data: str, target: str | None) -> Request:
        """Return what to ask of data."""
        said = {each.name: getattr(self, each.name) for each in options_of(TableArguments)}
        given = {name: value for name, value in said.items() if value is not None}
        return Request(data, target=target, **given)


@dataclass(frozen=True)
class Arguments:
    """The arguments of ``pjc info``."""

    file: str = required(kind=Text(), metavar="FILE", help="a file, or data as for pjc train")
    target: str | None = option(
        None, kind=Text("COLUMN"), help="the column of a table that holds the targets", group="data"
    )
    json: bool = option(False, kind=Switch(), help="print JSON", shown="", group="output")
    table: TableArguments = part(TableArguments)
    options: Options = part(Options)


def main(arguments: Sequence[str]) -> int:
    """Run ``pjc info``."""
    given = parse(Arguments, USAGE, arguments)
    record = described(given)
    if given.json:
        print_json(record)
    else:
        _show(console_of_stdout(), record)
    return 0


def described(given: Arguments) -> Record:
    """Return what there is to say of a file, as JSON holds it; raise PjcError where it cannot be read."""
    path = Path(given.file)
    if PythonName.of(given.file) is not None:
        raise CommandError(
            f"{given.file} is a Python file, which would have to be run; compile it, and ask of the .pjx file"
        )
    ending = path.suffix.lower()
    readers: dict[str, Callable[[Path], Record]] = {".pjx": _program, ".safetensors": _parameters}
    if ending in readers:
        return {"file": given.file, "bytes": _size(path), **readers[ending](path)}
    if ending in _NETWORKS or (path.is_file() and _is_ir(path)):
        return {"file": given.file, "bytes": _size(path), **_network(path, given.options)}
    if ending == ".csv" and path.is_file() and _is_history(path):
        return {"file": given.file, "bytes": _size(path), **_history(path)}
    if ending == ".csv" and path.is_file() and _is_of_runs(path):
        return {"file": given.file, "bytes": _size(path), **_runs(path)}
    return {"data": given.file, **_data(given.table.request(given.file, given.target))}


def _size(path: Path) -> int:
    from pjc.reading import measured

    return measured(path)


def _is_ir(path: Path) -> bool:
    from pjc.sources import IrSource

    return IrSource.recognises(path)


# --- networks -----------------------------------------------------------------------------------------


def _program(path: Path) -> Record:
    """Return what a compiled network says of itself."""
    from pjc import __version__
    from pjc.driver import recompiled
    from pjc.runtime.artifact import FORMAT, read_record

    found = read_record(path)
    source = found.source
    entries = [
        name.removeprefix("stablehlo/").removesuffix(".bin")
        for name in found.sizes
        if name.startswith("stablehlo/")
    ]
    try:
        bits = _bits(recompiled(path, Options()), found.signature.batch)
    except PjcError:  # its source cannot be compiled here, as with operators of the user's own
        bits = {}
    return {
        "what": "a compiled network",
        **bits,
        "format": FORMAT,
        "jax": found.jax,
        "read by": f"pjc {__version__}",
        **_signature(found.signature),
        "source": {name: source[name] for name in ("kind", "name", "file") if name in source},
        "options": source.get("options", {}),
        "entry points": sorted(entries),
        "starts from": sorted(found.initial),
        "members": found.sizes,
    }


def _network(path: Path, options: Options) -> Record:
    """Return what a network takes and gives, as it is compiled; no program is made."""
    from pjc import driver
    from pjc.dialects import proj
    from pjc.passes.analysis.graph import only
    from pjc.signature import signature_of

    compilation = driver.compile_file(path, options)
    program = only(compilation.at("proj"), proj.ProgramOp)
    source, signature = compilation.source, signature_of(program, options.repeats)
    return {
        "what": f"a network ({source.kind})",
        **_signature(signature),
        **_bits(compilation, signature.batch),
        "starts at": source.stage,
        "starts from": sorted(compilation.start.initial),
    }


def _bits(compilation: Compilation, batch: int | None) -> Record:
    """Return what the network's products cost for a sample, by the bits of what is multiplied."""
    from pjc.dialects import net
    from pjc.passes.analysis.bits import Bits
    from pjc.passes.analysis.graph import only

    if compilation.source.stage != "net":
        return {}
    block = only(compilation.at("net"), net.NetworkOp).body.block
    bits = Bits.of(block)
    layers = [(each, each.products // (batch or 1)) for each in bits.layers(block)]
    kinds: dict[str, int] = {}
    for each, count in layers:
        kind = f"{each.bits[0]} x {each.bits[1]} bits"
        kinds[kind] = kinds.get(kind, 0) + count
    packed = bits.stored(block)
    return {
        "products of a sample": {
            each.name: {"products": count, "bits": list(each.bits)} for each, count in layers
        },
        "products of a sample by bits": kinds,
        "bit operations of a sample": sum(count * each.bits[0] * each.bits[1] for each, count in layers),
        "parameter bits": packed,
        "bytes of packed parameters": -(-sum(packed.values()) // 8),
    }


def _signature(found: Signature) -> Record:
    return {
        "name": found.name,
        "inputs": [_spec(each) for each in found.inputs],
        "targets": [_spec(each) for each in found.targets],
        "outputs": [_spec(each) for each in found.outputs],
        "batch": found.batch,
        "solver": found.solver,
        **_sizes([_spec(each) for each in found.parameters]),
    }


def _spec(spec: TensorSpec) -> Record:
    import numpy as np

    kind = np.dtype(spec.dtype) if spec.dtype != "bfloat16" else np.dtype("uint16")
    found: Record = {"name": spec.name, "shape": list(spec.shape), "dtype": spec.dtype}
    found["bytes"] = int(np.prod(spec.shape, dtype=np.int64)) * kind.itemsize
    if spec.classes is not None:
        found["classes"] = spec.classes
    if spec.units is not None:
        found["scale"], found["offset"] = list(spec.units.scale), list(spec.units.offset)
    return found


def _sizes(parameters: list[Record]) -> Record:
    """Return parameters with how many numbers and bytes they are in all."""
    import math

    return {
        "parameters": parameters,
        "numbers": sum(math.prod(each["shape"]) for each in parameters),
        "parameter bytes": sum(each["bytes"] for each in parameters),
    }


# --- what training leaves behind ----------------------------------------------------------------------


def _parameters(path: Path) -> Record:
    """Return what is in a file of parameters, and how far the training was that wrote it."""
    import numpy as np

    from pjc.runtime.history import read_stored

    found = read_stored(path)
    listed = [
        {
            "name": name,
            "shape": list(each.shape),
            "dtype": str(each.dtype),
            "bytes": each.nbytes,
            "nonzeros": int(np.count_nonzero(each)),
        }
        for name, each in sorted(found.params.items())
    ]
    nonzeros = sum(int(np.count_nonzero(each)) for each in found.params.values())
    return {
        "what": "parameters",
        **_sizes(listed),
        "nonzeros": nonzeros,
        **_training(path, found),
        **_relied_on(path, found),
    }


def _training(path: Path, found: Stored) -> Record:
    """Return how parameters were trained, where their file says so."""
    from pjc.runtime.history import is_checkpoint, read_checkpoint

    if not is_checkpoint(found.notes):
        return {"format": found.notes.get("format", "not by pjc train")}
    checkpoint = read_checkpoint(path)
    result = checkpoint.result
    return {
        "what": "parameters, from which training can go on",
        "format": found.notes["format"],
        "epochs": result.epoch,
        "batches of the next epoch": result.batch,
        "seconds": result.seconds,
        **_best([(row.epoch, row.validation) for row in result.history], found.notes.get("metric")),
        "settings": dict(checkpoint.settings),
        "optimizer state": len(found.latent),
    }


def _best(rows: list[tuple[int, float | None]], metric: str | None) -> Record:
    """Return the last and the best validation score; a file of an older pjc does not say which is better."""
    known = [(epoch, value) for epoch, value in rows if value is not None]
    if not known:
        return {}
    record: Record = {"last validation": {"score": known[-1][1], "epoch": known[-1][0]}}
    if metric is None:
        return record
    return {"metric": metric, **record, "best validation": _best_of(known, metric)}


def _relied_on(path: Path, found: Stored) -> Record:
    """Return what parameters rely on: data, normalization, names, units."""
    from pjc.runtime.data.recipe import Known

    known = Known.of(found.notes, str(path))
    record: Record = {}
    if known.recipe is not None:
        asked = {name: each for name, each in vars(known.recipe.request).items() if each not in (None, ())}
        record["trained on"] = {**asked, "checksum": f"{known.recipe.checksum:08x}"}
    if known.normalize is not None:
        record["normalize"] = known.normalize.kind
    if known.codes is not None:
        record["vocabulary"] = [chr(int(code)) for code in known.codes]
    record |= {
        name: list(each)
        for name, each in (("class names", known.class_names), ("columns", known.columns))
        if each
    }
    if known.levels:
        record["categories"] = {name: list(each) for name, each in known.levels.items()}
    if known.fill is not None:
        record["missing"] = "means of the training part are filled in"
    if found.units:
        record["units"] = {
            name: {"scale": list(each.scale), "offset": list(each.offset)}
            for name, each in found.units.items()
        }
    return record


def _is_history(path: Path) -> bool:
    from pjc.runtime.history import looks_like_history

    return looks_like_history(path)


def _history(path: Path) -> Record:
    """Return how the run went of which there is a history."""
    import math

    from pjc.runtime.curves import read_curves

    found = read_curves(path)
    told = {
        name: [(int(epoch), value) for epoch, value in zip(found.columns["epoch"], values, strict=True)]
        for name, values in found.columns.items()
    }
    best: Record = {}
    for name, rows in told.items():
        part, _, metric = name.partition("_")
        known = [(epoch, value) for epoch, value in rows if math.isfinite(value)]
        if part == "validation" and known:
            best[name] = _best_of(known, metric)
    last = {name: rows[-1][1] for name, rows in told.items() if rows}
    return {
        "what": "the history of a run",
        "epochs": found.epochs,
        "columns": list(found.columns),
        "last": {name: value if math.isfinite(value) else None for name, value in last.items()},
        "best": best,
    }


def _is_of_runs(path: Path) -> bool:
    from pjc.runtime.history import looks_like_runs

    return looks_like_runs(path)


def _runs(path: Path) -> Record:
    """Return how several runs went of which there is a table."""
    import math
    import statistics

    from pjc.runtime.curves import read_curves

    found = read_curves(path)
    record: Record = {"what": "runs with several seeds", "runs": found.epochs, "columns": list(found.columns)}
    for name in ("validation", "test", "seconds_to_99"):
        values = [each for each in found.columns.get(name, ()) if math.isfinite(each)]
        if values:
            spread = statistics.stdev(values) if len(values) > 1 else 0.0
            record[name.replace("_", " ")] = {
                "mean": statistics.fmean(values),
                "standard deviation": spread,
            }
    return record


def _best_of(rows: list[tuple[int, float]], metric: str) -> Record:
    """Return the best score, of several the first, and its epoch."""
    from pjc.runtime.stopping import goodness

    epoch, score = max(rows, key=lambda each: goodness(each[1], metric))
    return {"score": score, "epoch": epoch}


# --- data ---------------------------------------------------------------------------------------------


def _data(request: Request) -> Record:
    """Return what there is to say of data."""
    from pjc.runtime.data.prepare import look

    found = look(request)
    if not hasattr(found.data, "x"):
        return _characters(found.data)
    return _dataset(found.data, found.labelled)


def _characters(text: CharacterText) -> Record:
    import numpy as np

    codes, counts = np.unique(text.codes, return_counts=True)
    characters = {chr(int(code)): int(count) for code, count in zip(codes, counts, strict=True)}
    return {
        "what": "a text",
        "characters": len(text),
        "different characters": len(codes),
        "checksum": f"{text.checksum():08x}",
        "vocabulary": list(characters),
    }


def _dataset(data: Dataset, labelled: bool) -> Record:
    import math

    x, y = data.x, data.y
    record: Record = {
        "what": "data",
        "samples": len(data),
        "sample": {"shape": list(x.shape[1:]), "dtype": str(x.dtype)},
        "bytes": math.prod(x.shape) * x.dtype.itemsize,
        "checksum": f"{data.checksum():08x}",
    }
    if data.columns:
        record["columns"] = list(data.columns)
    if not labelled:
        return {**record, "targets": "none" + (", until --target names their column" if data.columns else "")}
    record["targets"] = {"shape": list(y.shape[1:]), "dtype": str(y.dtype)}
    return record | _targets(data)


def _targets(data: Dataset) -> Record:
    """Return how often there is each class, or from where to where numbers go."""
    import numpy as np

    y = np.asarray(data.y[:])
    if data.classes is None:
        return {"lowest": float(y.min()), "highest": float(y.max()), "mean": float(y.mean())}
    if data.classes > _MANY:
        return {"classes": data.classes}
    names = data.class_names or tuple(str(number) for number in range(data.classes))
    counts = np.bincount(y.reshape(-1), minlength=len(names)).tolist()
    return {"classes": dict(zip(names, counts, strict=False))}


_MANY = 10000
"""From how many classes on they are not counted each."""


# --- on the screen ------------------------------------------------------------------------------------

_SHOWN = 24
"""How many entries of a list are shown."""


def _show(console: Console, record: Record) -> None:
    """Print a record: what is one value a line each, and tables of tensors."""
    for name, value in record.items():
        if isinstance(value, list) and value and isinstance(value[0], Mapping):
            say(console, f"{name}:")
            _tensors(console, value)
        elif isinstance(value, Mapping):
            _mapping(console, name, value)
        else:
            say(console, f"{name}: {_text(name, value)}")


def _mapping(console: Console, name: str, value: Mapping[str, Any]) -> None:
    if not value:
        return
    say(console, f"{name}:")
    for at, (key, each) in enumerate(value.items()):
        if at == _SHOWN:
            say(console, f"  and {len(value) - at} more, which --json has")
            return
        inner = (
            ", ".join(f"{a} {_text(a, b)}" for a, b in each.items()) if isinstance(each, Mapping) else None
        )
        say(console, f"  {key}: {_text(name, each) if inner is None else inner}")


def _tensors(console: Console, listed: list[Record]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 2), show_header=False)
    for each in listed[:_SHOWN]:
        shape = "[" + ", ".join(map(str, each["shape"])) + "]"
        classes = f"classes 0 to {each['classes'] - 1}" if "classes" in each else ""
        units = "in units of its own" if "scale" in each else ""
        held = f"{each['nonzeros']:,} nonzero" if "nonzeros" in each else ""
        size = shown_bytes(each["bytes"])
        table.add_row(cell(each["name"]), f"{each['dtype']}{cell(shape)}", size, classes or units or held)
    console.print(table)
    if len(listed) > _SHOWN:
        say(console, f"  and {len(listed) - _SHOWN} more, which --json has")


def _text(name: str, value: Any) -> str:
    """Return a value as a person reads it; sizes in the unit that reads best."""
    if isinstance(value, list) and name.endswith("shape"):
        return "[" + ", ".join(map(str, value)) + "]"
    if isinstance(value, list):
        shown = ", ".join(_text(name, each) for each in value[:_SHOWN])
        return (shown + (f" and {len(value) - _SHOWN} more" if len(value) > _SHOWN else "")) or "none"
    if isinstance(value, float):
        return f"{value:.6g}"
    if (
        isinstance(value, int)
        and not isinstance(value, bool)
        and ("bytes" in name or name.startswith("members"))
    ):
        return shown_bytes(value)
    if isinstance(value, str) and (not value.strip() or not value.isprintable()):
        return repr(value)
    return "none" if value is None else f"{value:,}" if type(value) is int else str(value)
