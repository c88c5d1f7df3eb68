"""Starting, stopping and freezing the real programs of the lab."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

import psutil

KEEPER = Path(__file__).with_name("keeper.py")


class LabError(Exception):
    """A part of the lab did not do what it was started for."""


def wait_until(ready: Callable[[], bool], what: str, *, seconds: float = 90, log: Path | None = None) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise LabError(f"{what} took longer than {seconds:g} s.\n{tail(log)}")
        time.sleep(0.01)


def tail(log: Path | None) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-20:]) if log and log.exists() else ""


class Daemon:
    """One program in a folder of its own, kept by `keeper.py`."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o711)  # an unprivileged user must reach a home or a socket inside
        self.log = folder / "log"
        self._keeper: subprocess.Popen[bytes] | None = None
        self._asked = False
        self.pid = 0

    def command(self) -> Sequence[str]:
        raise NotImplementedError

    def environment(self) -> Mapping[str, str]:
        return os.environ

    def is_ready(self) -> bool:
        raise NotImplementedError

    @property
    def running(self) -> bool:
        return self._keeper is not None and self._keeper.poll() is None

    def launch(self) -> None:
        """Start without waiting, so that several can come up side by side."""
        if self.running:
            raise LabError(f"{self.name} runs already.")
        with self.log.open("ab") as log:
            self._keeper = subprocess.Popen(
                [sys.executable, "-I", "-S", str(KEEPER), str(self.folder), *self.command()],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=self.environment(),
                start_new_session=True,  # Ctrl-C in the terminal is for the tests; they end this in their order
            )
        assert self._keeper.stdout
        self._asked = False
        self.pid = int(self._keeper.stdout.readline() or 0)

    def wait(self) -> None:
        try:
            wait_until(self._is_ready_or_dead, self.name, log=self.log)
        except LabError:
            self.stop()
            raise
        if not self.running:
            self.stop()
            raise LabError(f"{self.name} ended at once.\n{tail(self.log)}")

    def _is_ready_or_dead(self) -> bool:
        return not self.running or self.is_ready()

    def start(self) -> Self:
        self.launch()
        self.wait()
        return self

    def before_stop(self) -> None:
        """What is better done while the program still answers."""

    def ask_to_stop(self) -> None:
        """Begin to stop without waiting, so that several can go down side by side; `stop` has to follow."""
        if self._keeper is None or self._asked:
            return
        self._asked = True
        self.before_stop()
        assert self._keeper.stdin
        with contextlib.suppress(BrokenPipeError):  # it had ended by itself
            self._keeper.stdin.write(b"stop")
            self._keeper.stdin.flush()

    def stop(self) -> None:
        self.ask_to_stop()
        if self._keeper:
            self._keeper.communicate(timeout=30)
        self._keeper = None

    def restart(self) -> None:
        self.stop()
        self.start()

    @contextlib.contextmanager
    def down(self) -> Iterator[None]:
        self.stop()
        try:
            yield
        finally:
            self.start()

    def pause(self) -> None:
        """Freeze it and everything it started: connections open, and then nothing happens."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal_all(signal.SIGCONT)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        self.pause()
        try:
            yield
        finally:
            self.resume()

    def _signal_all(self, number: signal.Signals) -> None:
        daemon = psutil.Process(self.pid)
        for process in (daemon, *daemon.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def __enter__(self) -> Self:
        if not self.running:
            self.launch()
        self.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
