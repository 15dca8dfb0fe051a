"""The arguments of ``pjc`` and ``pjc train``, and their help."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from math import nan

from pjc import __version__
from pjc.diagnostics import DiagnosticError
from pjc.mesh import parse_mesh

SOLVERS = ("ap", "ar", "dr", "rrr", "dm", "cp", "cdr")
STAGES = ("pjn", "ast", "net", "feas", "proj", "stablehlo", "hlo")
COMMANDS = ("compile", "train", "export", "opt", "check-operator")
DTYPES = ("f32", "f64")
LOSSES = ("cross_entropy", "margin", "squared_error")
PRODUCTS = ("f32", "bf16")
COPIES = ("auto", "exact", "held", "shared", "factored")

_USAGE = """pjc MODEL.pjn|MODEL.onnx [options]
       pjc train MODEL.pjn --data SOURCE [options]
       pjc export MODEL.pjx PARAMS.safetensors -o FILE.onnx
       pjc opt FILE.mlir -p PASSES [options]
       pjc check-operator FILE.py [NAME ..] [options]"""

_EXAMPLES = """\
commands:
  pjc MODEL.pjn          compile a network (also: pjc compile MODEL.pjn)
  pjc train MODEL.pjn    compile it and train it; see pjc train --help
  pjc export MODEL.pjx PARAMS.safetensors -o FILE.onnx
                         write a trained network as an ONNX model; see docs/onnx.md
  pjc opt FILE.mlir      run passes on IR, in the manner of mlir-opt; see pjc opt --help
  pjc check-operator FILE.py
                         test the projections of operators of your own; see docs/operators.md

examples:
  pjc digits_mlp.pjn                       writes digits_mlp.pjx beside the source
  pjc digits_mlp.pjn -D hidden=256         with another value for a const of the file
  pjc digits_mlp.pjn --emit feas           shows the feasibility problem
  pjc digits_mlp.pjn --solver rrr --step 0.5 --emit proj
  pjc train digits_mlp.pjn --data digits --epochs 10 --seed 0

A wrong file or value is reported on stderr, with exit code 1; a wrong command line with 2.
"""

_TRAIN_EXAMPLES = """
The test part and the validation part are the same in every run, whatever the seed. Ctrl-C finishes
the batch and writes what there is (exit code 130); a second Ctrl-C aborts. --resume goes on from
there, or from the last checkpoint of a run that was killed, to the same numbers as a run that was
never stopped. --distributed is explained in docs/parallel.md.

examples:
  pjc train digits_mlp.pjn --data digits --epochs 10 --seed 0
  pjc train digits_mlp.pjn --data digits --epochs 20 --seed 0 --resume
  pjc train mnist.pjn --data train-images-idx3-ubyte.gz --test-data t10k-images-idx3-ubyte.gz
  pjc train iris.pjn --data iris.csv --target species --normalize standard -o runs/iris
  srun pjc train mnist.pjn --data npy:mnist --distributed
"""


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
_index = _number(int, lambda n: 0 <= n < 2**31, "a whole number from 0")
_seconds = _number(float, lambda v: 0 < v < 1e9, "a number of seconds above 0")
_heartbeat = _number(int, lambda n: 5 <= n <= 3600, "a whole number of seconds from 5 to 3600")
_fraction = _number(float, lambda v: 0 <= v < 1, "a fraction from 0 to below 1")
_relaxation = _number(float, lambda v: 0 < v <= 1, "a number above 0, at most 1")
_step = _number(float, lambda v: 0 < v <= 2, "a number above 0, at most 2")
_beta = _number(float, lambda v: v != 0 and abs(v) <= 1e6, "a number other than 0")


def _split(text: str) -> tuple[float, float, float]:
    """An argparse type: fractions to train on, to validate and to test on."""
    try:
        parts = tuple(float(part) for part in text.split(","))
    except ValueError:
        parts = ()
    if len(parts) != 3 or not (parts[0] > 0 and min(parts) >= 0 and abs(sum(parts) - 1) < 1e-6):
        raise argparse.ArgumentTypeError(
            f"expected three fractions that add up to 1, as in 0.8,0.1,0.1, got {text!r}"
        )
    return parts[0], parts[1], parts[2]


def _address(text: str) -> str:
    """An argparse type: a host and a port."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise argparse.ArgumentTypeError(f"expected HOST:PORT, as in 10.0.0.1:9876, got {text!r}")
    return text


def _copies(text: str) -> str:
    """An argparse type: a form of copies, perhaps for one dot."""
    form = text.rpartition("=")[2]
    if form not in COPIES or text.endswith("=auto"):
        raise argparse.ArgumentTypeError(f"expected {', '.join(COPIES)} or LABEL=FORM, got {text!r}")
    return text


def _bytes(text: str) -> int:
    """An argparse type: a number of bytes, with K, M, G or T for powers of 1024."""
    units = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
    digits, unit = (text[:-1], units[text[-1].upper()]) if text[-1:].upper() in units else (text, 1)
    try:
        size = float(digits) * unit
    except ValueError:
        size = nan
    if not 0 <= size < 2**63:
        raise argparse.ArgumentTypeError(f"expected a number of bytes such as 8G, got {text!r}")
    return int(size)


def _mesh(text: str) -> str:
    """An argparse type: the sizes of a mesh's axes, or auto."""
    try:
        parse_mesh(text)
    except DiagnosticError as error:
        raise argparse.ArgumentTypeError(error.diagnostics[0].message) from None
    return text


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Keeps the examples as written; gives option names room."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=100)


def compile_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pjc",
        usage=_USAGE,
        description="Compiles a neural network to projections, which train it without gradients.",
        epilog=_EXAMPLES,
        formatter_class=_Formatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"pjc {__version__}")
    parser.add_argument("model", metavar="MODEL", help="the network: a .pjn or .onnx file")
    parser.add_argument("-o", dest="output", metavar="FILE", help="where to write (default: MODEL.pjx)")
    parser.add_argument("--emit", choices=STAGES, help="print this stage instead, or write it to -o")
    parser.add_argument(
        "--explain", action="store_true", help="print the form of each dot's copies, why, and its cost"
    )
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
    compiler = parser.add_argument_group("compiler")
    add = compiler.add_argument
    add(
        *("-O", "--level"),
        type=int,
        choices=(0, 1, 2),
        help="0: hold all copies; 1: exact fused forms; 2: also approximate ones (default: 2)",
    )
    add(
        *("--copies",),
        action="append",
        type=_copies,
        metavar="FORM",
        help=f"{', '.join(COPIES)}: wherever it applies; LABEL=FORM: for one dot (default: auto)",
    )
    add(
        "--products",
        choices=PRODUCTS,
        help="what matrix products round their factors to, on GPUs and TPUs (default: f32)",
    )
    add(
        "--memory",
        type=_bytes,
        metavar="SIZE",
        help="of the device that runs the solver, such as 8G: copies are held where they fit "
        "(default: that of the first device here)",
    )
    add(
        "--unroll",
        action="store_const",
        const=True,
        help="unroll loops, rather than project all their iterations at once (default: False)",
    )
    devices = parser.add_argument_group("devices")
    add = devices.add_argument
    add(
        *("--mesh",),
        type=_mesh,
        metavar="AXES",
        help="sample=N,feature=N,stack=N, any of them: devices that split batch rows, output columns, the "
        "iterations of loops; or auto (default: one device; see docs/parallel.md)",
    )
    add("--devices", type=_count, metavar="N", help="treat this computer's CPU as so many devices")
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
    add(
        *("--operators",),
        action="append",
        default=[],
        metavar="FILE.py",
        help="run this Python file first: it registers operators that the network calls; may be repeated",
    )
    onnx = parser.add_argument_group("ONNX models (pip install 'pjc[onnx]')")
    add = onnx.add_argument
    add("--loss", choices=LOSSES, help="what training requires of the model's output")
    add("--reinit", action="store_true", help="draw the parameters afresh; by default the model's are kept")
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


def train_parser() -> argparse.ArgumentParser:
    from pjc.runtime.data.sources import help_lines

    parser = argparse.ArgumentParser(
        prog="pjc train",
        usage="pjc train MODEL.pjn --data SOURCE [options]",
        description="Compiles a network and trains it, and leaves in the current directory\n"
        "MODEL.params.safetensors, MODEL.history.csv and MODEL.pjx.",
        epilog="\n  ".join(["data:", *help_lines()]) + "\n" + _TRAIN_EXAMPLES,
        formatter_class=_Formatter,
        allow_abbrev=False,
    )
    parser.add_argument("model", metavar="MODEL", help="the network: a .pjn or .onnx file")
    data = parser.add_argument_group("data")
    add = data.add_argument
    add("--data", required=True, metavar="SOURCE", help="what to train on (see below)")
    add("--target", metavar="COLUMN", help="the column of a table that holds the targets")
    add("--test-data", metavar="SOURCE", help="what to test on, instead of a part of --data")
    add("--test", type=_fraction, metavar="F", help="part of --data to test on (default: 0.2)")
    add(
        *("--validation",),
        type=_fraction,
        metavar="F",
        help="part of what remains to watch training with (default: 0.1)",
    )
    add(
        *("--split",),
        type=_split,
        metavar="A,B,C",
        help="parts to train on, to validate and to test on, of all --data; instead of the two above",
    )
    add(
        *("--normalize",),
        choices=("none", "unit", "standard"),
        default="none",
        help="each feature, as measured on the training part: unit: to 0..1; standard: to mean 0, "
        "variance 1 (default: none)",
    )
    add(
        *("--stride",),
        type=_count,
        metavar="N",
        help="characters from one window of a text to the next (default: no overlap where every "
        "character is predicted, 1 where only the last is)",
    )
    add("--resize", action="store_true", help="bring image files to the size that the network takes")
    run = parser.add_argument_group("run")
    add = run.add_argument
    add("--epochs", type=_count, default=10, metavar="N", help="epochs in all (default: 10)")
    add("--seed", type=_seed, default=0, metavar="S", help="of parameters and order (default: 0)")
    add(
        *("--keep-best",),
        action="store_true",
        help="also write MODEL.best.safetensors, of the epoch that validates best, and test with it",
    )
    add("--params", metavar="FILE", help="safetensors with parameters to start from")
    add("--resume", action="store_true", help="go on from what an earlier run wrote")
    add(
        *("--checkpoint-every",),
        type=_seconds,
        default=60.0,
        metavar="S",
        help="seconds between checkpoints in an epoch, after which there is always one (default: 60)",
    )
    add(
        "-o",
        dest="output",
        default=".",
        metavar="WHERE",
        help="a directory to write to, or a path to put before .params.safetensors and the others",
    )
    several = parser.add_argument_group("several processes, on one host or many")
    add = several.add_argument
    add(
        *("--distributed",),
        action="store_true",
        help="train together with the other processes that get the same command; who they are is as the "
        "cluster sets it (Slurm, Open MPI, Kubernetes, Cloud TPU), or as these three say",
    )
    add("--coordinator", type=_address, metavar="HOST:PORT", help="where process 0 listens")
    add("--processes", type=_count, metavar="N", help="how many processes there are")
    add("--process", type=_index, metavar="I", help="which one this is, from 0; 0 writes the files")
    add(
        *("--heartbeat",),
        type=_heartbeat,
        default=30,
        metavar="S",
        help="seconds without a sign of life after which a process is given up (default: 30)",
    )
    _add_compile_options(parser)
    return parser


def export_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pjc export",
        usage="pjc export MODEL PARAMS.safetensors [-o FILE.onnx]",
        description="Writes a network with its parameters as an ONNX model of standard operators.",
        formatter_class=_Formatter,
        allow_abbrev=False,
    )
    parser.add_argument("model", metavar="MODEL", help="the network: .pjx, or .pjn or .onnx")
    parser.add_argument("params", metavar="PARAMS.safetensors", help="what pjc train wrote")
    parser.add_argument("-o", dest="output", metavar="FILE.onnx", help="where to write (default: MODEL.onnx)")
    return parser


def check_operator_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pjc check-operator",
        usage="pjc check-operator FILE.py [NAME ..] [options]",
        description="Runs a Python file that registers operators, and tests their projections: whether they\n"
        "are finite, in the set, idempotent, and no farther than any point that a search finds.",
        formatter_class=_Formatter,
        allow_abbrev=False,
    )
    parser.add_argument("file", metavar="FILE.py", help="what calls pjc.operator(..)")
    parser.add_argument("names", nargs="*", metavar="NAME", help="operators of the file (default: all)")
    parser.add_argument("--samples", type=_count, default=200, metavar="N", help="points (default: 200)")
    parser.add_argument("--size", type=_count, default=3, metavar="N", help="of named sizes (default: 3)")
    parser.add_argument("--seed", type=_seed, default=0, metavar="S", help="of the points (default: 0)")
    return parser
