"""Watches over the process that trains as one of several, and says in a sentence what it dies of.

When a process is gone, JAX's runtime ends the others by ``abort()``, from a thread of its own and with a
stack trace; a collective may also wait for ever. Neither can be caught from within. So each process of a run
is a pair: the supervisor, which imports no JAX, and the worker that it starts, which trains. The supervisor

- passes on what the worker says on stderr, each line with the worker's index;
- tells the worker over its stdin to stop, at a SIGINT or SIGTERM, and to give up, at a second one;
- turns an abort for a lost process into a sentence, and an exit code of 1.

If the supervisor is killed, the worker's stdin ends, and so does the worker.
"""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NoReturn, TextIO

from pjc import interrupts
from pjc.codes import LOST_PROCESS
from pjc.diagnostics import severity

_WORKER = "PJC_WORKER"
"""The environment variable that tells a worker from a supervisor."""
_IDENTITY = "\x1epjc worker "
"""What the line on stderr begins with by which the worker says which process it is."""
_STOP = b"s"
STOPPED = 130
_WAIT = 0.2
"""Seconds for which a supervisor waits at a time."""
_PATIENCE = 3.0
"""Seconds that a worker has to end after it was told to give up."""
LOST_PEER = 75
"""The exit code of a worker whose collective failed, and that was not told which process is gone."""

_TROUBLE = re.compile(r"coordination_service(_agent)?\.cc:\d+\]|client\.h:\d+\] Terminating process")
_UNHEALTHY = re.compile(r"unhealthy \(stopped sending heartbeats\):\s*((?:\d+[,\s]*)+)")
_NO_LEADER = re.compile(r"Socket closed|[Cc]onnection (refused|reset)|failed to connect|recvmsg|Broken pipe")


def is_worker() -> bool:
    """Return whether this process was started by a supervisor."""
    return _WORKER in os.environ


def say_identity(index: int, count: int) -> None:
    """Tell the supervisor which process of how many this is."""
    print(f"{_IDENTITY}{index} {count}", file=sys.stderr, flush=True)


@dataclass
class Orders:
    """What the supervisor tells the worker: calling it says whether to stop.

    ``on_stop`` is called once, at the first order. At the second one, and where the supervisor is gone, the
    process ends at once; at the first one already until training has ``begun``.
    """

    on_stop: Callable[[], None] = lambda: None
    asked: bool = False
    begun: bool = True
    code = STOPPED

    def begin(self) -> None:
        """From now on there is something to keep."""
        self.begun = True

    def __call__(self) -> bool:
        return self.asked

    def __enter__(self) -> Orders:
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def _listen(self) -> None:
        # Not through sys.stdin, for whose lock Python would wait at its end.
        while os.read(0, 1):
            if self.asked or not self.begun:
                self.asked = True
                break
            self.asked = True
            self.on_stop()
        os._exit(STOPPED if self.asked else 1)


def ignore_signals() -> None:
    """Leave signals that whole groups of processes get to the supervisor."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def end_worker(code: int) -> NoReturn:
    """End the worker without a word to the others, who may be gone: they notice."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def supervise(command: Sequence[str], resume: str, missing: str = "", stderr: TextIO | None = None) -> int:
    """Run a worker and return its exit code; ``resume`` says how to go on after a failure.

    ``missing`` is said where JAX's runtime ends the worker before the processes have found each other.

    ``command`` is that of the worker, with the arguments of this process.
    """
    out = sys.stderr if stderr is None else stderr
    given, orders = os.pipe()
    asked: list[int] = []
    workers: list[subprocess.Popen[bytes]] = []

    def ask(number: int) -> bool:
        asked.append(number)
        if len(asked) == 1:
            # Not through files of Python's, which a signal may find in use.
            os.write(2, interrupts.STOPPING.encode())
        elif workers:
            _kill_later(workers[0])
        with suppress(OSError):  # it has ended
            os.write(orders, _STOP)
        return True

    said = Speech(out)
    with interrupts.taking(ask):  # before there is a worker: what is asked early waits in the pipe
        worker = subprocess.Popen(
            command,
            stdin=given,
            stderr=subprocess.PIPE,
            env={**os.environ, _WORKER: str(os.getpid())},
            start_new_session=True,
        )
        workers.append(worker)
        os.close(given)
        assert worker.stderr is not None
        with worker.stderr as heard:
            for line in _lines(heard.fileno()):
                said.hear(line.decode(errors="replace"))
        code = worker.wait()
    os.close(orders)
    if asked and code in (STOPPED, -signal.SIGKILL):
        return interrupts.exit_code(asked[0])
    return said.verdict(code, resume, missing)


def _lines(file: int) -> Iterator[bytes]:
    """Yield the lines that come from a pipe, until it ends.

    A signal that comes just before a wait begins would not be handled before it ends: so none is long.
    """
    rest = b""
    while True:
        if not select.select([file], [], [], _WAIT)[0]:
            continue
        more = os.read(file, 2**16)
        if not more:
            break
        *whole, rest = (rest + more).split(b"\n")
        yield from (line + b"\n" for line in whole)
    if rest:
        yield rest


def _kill_later(worker: subprocess.Popen[bytes]) -> None:
    """Kill a worker that does not end by itself, for its threads may not get to run."""
    timer = threading.Timer(_PATIENCE, worker.kill)
    timer.daemon = True
    timer.start()


@dataclass
class Speech:
    """What a worker says on stderr: passed on, but for what JAX says of a lost process, which is kept."""

    out: TextIO
    index: int | None = None
    count: int | None = None
    kept: list[str] = field(default_factory=list)

    def hear(self, line: str) -> None:
        """Pass a line on, or keep it."""
        if line.startswith(_IDENTITY):
            self.index, self.count = map(int, line.removeprefix(_IDENTITY).split())
        elif self.kept or _TROUBLE.search(line):
            self.kept.append(line)
        else:
            self._pass(line)

    def _pass(self, line: str) -> None:
        label = "" if self.index is None else f"process {self.index}: "
        self.out.write(label + line)
        self.out.flush()

    def verdict(self, code: int, resume: str, missing: str = "") -> int:
        """Say what the worker died of, if it did, and return the exit code for the supervisor."""
        lost = code == LOST_PEER or (code == -signal.SIGABRT and bool(self.kept))
        if not lost:
            for line in self.kept:
                self._pass(line)
        if lost and missing and self.index is None:
            self._say(missing)
            return 1
        if lost:
            of = "" if self.count is None else f" of {self.count}"
            lost_one = self.lost_process()
            who = f"another process{of}" if lost_one is None else f"process {lost_one}{of}"
            self._say(f"{who} stopped answering; training stops; {resume}")
            return 1
        if code < 0:
            name = signal.Signals(-code).name
            own = "this process" if self.index is None else f"process {self.index} of {self.count}"
            self._say(f"{own} was ended by {name}; training stops; {resume}")
            return 128 - code
        return code

    def _say(self, text: str) -> None:
        self._pass(f"pjc: {severity(LOST_PROCESS)}: {text}\n")

    def lost_process(self) -> int | None:
        """Return which process is gone, so far as can be known."""
        text = "".join(self.kept)
        found = _UNHEALTHY.search(text)
        if found:
            return int(re.split(r"[,\s]+", found[1].strip())[0])
        if _NO_LEADER.search(text):
            return 0
        return 1 - self.index if self.count == 2 and self.index is not None else None
