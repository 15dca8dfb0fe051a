"""Ctrl-C waits while libraries are loaded."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import pytest

from pjc.interrupts import interrupts_wait


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
