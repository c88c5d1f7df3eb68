"""An image with Python, made of this machine's own files: it stands in for what cannot be pulled here.

What it holds is what any small image of Python holds: an interpreter with its library, the C libraries that it and
compiled packages load, a shell, the time zone that counts, and the authorities that TLS trusts. Those who build on it
find the packages to install in a folder of it, so that nothing is asked of an index.
"""

import re
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.lab.engine import Engine, add_link, add_text
from tests.lab.packages import find

PREFIX = Path(sys.base_prefix)
LIBRARY = f"lib/python{sys.version_info.major}.{sys.version_info.minor}"
LEFT_OUT = {"site-packages", "test", "tests", "idlelib", "tkinter", "turtledemo", "lib2to3", "__pycache__"}
# Compiled packages load these without bringing them along, as they may on every system that has the GNU C library.
C_LIBRARIES = {"libgcc_s.so.1", "libstdc++.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1", "libutil.so.1"}
C_LIBRARIES |= {"libresolv.so.2", "libnss_files.so.2", "libnss_dns.so.2"}
AUTHORITIES = "etc/ssl/certs/ca-certificates.crt"
UTC = "usr/share/zoneinfo/UTC"
PYTHON_AT = "usr/local"
WHEELS = "wheels"
PIP_SETTINGS = f"[global]\nno-index = true\nfind-links = /{WHEELS}\n"
SHELL_WORDS = ("sh", "chmod", "mkdir", "rm", "cat", "ls", "echo", "touch", "id", "find")


def make_base_image(engine: Engine, name: str, folder: Path, *, wheels: Path | None = None) -> None:
    """Import it into the engine under this name; with `wheels`, pip installs from those files and nowhere else."""
    archive = folder / "base.tar"
    with tarfile.open(archive, "w") as image:
        _add_python(image)
        add_files(image, _libraries())
        image.add(str(find("busybox")), "bin/busybox")
        for word in SHELL_WORDS:
            add_link(image, f"bin/{word}", "busybox")
        for file in (AUTHORITIES, UTC):
            image.add(Path("/", file).resolve(), file)
        add_text(image, "etc/passwd", "root:x:0:0::/root:/bin/sh\n")
        add_text(image, "etc/nsswitch.conf", "hosts: files dns\n")
        add_folder(image, "tmp", 0o1777)
        if wheels:
            image.add(wheels, WHEELS)
            add_text(image, "etc/pip.conf", PIP_SETTINGS)
    engine.docker("import", "--change", f"ENV PATH=/{PYTHON_AT}/bin:/bin", str(archive), name)
    archive.unlink()


def _add_python(image: tarfile.TarFile) -> None:
    program = Path(sys.executable).resolve()
    image.add(program, f"{PYTHON_AT}/bin/{program.name}")
    for name in ("python", "python3"):
        add_link(image, f"{PYTHON_AT}/bin/{name}", program.name)
    image.add(PREFIX / LIBRARY, f"{PYTHON_AT}/{LIBRARY}", filter=_wanted)
    add_folder(image, f"{PYTHON_AT}/{LIBRARY}/site-packages", 0o755)


def _wanted(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    entry.uid = entry.gid = 0
    return None if LEFT_OUT & set(Path(entry.name).parts) or entry.name.endswith(".a") else entry


def add_folder(image: tarfile.TarFile, name: str, mode: int, *, owner: int = 0) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = tarfile.DIRTYPE, mode
    entry.uid = entry.gid = owner
    image.addfile(entry)


def add_files(image: tarfile.TarFile, files: Iterable[Path]) -> None:
    """Files and folders of this machine, where they are here; the file itself in the place of a link to it."""
    for file in sorted(files):
        image.add(file.resolve(), str(file).lstrip("/"))


def _libraries() -> set[Path]:
    """What Python and its compiled modules load, and what compiled packages count on."""
    programs = [Path(sys.executable).resolve(), *(PREFIX / LIBRARY / "lib-dynload").glob("*.so")]
    found = set(loaded_by(programs))
    system = next(path.parent for path in found if path.name == "libc.so.6")
    return found | {system / name for name in C_LIBRARIES if (system / name).exists()}


def loaded_by(programs: Iterable[Path]) -> Iterator[Path]:
    """The C libraries that programs, or libraries, ask for."""
    answer = subprocess.run(["ldd", *map(str, programs)], capture_output=True, text=True, check=False).stdout
    for path in re.findall(r"(?:=> |\t)(/\S+) \(0x", answer):
        yield Path(path)
