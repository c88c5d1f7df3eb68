"""Runs the tests on both databases, as several processes side by side: most wait more than they compute.

Once with what the embedded default has, SQLite and a private broker; and once beside a PostgreSQL and a Redis, but for
what is marked `once` and what needs no database. Each process has a machine of its own as far as the lab can tell:
processes that no other sees, a network with nothing but its loopback, and its own /tmp, /var/tmp, /dev/shm and
/etc/hosts. So tests that look for what was left behind see what their own process left. Where that cannot be had (it
needs root), they run one after the other. Arguments are handed on to pytest.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from tests import prepared

ROOT = Path(__file__).resolve().parents[1]
REST = ("…",)  # what is named nowhere
# Folders whose tests run in one process, the longest first, so that all cores have work up to the end.
GROUPS = (
    ("faults",),
    ("dokreg",),
    ("clients", "servers", "deploy", "image"),
    REST,
    ("api", "applications"),
    ("browser",),
)
AT_ONCE = (os.cpu_count() or 1) + 1  # while one waits; with more, all are late, and what has a deadline misses it
BACKENDS: dict[str, list[str]] = {  # first the one that runs every test
    "SQLite": [],
    "PostgreSQL and Redis": [sys.executable, "-m", "tests.beside"],
}
NAMESPACES = [
    "unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private",
]  # fmt: skip
# In the new namespaces: $1 is a folder of this process's own, the words after it are the command.
ENTER = """
set -e
ip link set lo up
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
cp /etc/hosts "$1/hosts"; mount --bind "$1/hosts" /etc/hosts
mkdir -m 1777 "$1/tmp" "$1/var-tmp"
mount --bind "$1/tmp" /tmp
mount --bind "$1/var-tmp" /var/tmp  # the last, since $1 lies in there
shift
"$@"  # not by exec: this shell is the first process here, and buries what nobody else waits for
"""


@dataclass(frozen=True, slots=True)
class Job:
    """The tests of some folders on one of the databases."""

    backend: str
    paths: tuple[str, ...]

    def command(self, arguments: list[str]) -> list[str]:
        pytest = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--durations=8", *arguments]
        return [*BACKENDS[self.backend], *pytest, *self.paths]

    def __str__(self) -> str:
        return f"{self.backend}: {' '.join(self.paths)}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended: its exit status, and what it printed."""

    job: Job
    status: int
    text: str

    @property
    def failures(self) -> str:
        """The line of each test that failed, to be read last: the logs of all jobs are long."""
        if not self.status:
            return ""
        lines = [line for line in self.text.splitlines() if line.startswith(("FAILED ", "ERROR "))]
        return "\n".join([f"Failed with {self.job} (exit status {self.status}):", *lines, ""])


def main(arguments: list[str]) -> int:
    """The exit status for all of them: the worst."""
    folder = Path(tempfile.mkdtemp(prefix="dokreg-tests-", dir="/var/tmp"))
    ready = ROOT / ".venv" / "prepared"  # a place that every process sees
    try:
        shutil.rmtree(ready, ignore_errors=True)
        prepared.prepare(ready)
        os.environ[prepared.FOLDER] = str(ready)
        at_once = AT_ONCE if _can_have_namespaces() else 1
        if at_once == 1:
            sys.stdout.write("Test processes side by side need root and namespaces; here they run in turn.\n")
        with ThreadPoolExecutor(at_once) as pool:
            runs = [pool.submit(_run, job, folder / str(number), arguments) for number, job in enumerate(_jobs())]
            outcomes = [run.result() for run in as_completed(runs)]
        sys.stdout.write("".join(outcome.failures for outcome in outcomes))
        return max(outcome.status for outcome in outcomes)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(ready, ignore_errors=True)


def _jobs() -> Iterator[Job]:
    for backend in BACKENDS:
        for paths in groups():
            yield Job(backend, tuple(paths))


def groups() -> list[list[str]]:
    """The folders of each process; every folder with tests is in one of them."""
    found = sorted({path.relative_to(ROOT).parts[1] for path in ROOT.glob("tests/*/test_*.py")})
    alone = sorted(path.name for path in ROOT.glob("tests/test_*.py"))
    rest = [name for name in found if not any(name in group for group in GROUPS)] + alone
    return [_paths(rest if group == REST else [name for name in found if name in group]) for group in GROUPS]


def _paths(names: list[str]) -> list[str]:
    return [f"tests/{name}" for name in names]


def _run(job: Job, own: Path, arguments: list[str]) -> Outcome:
    own.mkdir(mode=0o755)
    log = own / "log"
    command = job.command(arguments)
    if _can_have_namespaces():
        command = [*NAMESPACES, "sh", "-c", ENTER, "sh", str(own), *command]
    began = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    took, busy = time.monotonic() - began, used.ru_utime + used.ru_stime
    text = log.read_text(errors="replace")
    sys.stdout.write(f"{text}\n=== {job}: {took:.0f} s, of which the processor {busy:.0f} s ===\n")
    sys.stdout.flush()
    return Outcome(job, abs(process.returncode), text)


def _can_have_namespaces() -> bool:
    if os.geteuid() != 0 or not (shutil.which("unshare") and shutil.which("ip")):
        return False
    return subprocess.run([*NAMESPACES, "true"], capture_output=True).returncode == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
