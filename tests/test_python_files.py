"""Networks in Python files that the command line names: ``FILE.py:NAME``."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from running import Run, runner
from safetensors.numpy import load_file

import pjc
from pjc.driver import compile_file
from pjc.python_files import PythonName, file_of, stem_of
from pjc.sources import open_source

HEAD = """\
import jax
import numpy as np

import pjc
import layers

print("the file runs")
generator = np.random.default_rng(0)
params = {name: generator.normal(0, 0.2, shape).astype("float32")
          for name, shape in {"w": (64, 16), "b": (16,), "v": (16, 10)}.items()}


def mlp(params, x):
    return layers.hidden(params, x) @ params["v"]

"""
LAYERS = """\
import jax


def hidden(params, x):
    return jax.nn.relu(x @ params["w"] + params["b"])
"""
MADE = 'mlp, params, pjc.f32["batch", 64], loss=pjc.cross_entropy(strength=2)'


@pytest.fixture
def pjc_run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs the command line, in an empty folder, and returns code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    Path("layers.py").write_text(LAYERS)
    return runner(capsys)


@pytest.mark.parametrize(
    ("text", "file", "name", "stem"),
    [
        ("model.py:net", "model.py", "net", "model_net"),
        ("a/b.py:c/d.py:e", "a/b.py:c/d.py", "e", "d_e"),
        ("model.py", "model.py", None, "model"),
        ("model.py:", "model.py", None, "model"),
        ("model.pjn", None, None, "model"),
        ("model.python:net", None, None, "model"),
    ],
)
def test_what_a_name_on_the_command_line_means(
    text: str, file: str | None, name: str | None, stem: str
) -> None:
    found = PythonName.of(text)
    assert (None if found is None else found) == (None if file is None else PythonName(Path(file), name))
    assert file_of(text) == Path(file or text)
    assert stem_of(text) == stem


@pytest.mark.parametrize(
    "made",
    [
        f"net = pjc.network({MADE})",
        f"def net():\n    return pjc.network({MADE})",
        f"net = pjc.trace({MADE}, batch=3)",
        f"def net(*more, **options):\n    return pjc.trace({MADE})",
    ],
)
def test_a_network_in_a_python_file_is_compiled(pjc_run: Run, made: str) -> None:
    Path("model.py").write_text(HEAD + made + "\n")
    code, out, err = pjc_run("model.py:net", "--batch", "8", "--emit", "net")
    assert code == 0, err
    assert "the file runs" not in out and "the file runs" in err
    assert "dims {batch = 8" in out and "op.cross_entropy" in out
    code, out, err = pjc_run("model.py:net", "--batch", "8")
    assert code == 0 and "wrote model_net.pjx" in out, err
    Path("model.py").unlink()  # the file of the program keeps the text: nothing of Python is run to load it
    program = pjc.load("model_net.pjx")
    x = np.random.default_rng(1).normal(size=(5, 64)).astype("float32")
    start = program.init(0)
    hidden = jax.nn.relu(x @ start["w"] + start["b"])
    np.testing.assert_allclose(program.apply(start, x), hidden @ start["v"], atol=1e-5)
    given = np.random.default_rng(0).normal(0, 0.2, (64, 16)).astype("float32")
    np.testing.assert_array_equal(start["w"], given)


def test_the_function_that_makes_a_network_finds_what_stands_beside_it(pjc_run: Run) -> None:
    late = HEAD.replace("import layers\n", "").replace(
        "    return layers", "    import layers\n    return layers"
    )
    Path("deep").mkdir()
    Path("layers.py").rename("deep/layers.py")
    Path("deep/model.py").write_text(late + f"def net():\n    return pjc.network({MADE})\n")
    code, out, err = pjc_run("deep/model.py:net", "--emit", "pjn")
    assert code == 0 and "require cross_entropy(logits, y, strength = 2)" in out, err


def test_training_a_network_in_a_python_file(pjc_run: Run) -> None:
    Path("model.py").write_text(HEAD + f"net = pjc.network({MADE})\n")
    arguments = ["train", "model.py:net", "--data", "digits", "--batch", 64, "--seed", 0, "--rate", "1e-2"]
    code, out, err = pjc_run(*arguments, "--epochs", 2)
    assert code == 0 and "wrote model_net.params.safetensors" in out, err
    assert Path("model_net.history.csv").exists()
    assert load_file("model_net.params.safetensors").keys() >= {"w", "b", "v"}
    code, out, err = pjc_run(*arguments, "--epochs", 3, "--resume")
    assert code == 0, err
    code, out, err = pjc_run("opt", "model.py:net", "-p", "net-infer-shapes,net-canonicalize")
    assert code == 0 and "net.network @mlp" in out, err


def test_builders_of_networks_may_be_named_too(pjc_run: Run) -> None:
    Path("model.py").write_text(
        "from pjc.builder import Network\n"
        "net = Network('one', batch=4)\n"
        "net.output('z', net.matmul(net.input('x', (4, 3)), net.parameter('w', (3, 2), 'he_normal')))\n"
    )
    assert pjc_run("model.py:net", "--emit", "net")[0] == 0


@pytest.mark.parametrize(
    ("text", "model", "message"),
    [
        (
            "x = 1\n",
            "model.py",
            "model.py is a Python file, which may hold several networks\nhint: it has no n",
        ),
        (HEAD + "net = 1", "model.py:other", "model.py has no 'other'"),
        (
            HEAD + f"a = pjc.network({MADE})\ndef b():\n    return a\n",
            "model.py",
            "there is model.py:a, model.py:b\n",
        ),
        (HEAD, "model.py:mlp", "'mlp' of model.py is a function of params, x, and of a network"),
        (HEAD, "model.py:params", "'params' of model.py is no network but dict"),
        ("def net():\n    return [1]\n", "model.py:net", "'net' of model.py is no network but list"),
        (
            "import pjc\n\nx = 1 / 0\n",
            "model.py:net",
            "model.py:3:5: error[PJC0809]: model.py fails: ZeroDivisionError",
        ),
        (
            "def net():\n    return {}['k']\n",
            "model.py:net",
            "model.py:2:12: error[PJC0809]: net() fails: KeyError: 'k'",
        ),
        ("def net(:\n", "model.py:net", "model.py:1:9: error[PJC0809]: model.py fails: SyntaxError"),
        (
            "import sys\nsys.exit(0)\n",
            "model.py:net",
            "model.py:2:1: error[PJC0809]: model.py fails: SystemExit",
        ),
        (
            "class Stop(BaseException):\n    pass\ndef net():\n    raise Stop('here')\n",
            "model.py:net",
            "model.py:4:5: error[PJC0809]: net() fails: Stop: here",
        ),
        (
            "raise GeneratorExit\n",
            "model.py:net",
            "model.py:1:1: error[PJC0809]: model.py fails: GeneratorExit",
        ),
        ("import asyncio\nraise asyncio.CancelledError\n", "model.py:net", "fails: CancelledError"),
        ("import none_such\n", "model.py:net", "fails: ModuleNotFoundError: No module named 'none_such'"),
        (
            HEAD + 'net = pjc.network(lambda p, x: jax.numpy.tanh(x), params, pjc.f32["batch", 4])\n',
            "model.py:net",
            "tanh",
        ),
        (
            HEAD + "net = pjc.network(mlp, params, 3)\n",
            "model.py:net",
            "model.py:16:7: error[PJC0805]: input 1 is int",
        ),
        ("x = '\udcff'\n".encode("utf-8", "surrogateescape"), "model.py:net", "model.py fails: SyntaxError"),
        (b"x = 1\0\n", "model.py:net", "model.py fails: SyntaxError"),
    ],
)
def test_python_files_that_give_no_network(pjc_run: Run, text: str | bytes, model: str, message: str) -> None:
    Path("model.py").write_bytes(text if isinstance(text, bytes) else text.encode())
    for command in ([], ["train"]):
        code, out, err = pjc_run(*command, model, *(["--data", "digits"] if command else []))
        assert code == 1 and not out
        assert message in err
    assert [each.name for each in Path().glob("*.pjx")] == []


def test_files_that_are_not_there(pjc_run: Run) -> None:
    Path("model.py").write_text("x = 1\n")
    code, _, err = pjc_run("modle.py:net")
    assert code == 1 and "there is no file modle.py; did you mean model.py?" in err
    code, _, err = pjc_run("train", "none/model.py:net", "--data", "digits")
    assert code == 1 and "there is no file none/model.py" in err
    with pytest.raises(pjc.DiagnosticError, match=r"there is no file none\.py"):
        open_source("none.py:net")
    Path("folder.py").mkdir()
    code, _, err = pjc_run("folder.py:net")
    assert code == 1 and "is a directory" in err


def test_the_source_is_not_overwritten(pjc_run: Run) -> None:
    Path("model.py").write_text(HEAD + f"net = pjc.network({MADE})\n")
    code, _, err = pjc_run("model.py:net", "-o", "model.py")
    assert code == 1 and "would overwrite the source" in err


def test_python_code_may_name_it_as_well(pjc_run: Run) -> None:
    Path("model.py").write_text(HEAD + f"net = pjc.network({MADE})\n")
    assert pjc.compile("model.py:net", batch=4).batch == 4
    assert compile_file("model.py:net").source.name == "mlp"


def test_options_that_are_for_other_sources(pjc_run: Run) -> None:
    Path("model.py").write_text(HEAD + f"net = pjc.network({MADE})\n")
    code, _, err = pjc_run("model.py:net", "--loss", "margin")
    assert code == 1 and "loss does not apply to functions of Python" in err


def test_a_network_that_is_not_compiled_yet() -> None:
    params = {"w": jnp.ones((3, 2))}
    net = pjc.network(lambda p, x: x @ p["w"], params, pjc.f32["batch", 3], loss=pjc.squared_error())
    program = pjc.compile(net, batch=5)
    assert program.batch == 5
    np.testing.assert_array_equal(program.init(0)["w"], params["w"])
    wide = {"w": np.ones((3, 2))}
    with jax.enable_x64(True):
        net = pjc.network(lambda p, x: x @ p["w"], wide, pjc.f64["batch", 3])
        with pytest.raises(pjc.DiagnosticError, match="are float64, and dtype is f32"):
            pjc.compile(net, batch=2)
        assert pjc.compile(net, batch=2, dtype="f64").init(0)["w"].dtype == "float64"
