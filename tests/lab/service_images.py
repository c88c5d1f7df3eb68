"""Images of PostgreSQL and Redis, made of this machine's own files: they stand in for those that cannot be pulled here.

Each is as its official image is documented, as far as compose.yaml counts on it: the programs, a user with a number of
its own, the folder of the data, which is that user's. PostgreSQL's makes the database of an empty folder by a script.
"""

import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lab.base_image import add_files, add_folder, loaded_by
from tests.lab.daemons import LabError
from tests.lab.engine import Engine, add_link, add_text
from tests.lab.packages import VERSIONED, find

USER_NUMBER = 999
PROGRAMS = "usr/bin"
SHELL_PROGRAMS = ("sh", "cat", "grep", "id", "touch")
POSTGRES_PROGRAMS = ("initdb", "postgres", "pg_ctl", "pg_isready", "createdb")
POSTGRES_FILES = Path("/usr/share/postgresql")
POSTGRES_DATA = "var/lib/postgresql/data"
POSTGRES_SCRIPT = Path(__file__).with_name("postgres-entrypoint.sh")
JUST_IN_TIME = "llvmjit"  # compiles long queries, with libraries that are ten times the server
LOCALE = Path("/usr/lib/locale/C.utf8")
TIME_ZONE = Path("/usr/share/zoneinfo/UTC")


def make_redis_image(engine: Engine, name: str) -> None:
    programs = map(_found, ("redis-server", "redis-cli"))
    with _image(engine, name, programs, "WORKDIR /data") as root:
        _add_user(root, "redis", home="data")


def make_postgres_image(engine: Engine, name: str) -> None:
    folder = _found("postgres").parent
    version = folder.parent
    if version.parent != VERSIONED:
        raise LabError(f"PostgreSQL is not Debian's: {version}")
    modules = {path for path in (version / "lib").glob("*.so") if JUST_IN_TIME not in path.name}
    settings = (
        f"ENV PATH={folder}:/{PROGRAMS} PGDATA=/{POSTGRES_DATA} LANG=C.UTF-8",
        'ENTRYPOINT ["docker-entrypoint"]',
        'CMD ["postgres"]',
        "STOPSIGNAL SIGINT",
    )
    with _image(engine, name, {folder / program for program in POSTGRES_PROGRAMS} | modules, *settings) as root:
        add_files(root, [POSTGRES_FILES / version.name, LOCALE, TIME_ZONE])
        root.add(POSTGRES_SCRIPT, f"{PROGRAMS}/docker-entrypoint", filter=_runnable)
        _add_user(root, "postgres", home=POSTGRES_DATA)


@contextmanager
def _image(engine: Engine, name: str, files: Iterable[Path], *settings: str) -> Iterator[tarfile.TarFile]:
    """The image of that name, from programs with what they load, and from what is added to its root."""
    found = {*files, *map(_found, SHELL_PROGRAMS)}
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(Path(folder, "root.tar"), "w") as root:
            add_link(root, "bin", PROGRAMS)
            add_files(root, found | set(loaded_by(found)))
            add_folder(root, "tmp", 0o1777)
            yield root
        Path(folder, "Dockerfile").write_text("\n".join(["FROM scratch", "ADD root.tar /", *settings, ""]))
        engine.build(name, Path(folder))


def _found(program: str) -> Path:
    path = find(program)
    if path is None:
        raise LabError(f"{program} is not installed.")
    return Path("/", PROGRAMS, path.name) if path.parent == Path("/bin") else path  # one folder by two names


def _add_user(root: tarfile.TarFile, name: str, *, home: str) -> None:
    add_text(root, "etc/passwd", f"{name}:x:{USER_NUMBER}:{USER_NUMBER}::/{home}:/bin/sh\n")
    add_text(root, "etc/group", f"{name}:x:{USER_NUMBER}:\n")
    add_folder(root, home, 0o700, owner=USER_NUMBER)


def _runnable(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.mode = 0o755
    return entry
