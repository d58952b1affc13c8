"""Stopping when somebody asks for it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from routed_rl.utils.interrupts import stop_requests


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_noted_and_the_usual_handlers_come_back(number: int) -> None:
    usual = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    with stop_requests() as asked:
        assert asked == []
        os.kill(os.getpid(), number)
        assert asked == [number]
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == usual


@pytest.fixture
def not_ignored() -> Iterator[None]:
    """Let Ctrl-C interrupt, also where the tests were started in the background of a shell."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("not_ignored")
def test_a_second_one_acts_as_it_usually_does() -> None:
    with stop_requests() as asked, pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
        assert asked == [signal.SIGINT]
        os.kill(os.getpid(), signal.SIGINT)


def test_in_another_thread_nothing_is_caught_and_nothing_fails() -> None:
    seen = []
    usual = signal.getsignal(signal.SIGINT)

    def train() -> None:
        with stop_requests() as asked:
            seen.append(list(asked))

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    assert seen == [[]]
    assert signal.getsignal(signal.SIGINT) is usual
