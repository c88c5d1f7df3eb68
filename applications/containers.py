"""An application's containers on a server, as the daemon knows them: by the labels that they were made with."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from applications import verdicts
from applications.container import APPLICATION_LABEL, DEPLOYMENT_LABEL
from servers.engine import Engine, EngineRefused, container_path
from servers.verdicts import Verdict

SHOWN_LINES = 60
SHOWN_BYTES = 16 * 1024
FIRST_LOOK_SECONDS = 0.05
LONGEST_LOOK_SECONDS = 0.5
MARGIN_SECONDS = 60  # beyond what a health check needs to give up by its own rules
LONGEST_HEALTH_SECONDS = 15 * 60


class NotUp(Exception):
    """A container did not come up; `words` are its last lines, unscrubbed."""

    def __init__(self, verdict: Verdict, *, words: str = "") -> None:
        super().__init__(verdict.cause)
        self.verdict, self.words = verdict, words


@dataclass(frozen=True, slots=True)
class Container:
    """One container of an application: what the daemon's list says of it."""

    id: str
    name: str
    deployment: str
    is_running: bool
    is_gone: bool  # Docker has half removed it, and starts it no more
    image: str


def of_application(daemon: Engine, application_id: str) -> list[Container]:
    """The newest first. Raises EngineRefused, EngineGone, as all of these do."""
    label = f"{APPLICATION_LABEL}={application_id}"
    rows = daemon.get("/containers/json", all=1, filters=json.dumps({"label": [label]}))
    return [_container(row) for row in rows]


def _container(row: dict[str, Any]) -> Container:
    labels = row.get("Labels") or {}
    names = row.get("Names") or [""]
    return Container(
        id=str(row["Id"]),
        name=str(names[0]).removeprefix("/"),
        deployment=str(labels.get(DEPLOYMENT_LABEL, "")),
        is_running=row.get("State") in {"running", "restarting", "paused"},
        is_gone=row.get("State") in {"dead", "removing"},
        image=str(row.get("ImageID", "")),
    )


def inspect(daemon: Engine, container: str) -> dict[str, Any] | None:
    """What the daemon knows of a container, by its id or name; None if there is none. Holds its environment."""
    try:
        answer: dict[str, Any] = daemon.get(container_path(container, "json"))
    except EngineRefused as error:
        if error.is_missing:
            return None
        raise
    return answer


def owner_of(found: dict[str, Any]) -> str:
    """The application that a container was made for; "" if dokreg did not make it."""
    return str(((found.get("Config") or {}).get("Labels") or {}).get(APPLICATION_LABEL, ""))


def create(daemon: Engine, *, name: str, body: dict[str, Any]) -> str:
    """The new container's id."""
    return str(daemon.post("/containers/create", body, name=name)["Id"])


def start(daemon: Engine, container: str) -> None:
    daemon.post(container_path(container, "start"))


def stop(daemon: Engine, container: str, *, seconds: int) -> None:
    """Ask it to end; after so many seconds it is killed. What is gone or stopped is no error."""
    _unless_missing(lambda: daemon.post(container_path(container, "stop"), t=seconds))


def remove(daemon: Engine, container: str) -> None:
    """With its anonymous volumes, whether it runs or not. What is gone is no error."""
    _unless_missing(lambda: daemon.delete(f"/containers/{container}", force=1, v=1))


def rename(daemon: Engine, container: str, name: str) -> None:
    daemon.post(container_path(container, "rename"), name=name)


def last_lines(daemon: Engine, container: str, *, lines: int = SHOWN_LINES) -> str:
    """What it wrote last; empty where its log cannot be read."""
    try:
        return daemon.logs(container, tail=lines, limit=SHOWN_BYTES).strip()
    except EngineRefused:
        return ""  # its logging driver keeps nothing that can be read back


def wait_until_up(daemon: Engine, container: str, *, settle_seconds: int, on_look: Callable[[str], None]) -> None:
    """Wait until a container has run for so many seconds, or is healthy if it has a health check.

    `on_look` is told a word for how it is, each time. Raises NotUp.
    """
    began = time.monotonic()
    pause = FIRST_LOOK_SECONDS
    while True:
        found = inspect(daemon, container)
        if found is None:
            raise NotUp(verdicts.exited(status="removed", code=0, restarts=0))
        health = _health(found)
        on_look(health or str(found["State"].get("Status", "")))
        _refuse_ended(daemon, container, found)
        elapsed = time.monotonic() - began
        if health == "healthy" or (not health and elapsed >= settle_seconds):
            return
        if health and elapsed > (limit := _health_seconds(found)):
            raise NotUp(verdicts.not_healthy_in_time(seconds=limit), words=last_lines(daemon, container))
        left = LONGEST_LOOK_SECONDS if health else settle_seconds - elapsed
        time.sleep(min(pause, max(left, FIRST_LOOK_SECONDS)))
        pause = min(pause * 1.5, LONGEST_LOOK_SECONDS)


def facts(found: dict[str, Any]) -> dict[str, Any]:
    """What a page shows of an inspected container; nothing of its environment."""
    state = found.get("State") or {}
    return {
        "name": str(found.get("Name", "")).removeprefix("/"),
        "status": str(state.get("Status", "")),
        "health": _health(found),
        "exit_code": state.get("ExitCode", 0),
        "started_at": str(state.get("StartedAt", "")),
        "finished_at": str(state.get("FinishedAt", "")),
        "restarts": found.get("RestartCount", 0),
        "image": str((found.get("Config") or {}).get("Image", "")),
        "deployment": str(((found.get("Config") or {}).get("Labels") or {}).get(DEPLOYMENT_LABEL, "")),
    }


def _refuse_ended(daemon: Engine, container: str, found: dict[str, Any]) -> None:
    state = found["State"]
    status, restarts = str(state.get("Status", "")), int(found.get("RestartCount", 0))
    if status not in {"running", "created"} or restarts:  # also where its health check fails, since it is not there
        verdict = verdicts.exited(status=status, code=int(state.get("ExitCode", 0)), restarts=restarts)
        words = last_lines(daemon, container) or str(state.get("Error", ""))
        raise NotUp(verdict, words=words)
    if _health(found) == "unhealthy":
        raise NotUp(verdicts.unhealthy(probe=_last_probe(state)), words=last_lines(daemon, container))


def _health(found: dict[str, Any]) -> str:
    health = str(((found.get("State") or {}).get("Health") or {}).get("Status", ""))
    return "" if health == "none" else health


def _last_probe(state: dict[str, Any]) -> str:
    log = (state.get("Health") or {}).get("Log") or []
    return str(log[-1].get("Output", "")).strip() if log else ""


def _health_seconds(found: dict[str, Any]) -> int:
    """How long its health check may take until it says yes or no, by its own numbers."""
    check = (found.get("Config") or {}).get("Healthcheck") or {}
    second = 1_000_000_000
    interval = (check.get("Interval") or 30 * second) + (check.get("Timeout") or 30 * second)
    needed = (check.get("StartPeriod") or 0) + interval * (check.get("Retries") or 3)
    return min(int(needed / second) + MARGIN_SECONDS, LONGEST_HEALTH_SECONDS)


def _unless_missing(act: Callable[[], object]) -> None:
    try:
        act()
    except EngineRefused as error:
        if not error.is_missing:
            raise
