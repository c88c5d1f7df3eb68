"""Sees to it that the real programs which the tests run are installed: `python -m tests.lab.packages`."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

PROGRAMS = {
    "busybox-static": ["busybox"],
    "chromium-headless-shell": ["chromium-headless-shell"],
    "curl": ["curl"],
    "docker-compose": ["docker-compose"],
    "docker-registry": ["docker-registry"],
    "docker.io": ["dockerd", "containerd", "docker"],
    "nodejs": ["node"],
    "npm": ["npm"],
    "openssh-client": ["ssh", "ssh-keygen"],
    "openssh-server": ["sshd"],
    "postgresql": ["initdb", "postgres"],
    "procps": ["ps"],
    "redis-server": ["redis-server"],
    "systemd": ["systemd-analyze"],
}
SEARCH_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
APT_TIMEOUT = 900
# Debian keeps the programs of each version of a PostgreSQL server apart, and puts them on no PATH.
VERSIONED = Path("/usr/lib/postgresql")


def missing_packages() -> list[str]:
    return [package for package, programs in PROGRAMS.items() if not all(map(is_usable, programs))]


def is_usable(program: str) -> bool:
    path = find(program)
    return path is not None and (program != "busybox" or is_static(path))


def find(program: str) -> Path | None:
    versions = map(str, sorted(VERSIONED.glob("*/bin"), reverse=True))
    path = shutil.which(program, path=os.pathsep.join([*versions, SEARCH_PATH]))
    return Path(path) if path else None


def is_static(path: Path) -> bool:
    """Whether it runs in an image that holds nothing else: a dynamic program names its loader at the top."""
    with path.open("rb") as program:
        return b"/ld-" not in program.read(4096)


def privilege() -> list[str] | None:
    if os.geteuid() == 0:
        return []
    sudo = shutil.which("sudo")
    may = sudo and subprocess.run([sudo, "-n", "true"], capture_output=True).returncode == 0
    return [str(sudo), "-n"] if may else None


def install(packages: list[str], prefix: list[str]) -> None:
    apt = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet", "--yes"]
    subprocess.run([*apt, "update"], timeout=APT_TIMEOUT)  # a list that is old may still do: install decides
    subprocess.run([*apt, "install", "--no-install-recommends", *packages], timeout=APT_TIMEOUT)


def main() -> int:
    missing = missing_packages()
    if not missing:
        return 0
    prefix = privilege()
    if prefix is not None and shutil.which("apt-get"):
        install(missing, prefix)
        missing = missing_packages()
    if missing:
        sys.stderr.write(f"The tests need these Debian packages, which are missing: {' '.join(missing)}\n")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
