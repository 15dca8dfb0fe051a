"""Ctrl-C and SIGTERM: from the first moment to the last they end a command soon, with a sentence and a code.

Handlers of Python's run in the main thread alone, and only between its instructions: not while XLA compiles,
and what they raise is lost where a library's callback catches it. So a thread hears of signals too, through
the file descriptor that the interpreter writes them to. It decides, makes the main thread raise
KeyboardInterrupt, and ends the process itself where that has not helped soon.
"""

from __future__ import annotations

import atexit
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

TYPE_CHECKING = False  # typing's own takes longer to import than all of this
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)
REPEAT = 0.05
"""Seconds within which a second signal is the first one again: ``timeout`` sends its signal twice.

They are over before anything is said of the first, so that who answers what is said is heard.
"""
STOPPING = "\nstopping after this batch; Ctrl-C again aborts\n"
"""What is said of the first signal while a network trains."""
_PATIENCE = (0.3, 0.3, 0.4, 0.5, 1.0)
"""Seconds that the main thread has each time that it is made to raise Interrupted; then the process ends."""

_IMPORTING = 0.5
"""Seconds that imports have to be over; then the process ends, as they leave nothing to undo."""

Ask = Callable[[int], bool]
"""Takes a signal: returns whether it did, so that the command goes on."""


class Interrupted(KeyboardInterrupt):
    """A signal ends the command."""


class Watch:
    """What becomes of signals while a command runs.

    ``ending`` is the signal that ends the command, None as long as there is none.
    """

    def __init__(self) -> None:
        self.ending: int | None = None
        self.takers: list[Ask] = []
        self.temporary: set[str] = set()

    def decide(self, number: int) -> bool:
        """Return whether a signal ends the command: unless what runs now takes it."""
        if self.ending is None:
            with suppress(IndexError):
                if self.takers[-1](number):
                    return False
            self.ending = number
        return True

    def handle(self, number: int, _: FrameType | None) -> None:
        """Handle a signal in the main thread."""
        if self.decide(number):
            raise Interrupted

    def finish(self) -> None:
        """The command is over."""

    def code(self) -> int:
        """Return the exit code of a command that was interrupted."""
        return exit_code(self.ending or signal.SIGINT)

    def sentence(self) -> str:
        """Return what is said of a command that was interrupted."""
        return "interrupted" if self.code() == 130 else "interrupted by SIGTERM"


class _ProcessWatch(Watch):
    """The watch of a process that does nothing but the command: a thread decides, and sees to it."""

    def __init__(self) -> None:
        super().__init__()
        self.done = threading.Event()
        self._due = False
        self._out, self._in = os.pipe()
        os.set_blocking(self._in, False)

    def begin(self) -> None:
        signal.set_wakeup_fd(self._in, warn_on_full_buffer=False)
        # The first to be registered is the last to run: then the interpreter forgets its handlers.
        atexit.register(_ignore)
        sys.unraisablehook = _unraisable(sys.unraisablehook)
        threading.Thread(target=self._listen, daemon=True, name="signals").start()

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Raise, in the main thread, what the thread has decided; not within an import, which is over soon.

        The thread asks again then. A library in C whose import is interrupted may print that, or lose it.
        """
        if _imports(frame):
            return
        due, self._due = self._due, False
        if due and not self.done.is_set():
            raise Interrupted

    def finish(self) -> None:
        """The command is over: a signal that comes now, while the interpreter ends, ends it at once."""
        self.done.set()

    def _listen(self) -> None:
        while not self._hear(os.read(self._out, 1)[0]):
            pass
        if self.done.is_set():
            self._end()
        main, waited = threading.main_thread().ident or 0, 0.0
        for seconds in _PATIENCE:
            self._due = True
            # To this thread, whatever it waits for; a signal of the process may reach another one.
            signal.pthread_kill(main, signal.SIGINT)
            if self.done.wait(seconds):
                return
            waited += seconds
            if waited >= _IMPORTING and _imports(sys._current_frames().get(main)):
                break
        self._end()

    def _hear(self, number: int) -> bool:
        if number not in SIGNALS:
            return False
        time.sleep(REPEAT)
        while select.select([self._out], [], [], 0)[0]:
            os.read(self._out, 1)
        return self.decide(number)

    def _end(self) -> None:
        for path in list(self.temporary):
            with suppress(OSError):
                os.unlink(path)
        os.write(2, f"pjc: error: {self.sentence()}\n".encode())
        os._exit(self.code())


_current: Watch | None = None


@contextmanager
def watched(process: bool = False) -> Iterator[Watch]:
    """Within it a signal raises Interrupted in the main thread, unless :func:`taking` takes it.

    Args:
        process: whether this process does nothing else. Then a signal ends it within seconds even in native
            code, also if it was started with signals ignored, and the handlers stay until it has ended.
    """
    global _current
    if threading.current_thread() is not threading.main_thread():  # only that may set handlers
        yield Watch()
        return
    before = _current
    watch = _current = _ProcessWatch() if process else Watch()
    handlers = {number: signal.signal(number, watch.handle) for number in SIGNALS}
    if isinstance(watch, _ProcessWatch):
        watch.begin()
    try:
        yield watch
    finally:
        _current = before
        if isinstance(watch, _ProcessWatch):
            watch.finish()
        else:
            _restore(handlers)


@contextmanager
def taking(ask: Ask) -> Iterator[None]:
    """Within it ``ask`` is told of a signal first, perhaps in another thread, and may take it."""
    if _current is None:
        with watched(), taking(ask):
            yield
        return
    takers = _current.takers
    takers.append(ask)
    try:
        yield
    finally:
        takers.remove(ask)


@contextmanager
def temporary(path: str) -> Iterator[None]:
    """Within it the file is removed where a signal ends the process without unwinding what it does."""
    files = set[str]() if _current is None else _current.temporary
    files.add(path)
    try:
        yield
    finally:
        files.discard(path)


def exit_code(number: int) -> int:
    """Return the exit code of what a signal ended, as shells have it."""
    return 128 + int(number)


def _imports(frame: FrameType | None) -> bool:
    """Return whether a module is being imported where a thread is."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _ignore() -> None:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _unraisable(before: Callable[[Any], object]) -> Callable[[Any], object]:
    """Return a hook that says nothing of an Interrupted that a finalizer lost: it is raised again."""

    def hook(unraisable: Any) -> None:
        if not isinstance(unraisable.exc_value, Interrupted):
            before(unraisable)

    return hook


def _restore(handlers: dict[signal.Signals, Any]) -> None:
    for number, handler in handlers.items():
        # None: it was not set from Python, and cannot be from here.
        signal.signal(number, signal.SIG_DFL if handler is None else handler)


@contextmanager
def interrupts_wait() -> Iterator[None]:
    """Within it signals that Python handles wait until the end, where they are sent again.

    A library that is interrupted while it is imported may end the process, or leave half of itself behind.
    """
    asked: list[int] = []
    handlers: dict[signal.Signals, Any] = {}
    try:
        for number in SIGNALS:
            if callable(before := signal.getsignal(number)):
                signal.signal(number, lambda number, _: asked.append(number))
                handlers[number] = before
    except ValueError:  # only the main thread may set handlers, and only it is interrupted
        yield
        return
    try:
        yield
    finally:
        _restore(handlers)
    if asked:
        signal.raise_signal(asked[0])
