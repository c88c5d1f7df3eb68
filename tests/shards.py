"""Runs the tests as several processes side by side: most of them wait for real programs more than for the processor.

Each has a machine of its own as far as the lab can tell: processes that no other sees, a network with nothing but its
loopback, and its own /tmp, /var/tmp, /dev/shm and /etc/hosts. So tests that look for what was left behind see what
their own process left. Where that cannot be had (it needs root), they run in one process. Arguments are handed on to
pytest.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Folders whose tests run in one process, so that each takes about as long; what is named nowhere runs in the last.
GROUPS = (("browser", "dokreg"), ("clients", "faults"), ("api", "applications", "servers"))
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


def main(arguments: list[str]) -> int:
    """The exit status for all of them: the first that is not 0."""
    if not _can_have_namespaces():
        sys.stdout.write("Test processes side by side need root and namespaces; this is one.\n")
        return subprocess.run(_pytest(arguments), cwd=ROOT).returncode
    folder = Path(tempfile.mkdtemp(prefix="dokreg-tests-", dir="/var/tmp"))
    try:
        return _run_all(folder, arguments)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def groups() -> list[list[str]]:
    """The folders of each process; every folder with tests is in one of them."""
    found = sorted({path.relative_to(ROOT).parts[1] for path in ROOT.glob("tests/*/test_*.py")})
    alone = sorted(path.name for path in ROOT.glob("tests/test_*.py"))
    named = [[name for name in found if name in group] for group in GROUPS]
    rest = [name for name in found if not any(name in group for group in GROUPS)]
    return [_paths(names) for names in (*named, rest + alone)]


def _paths(names: list[str]) -> list[str]:
    return [f"tests/{name}" for name in names]


def _run_all(folder: Path, arguments: list[str]) -> int:
    started = []
    for number, paths in enumerate(groups()):
        own, log = folder / str(number), folder / f"log-{number}"
        own.mkdir(mode=0o755)
        command = [*NAMESPACES, "sh", "-c", ENTER, "sh", str(own), *_pytest([*arguments, *paths])]
        # The first is watched as it runs, the others are shown when they are done.
        output = None if number == 0 else log.open("wb")
        started.append((subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT), log))
    statuses = []
    for number, (process, log) in enumerate(started):
        statuses.append(process.wait())
        if number:
            sys.stdout.write(log.read_text(errors="replace"))
        sys.stdout.flush()
    return next((status for status in statuses if status), 0)


def _pytest(arguments: list[str]) -> list[str]:
    return [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--durations=12", *arguments]


def _can_have_namespaces() -> bool:
    if os.geteuid() != 0 or not (shutil.which("unshare") and shutil.which("ip")):
        return False
    return subprocess.run([*NAMESPACES, "true"], capture_output=True).returncode == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
