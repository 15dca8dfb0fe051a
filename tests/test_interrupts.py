"""Signals: they wait while libraries are loaded, and end a command whatever it does."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from quick import some_quick

from pjc.interrupts import Interrupted, _ProcessWatch, interrupts_wait

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def handler() -> Iterator[None]:
    """Interrupts raise, also where the tests run in the background of a shell."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_waits_until_the_end() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), interrupts_wait():
        signal.raise_signal(signal.SIGINT)
        done.append(True)
    assert done and signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_fails_says_so_rather_than_the_interrupt() -> None:
    with pytest.raises(ImportError), interrupts_wait():
        signal.raise_signal(signal.SIGINT)
        raise ImportError
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ignored_interrupts_stay_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with interrupts_wait():
        signal.raise_signal(signal.SIGINT)


def test_other_threads_are_left_alone() -> None:
    seen: list[object] = []

    def work() -> None:
        with interrupts_wait():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]


# --- the command line -----------------------------------------------------------------------------

LIMIT = 240
"""Seconds after which a test gives up on a process."""
BEGIN = """
import signal, sys, threading
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_DFL)
import pjc.cli, pjc.commands
"""
PYTHON = "def main(arguments):\n    print('ready', flush=True)\n    while True: pass\n"
WAITING = "def main(arguments):\n    print('ready', flush=True)\n    threading.Event().wait()\n"
FINALIZER = """
class Noisy:
    def __del__(self):
        print('ready', flush=True)
        while True: pass
def main(arguments):
    Noisy()
    while True: pass
"""
SWALLOWED = """
def main(arguments):
    try:
        print('ready', flush=True)
        while True: pass
    except KeyboardInterrupt:
        return 0
"""
WRAPPED = """
def main(arguments):
    try:
        print('ready', flush=True)
        while True: pass
    except KeyboardInterrupt as error:
        raise RuntimeError("INTERNAL: a callback failed") from error
"""
DEAF = """
import ctypes
def main(arguments):
    sleep = ctypes.CDLL(None).sleep
    print('ready', flush=True)
    while True:
        try:
            sleep(1000)
        except KeyboardInterrupt:
            pass
"""
BUSY = {
    "python": PYTHON,
    "waiting": WAITING,
    "swallowed": SWALLOWED,
    "finalizer": FINALIZER,
    "wrapped": WRAPPED,
    "deaf": DEAF,
}
SAID = {signal.SIGINT: "interrupted", signal.SIGTERM: "interrupted by SIGTERM"}


@pytest.mark.parametrize("number", SAID)
@pytest.mark.parametrize("kind", BUSY)
def test_a_signal_ends_a_command_whatever_it_does(kind: str, number: signal.Signals) -> None:
    code = f"{BEGIN}{BUSY[kind]}\nimport pjc.commands.compile as place\nplace.main = main\n"
    process = subprocess.Popen(
        [sys.executable, "-c", f"{code}sys.argv[1:] = ['--version']\nsys.exit(pjc.cli.main())"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    process.send_signal(number)
    process.send_signal(number)  # as `timeout` does
    _, err = process.communicate(timeout=LIMIT)
    assert (process.returncode, err) == (128 + number, f"pjc: error: {SAID[number]}\n")


WRITING = (
    DEAF.replace("def main(arguments):", "def deaf(path=None):")
    + """
def main(arguments):
    from pathlib import Path
    from pjc.runtime.files import held, replace_file
    with held([Path('a'), Path('b')]):
        WHAT
"""
)


@pytest.mark.parametrize(
    "what", some_quick(["replace_file(Path('a'), deaf)", "replace_file(Path('c'), deaf)", "deaf()"], 3)
)
@pytest.mark.parametrize("number", some_quick(SAID))
def test_what_is_ended_leaves_neither_locks_nor_halves_of_files(
    tmp_path: Path, what: str, number: signal.Signals
) -> None:
    code = (
        f"{BEGIN}{WRITING.replace('WHAT', what)}\nimport pjc.commands.compile as place\nplace.main = main\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", f"{code}sys.argv[1:] = ['--version']\nsys.exit(pjc.cli.main())"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    assert (tmp_path / ".a.lock").exists() and (tmp_path / ".b.lock").exists()
    process.send_signal(number)
    _, err = process.communicate(timeout=LIMIT)
    assert (process.returncode, err) == (128 + number, f"pjc: error: {SAID[number]}\n")
    assert list(tmp_path.iterdir()) == []


MODEL = """\
input x: f32[batch, 64]
target y: class[batch, 10]
param w: f32[64, 10] = he_normal
output logits = x @ w
require margin(logits, y)
"""
TRAIN = ("train", "net.pjn", "--data", "digits", "--epochs", "100000", "--batch", "32")
MOMENTS = [
    (TRAIN, "net.pjx", False),
    (TRAIN, "net.params.safetensors", True),
    (TRAIN, "net.history.csv", True),
]


@pytest.mark.slow
@pytest.mark.parametrize("number", SAID)
@pytest.mark.parametrize(("command", "event", "begun"), MOMENTS)
def test_training_ends_at_every_event(
    tmp_path: Path, command: tuple[str, ...], event: str, begun: bool, number: signal.Signals
) -> None:
    (tmp_path / "net.pjn").write_text(MODEL)
    process = subprocess.Popen(
        [sys.executable, "-m", "pjc.cli", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    while not (tmp_path / event).exists():
        assert process.poll() is None
    process.send_signal(number)
    process.send_signal(number)
    out, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 128 + number and "Traceback" not in err
    kept = "stopping after this batch" in err
    assert kept or err == f"pjc: error: {SAID[number]}\n"
    assert kept >= begun and kept == ("--resume goes on from here" in out)
    assert (tmp_path / "net.params.safetensors").exists() == kept


@pytest.mark.parametrize(
    "files",
    [
        {"caller.py": "import test_interrupts_asked\ntest_interrupts_asked.ask()\n"},
        {
            "caller/__init__.py": "from .inner import found\n",
            "caller/inner.py": "from test_interrupts_asked import ask\nfound = ask()\n",
        },
        {"caller.py": "import test_interrupts_asked as a\nlater = lambda: a.ask() or a.ask()\nlater()\n"},
    ],
    ids=["module", "package", "function"],
)
def test_an_interrupt_waits_for_the_import_that_it_meets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str]
) -> None:
    watch, asked = _ProcessWatch(), []

    def ask() -> None:
        asked.append(True)
        watch._due = True
        watch.handle(signal.SIGINT, sys._getframe())

    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("caller", "caller.inner"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "test_interrupts_asked", SimpleNamespace(ask=ask))
    importlib.import_module("caller")
    assert asked
    with pytest.raises(Interrupted):  # it was not forgotten
        ask()
    for name in ("caller", "caller.inner"):
        sys.modules.pop(name, None)
