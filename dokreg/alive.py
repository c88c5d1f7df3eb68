"""`python -m dokreg.alive web|worker|beat`: whether that process lives beside this one; exit status 0 or 1.

For health checks, which run all the time on every machine: so this imports no Django, and asks neither the database nor
the broker. The web process is asked over HTTP; a worker and beat leave a sign of life in a file.
"""

import json
import os
import socket
import sys
import time
from pathlib import Path

from dokreg.places import bind, data_folder, run_folder

SILENT_SECONDS = 45  # four signs of life missed
ANSWER_SECONDS = 5
HEARTS = ("worker", "beat")
LONGEST_ANSWER = 64 * 1024


def leave_sign(name: str, folder: Path) -> None:
    """Note in the run folder that the process lives. Raises OSError, also if the folder is somebody else's."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.lstat().st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to another user")
    descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        os.utime(descriptor)
    finally:
        os.close(descriptor)


def problem(name: str) -> str:
    """What is wrong with the process of this name; empty if it lives."""
    if name == "web":
        return _problem_of_web()
    if name in HEARTS:
        return _problem_of_heart(name)
    return f"python -m dokreg.alive takes one of these: web, {', '.join(HEARTS)}."


def _problem_of_heart(name: str) -> str:
    try:
        age = time.time() - (run_folder(data_folder()) / name).stat().st_mtime
    except OSError as error:
        return f"The {name} has given no sign of life yet: {error.strerror}."
    return f"The {name} has given no sign of life for {age:.0f} s." if age > SILENT_SECONDS else ""


def _problem_of_web() -> str:
    """Whether pages can be had: it answers, and has its database. Who else is away is not its own ill health."""
    try:
        database = json.loads(_ask("/healthz?only=database"))["checks"]["database"]
    except OSError as error:
        return f"The web server does not answer: {error.strerror or error}."
    except (ValueError, KeyError, TypeError):
        return "The web server answers something else than its health."
    return "" if database == "ok" else f"The web server has no database: {database}"


def _ask(path: str) -> bytes:
    """The body of the answer. By hand, since http.client takes longer to import than the question to answer."""
    host, _, port = bind().rpartition(":")
    host = {"0.0.0.0": "127.0.0.1", "[::]": "::1"}.get(host, host.strip("[]"))  # noqa: S104 - compared, not bound
    with socket.create_connection((host, int(port)), timeout=ANSWER_SECONDS) as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n".encode())
        answer = b""
        while (piece := connection.recv(4096)) and len(answer) < LONGEST_ANSWER:
            answer += piece
    return answer.partition(b"\r\n\r\n")[2]


def main(arguments: list[str]) -> int:
    """The exit status that a health check wants."""
    found = problem(" ".join(arguments))
    if found:
        print(found)  # noqa: T201 - Docker keeps it for `docker inspect`
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
