"""The formats that pjc reads: good files of each, how they are mutated, and what pjc does with one."""

from __future__ import annotations

import gzip
import io
import random
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from fuzz import mutate
from pjc.cli import main
from pjc.commands.failures import report

HERE = Path(__file__).resolve().parent.parent
ROOT = HERE.parent
NET = """\
input x: f32[batch, 6]
target y: class[batch, 3]
param w: f32[6, 3] = normal(0.4)
output z = x @ w
require cross_entropy(z, y)
"""
IMAGES = (
    NET.replace("[batch, 6]", "[batch, 4, 6, 1]")
    .replace("f32[6, 3]", "f32[24, 3]")
    .replace("x @ w", "reshape(x, (batch, -1)) @ w")
)


@dataclass(frozen=True)
class Format:
    """A format: the suffix of its files, good ones, how one is mutated, and what pjc is asked to do with one.

    ``use`` returns an exit status and what was said.
    """

    suffix: str
    seeds: Callable[[], list[bytes]]
    mutate: mutate.Mutate
    use: Callable[[Path], tuple[int, str]]


def command(*arguments: str) -> tuple[int, str]:
    """Return what the command line answers, and all that it says."""
    said = io.StringIO()
    with redirect_stdout(io.StringIO()), redirect_stderr(said):
        try:
            code = main(arguments)
        except SystemExit as end:
            code = int(end.code) if isinstance(end.code, int) else 1
    return code, said.getvalue()


def python(function: Callable[[], object]) -> tuple[int, str]:
    """Return what the command line would answer, and say, of a function."""
    said = io.StringIO()
    with redirect_stdout(io.StringIO()), redirect_stderr(said):
        try:
            function()
        except Exception as error:
            return report(error), said.getvalue()
    return 0, said.getvalue()


def texts() -> list[bytes]:
    from test_fuzz_frontend import PROGRAMS

    return [text.encode() for text in PROGRAMS] + [
        (ROOT / "examples" / name).read_bytes() for name in ("char_rnn.pjn", "cnn_digits.pjn")
    ]


def ir() -> list[bytes]:
    from pjc.driver import compile_text
    from pjc.options import Options
    from pjc.stage_names import STARTS

    found = []
    for text in (NET, texts()[1].decode()):
        for solver in ("sweep", "dr"):
            done = compile_text(text, Options(batch=4, solver=solver))
            done.at("proj")
            found += [str(done.at(stage)).encode() for stage in STARTS]
    return found


def models() -> list[bytes]:
    return [
        path.read_bytes() for path in sorted((HERE / "onnx").glob("*.onnx")) if path.stat().st_size < 60_000
    ]


def use_pjn(path: Path) -> tuple[int, str]:
    return command(str(path), "--batch", "4", "--emit", "proj")


def use_ir(path: Path) -> tuple[int, str]:
    return command("opt", str(path)) if path.stat().st_size % 2 else command(str(path), "--emit", "proj")


def use_onnx(path: Path) -> tuple[int, str]:
    # A Softmax at the end is left to the loss, which has to be one that takes it.
    loss = "cross_entropy" if b"Softmax" in path.read_bytes() else "squared_error"
    return command(str(path), "--loss", loss, "--batch", "4", "--emit", "proj")


@cache
def program() -> Any:
    import pjc

    return pjc.compile(NET, batch=8)


def artifacts() -> list[bytes]:
    import tempfile

    import pjc

    found = []
    with tempfile.TemporaryDirectory() as folder:
        for number, options in enumerate(({"batch": 8}, {"batch": 8, "solver": "dr", "iterations": 2})):
            path = Path(folder, f"{number}.pjx")
            pjc.compile(NET, **options).save(path)
            found.append(path.read_bytes())
    return found


def use_pjx(path: Path) -> tuple[int, str]:
    """Load a file and run the network in it once."""

    def run() -> None:
        import jax
        import jax.numpy as jnp

        import pjc

        found = pjc.load(path)
        params = found.init(jax.random.key(0))
        inputs = [jnp.zeros(each.shape, each.dtype) for each in found.inputs]
        jax.block_until_ready(found.apply(params, *inputs))
        jax.clear_caches()

    return python(run)


def checkpoints() -> list[bytes]:
    import tempfile

    found = []
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "d.npz")
        data.write_bytes(archives()[0])
        net = Path(folder, "net.pjn")
        net.write_text(NET)
        for more in ([], ["--solver", "dr", "--iterations", "2"]):
            command(
                "train",
                str(net),
                "--data",
                str(data),
                "--batch",
                "8",
                "--epochs",
                "2",
                "-o",
                f"{folder}/",
                *more,
            )
            found.append(Path(folder, "net.params.safetensors").read_bytes())
    return found


def use_checkpoint(path: Path) -> tuple[int, str]:
    """Go on from a file as --resume does, and as --params does."""
    from pjc.runtime.history import read_checkpoint, read_parameters, read_units
    from pjc.runtime.trainable import check_parameters

    def resume() -> None:
        found = read_checkpoint(path)
        check_parameters(program(), found.result.params)
        program().rescaled(found.units)

    def start() -> None:
        check_parameters(program(), read_parameters(path))
        program().rescaled(read_units(path))

    first, said = python(resume)
    return (0, said) if first == 0 else python(start)


def arrays() -> dict[str, np.ndarray[Any, Any]]:
    rng = np.random.default_rng(0)
    return {"x": rng.random((24, 6)).astype(np.float32), "y": np.arange(24) % 3}


def archives() -> list[bytes]:
    found = []
    for save in (np.savez, np.savez_compressed):
        for labels in (arrays()["y"], np.array(["a", "b", "ü"] * 8), np.array([b"a", b"b", b"c"] * 8)):
            made = io.BytesIO()
            save(made, x=arrays()["x"], y=labels)
            found.append(made.getvalue())
    x, y = (arrays()[name] for name in "xy")
    for names in (("x_train", "y_train", "x_test", "y_test"), ("train_images", "train_labels", "val_images")):
        made = io.BytesIO()
        np.savez(made, **dict(zip(names, (x, y[:, None], x[:6], y[:6, None]), strict=False)))
        found.append(made.getvalue())
    return found


def npy() -> list[bytes]:
    found = []
    for array in (arrays()["x"], arrays()["x"].astype(">f8"), (arrays()["x"] * 255).astype(np.uint8)):
        made = io.BytesIO()
        np.save(made, array)
        found.append(made.getvalue())
    return found


def tables() -> list[bytes]:
    rows = [",".join(f"{v:.4g}" for v in x) + f",{'abc'[y]}" for x, y in zip(*arrays().values(), strict=True)]
    plain = "\n".join(["p,q,r,s,t,u,y", *rows]) + "\n"
    others = plain.replace(",", ";")
    named = "".join(
        f'{at},"{v[0]:.3f}",{"NA" if at == 7 else v[1].round(2)},{"éu"[at % 2]},{v[2]},{v[3]},{"abc"[y]}\n'
        for at, (v, y) in enumerate(zip(*arrays().values(), strict=True))
    )
    return [
        plain.encode(),
        others.encode("utf-8-sig"),
        plain.replace("\n", "\r\n").encode(),
        others.replace(".", ",").encode("utf-16"),
        (",p,q,r,s,t,y\n" + named).encode("cp1252"),
    ]


def idx() -> list[bytes]:
    pixels = (np.arange(24 * 24) % 256).astype(np.uint8)
    raw = bytes([0, 0, 8, 3]) + b"".join(n.to_bytes(4, "big") for n in (24, 4, 6)) + pixels.tobytes()
    return [raw, gzip.compress(raw, mtime=0)]


def pictures() -> list[bytes]:
    from PIL import Image

    found = []
    image = Image.fromarray((np.arange(24).reshape(4, 6) * 10).astype(np.uint8))
    for kind in ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP"):
        made = io.BytesIO()
        image.save(made, kind)
        found.append(made.getvalue())
    turned = Image.Exif()
    turned[0x0112] = 6  # stored on its side
    pages, photo, deep = io.BytesIO(), io.BytesIO(), io.BytesIO()
    image.save(pages, "TIFF", save_all=True, append_images=[image, image])
    image.transpose(Image.Transpose.ROTATE_90).save(photo, "JPEG", exif=turned)
    Image.fromarray((np.arange(24).reshape(4, 6) * 1000).astype(np.uint16)).save(deep, "PNG")
    return [*found, *(made.getvalue() for made in (pages, photo, deep))]


def prepared(spec: str, net: str = NET, **more: Any) -> tuple[int, str]:
    """Load data as training does, and read all of it."""
    from pjc.runtime.data.prepare import Request, prepare

    specs = _specs(net)

    def run() -> None:
        parts = prepare(Request(spec, **more), *specs)
        for part in (parts.train, parts.validation, parts.test):
            if part is not None:
                part.x[: len(part)], part.y[: len(part)]

    return python(run)


@cache
def _specs(net: str) -> tuple[Any, Any]:
    import pjc
    from pjc.runtime.trainable import specs

    return specs(pjc.compile(net, batch=8))


def use_npy(path: Path) -> tuple[int, str]:
    labels = path.with_name("labels.npy")
    np.save(labels, arrays()["y"])
    return prepared(f"npy:{path},{labels}")


def use_idx(path: Path) -> tuple[int, str]:
    labels = path.with_name("labels-idx1-ubyte")
    labels.write_bytes(
        bytes([0, 0, 8, 1]) + (24).to_bytes(4, "big") + arrays()["y"].astype(np.uint8).tobytes()
    )
    return prepared(f"{path},{labels}", IMAGES)


def use_picture(path: Path) -> tuple[int, str]:
    """Read a picture among good ones; the suffix is that of its kind."""
    folder = path.with_suffix("")
    good = pictures()[0]
    for label in "abc":
        (folder / label).mkdir(parents=True, exist_ok=True)
        for number in range(5):
            (folder / label / f"{number}.png").write_bytes(good)
    (folder / "a" / "m.png").write_bytes(path.read_bytes())
    return prepared(f"images:{folder}", IMAGES)


def mutate_table(data: bytes, rng: random.Random) -> bytes:
    """Return a table with other tokens; one in another encoding than UTF-8 with other bytes."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return mutate.of_bytes(data, rng)
    return mutate.of_text(data, rng)


def use_csv(path: Path) -> tuple[int, str]:
    """Read a table, and fill in what it lacks or leave it out; its size tells which."""
    return prepared(str(path), target="y", missing=("mean", "drop")[path.stat().st_size % 2])


FORMATS = {
    "pjn": Format(".pjn", texts, mutate.of_text, use_pjn),
    "mlir": Format(".mlir", ir, mutate.of_text, use_ir),
    "onnx": Format(".onnx", models, mutate.of_onnx, use_onnx),
    "pjx": Format(".pjx", artifacts, mutate.of_pjx, use_pjx),
    "npz": Format(".npz", archives, mutate.of_zip, lambda path: prepared(str(path))),
    "npy": Format(".npy", npy, mutate.of_npy, use_npy),
    "csv": Format(".csv", tables, mutate_table, use_csv),
    "idx": Format("-idx3-ubyte", idx, mutate.of_bytes, use_idx),
    "images": Format(".png", pictures, mutate.of_bytes, use_picture),
    "checkpoints": Format(".safetensors", checkpoints, mutate.of_safetensors, use_checkpoint),
}
