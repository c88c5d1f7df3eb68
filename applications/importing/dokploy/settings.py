"""An application's settings in Dokploy, in the words of dokreg's form; and what has no counterpart there.

Dokploy runs services of a Docker swarm, dokreg containers. Times of a swarm are nanoseconds, memory is in bytes, and a
CPU has a thousand million parts.
"""

import math
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_UP, Decimal
from typing import Any

from django.core.exceptions import ValidationError

from applications.importing.dokploy.records import Application, Row
from applications.models import validate_container_name

_SECOND = 1_000_000_000
_MEBIBYTE = 1024 * 1024
_LEAST_CPUS = Decimal("0.01")
_LONGEST_STOP = 300
_MOST_NAMED = 5
_LONGEST_DESCRIPTION = 300
# Where everything of Dokploy finds each other, Traefik included; every server that it has set up has it.
NETWORK = "dokploy-network"
_NETWORK_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}")
_RESTARTS = {"none": "no", "on-failure": "on-failure", "any": "always"}
# What dokreg has no counterpart of, in words.
_WITHOUT_A_PLACE = {
    "placementSwarm": "placement",
    "rollbackConfigSwarm": "rollback",
    "labelsSwarm": "labels",
    "ulimitsSwarm": "ulimits",
    "memoryReservation": "memory reservation",
    "cpuReservation": "CPU reservation",
}


@dataclass(slots=True)
class Settings:
    """Fields of ApplicationForm; and a sentence on everything that is not as it was."""

    fields: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def settings_of(application: Application) -> Settings:
    """Everything but the image, the server, the registry and the environment."""
    found, row = Settings(), application.settings
    if row.get("description"):
        found.fields["description"] = str(row["description"])[:_LONGEST_DESCRIPTION]
    _take_name(found, application)
    _take_ports(found, application)
    _take_mounts(found, application)
    _take_command(found, row)
    _take_network(found, row)
    _take_limits(found, row)
    _take_health_check(found, _object(row, "healthCheckSwarm"))
    _take_restart_policy(found, _object(row, "restartPolicySwarm"))
    _take_order(found, _object(row, "updateConfigSwarm"))
    _note_swarm(found, row)
    _note_traefik(found, application)
    return found


def _take_name(found: Settings, application: Application) -> None:
    """Under this name others find it."""
    try:
        validate_container_name(application.app_name)
    except ValidationError:
        found.notes.append(f"Its container gets another name than {application.app_name}, which Docker would not take.")
    else:
        found.fields["container_name"] = application.app_name


def _take_ports(found: Settings, application: Application) -> None:
    """Those of the service's own specification go before the others, as in Dokploy."""
    spec = _object(application.settings, "endpointSpecSwarm")
    own = spec.get("Ports")
    ports = [
        f"{port.get('PublishedPort')}:{port.get('TargetPort')}/{port.get('Protocol') or 'tcp'}"
        for port in (own if isinstance(own, list) else [])
        if isinstance(port, dict)
    ]
    if not spec:
        ports = [
            f"{port.get('publishedPort')}:{port.get('targetPort')}/{port.get('protocol')}" for port in application.ports
        ]
    found.fields["ports"] = "\n".join(sorted(ports))


def _take_mounts(found: Settings, application: Application) -> None:
    volumes = []
    for mount in sorted(application.mounts, key=lambda mount: str(mount.get("mountPath"))):
        place = mount.get("mountPath")
        if mount.get("type") in {"bind", "volume"}:
            volumes.append(f"{mount.get('hostPath' if mount.get('type') == 'bind' else 'volumeName') or ''}:{place}")
        else:
            kept = f"/etc/dokploy/applications/{application.app_name}/files/{mount.get('filePath') or ''}"
            found.notes.append(
                f"The file at {place} is left out: dokreg mounts volumes and folders. Dokploy keeps it on the server "
                f"as {kept}; put it elsewhere, and add it to the volumes."
            )
    found.fields["volumes"] = "\n".join(volumes)


def _take_command(found: Settings, row: Row) -> None:
    """Dokploy splits the command at single spaces, and runs it in the place of the image's entrypoint."""
    command, arguments = row.get("command"), row.get("args")
    words = command.split(" ") if isinstance(command, str) and command else []
    if words:
        found.notes.append(
            "Its command stands in the place of the image's entrypoint in Dokploy, and of its command in dokreg: it "
            "comes after an entrypoint, if the image has one."
        )
    words += [str(word) for word in arguments] if isinstance(arguments, list) else []
    found.fields["command"] = shlex.join(words)


def _take_network(found: Settings, row: Row) -> None:
    """Only one: it stays where it was, so that what it talks to finds it under its name."""
    targets = [part.get("Target") for part in row.get("networkSwarm") or [] if isinstance(part, dict)]
    if not targets:
        targets = [] if row.get("detachDokployNetwork") else [NETWORK]
    names = [name for name in targets if isinstance(name, str) and _NETWORK_NAME.fullmatch(name)]
    found.fields["network"] = names[0] if names else "bridge"
    if not names:
        found.notes.append("It is in no network of Dokploy's: in dokreg it is in Docker's own, bridge.")
    more = len(targets) - len(names[:1]) + len(row.get("networkIds") or [])
    if more:
        found.notes.append(
            f"{_counted(more, 'further network is', 'further networks are')} left out: a container has one."
        )


def _take_limits(found: Settings, row: Row) -> None:
    if memory := _whole(row.get("memoryLimit")):
        found.fields["memory_mb"] = str(math.ceil(memory / _MEBIBYTE))
    if cpus := _whole(row.get("cpuLimit")):
        limit = (Decimal(cpus) / _SECOND).quantize(_LEAST_CPUS, rounding=ROUND_UP)
        found.fields["cpus"] = str(max(limit, _LEAST_CPUS))
    grace = row.get("stopGracePeriodSwarm")
    if grace is None:
        return
    seconds = math.ceil((_whole(grace) or 0) / _SECOND)
    found.fields["stop_seconds"] = str(min(seconds, _LONGEST_STOP))
    if seconds > _LONGEST_STOP:
        found.notes.append(f"It has {_LONGEST_STOP} s to stop instead of {seconds} s.")


def _take_health_check(found: Settings, check: Mapping[str, Any]) -> None:
    if not check:
        return
    test = check.get("Test")
    words = [str(word) for word in test] if isinstance(test, list) else []
    match words[:1]:
        case ["CMD-SHELL"]:
            found.fields["health_command"] = " ".join(words[1:])
        case ["CMD"]:
            found.fields["health_command"] = shlex.join(words[1:])
        case ["NONE"]:
            found.notes.append("The image's own health check is not switched off: dokreg cannot.")
    for name, field_name in (
        ("Interval", "health_interval_seconds"),
        ("Timeout", "health_timeout_seconds"),
        ("StartPeriod", "health_start_seconds"),
    ):
        if time := _whole(check.get(name)):
            found.fields[field_name] = str(math.ceil(time / _SECOND))
    if retries := _whole(check.get("Retries")):
        found.fields["health_retries"] = str(retries)


def _take_restart_policy(found: Settings, policy: Mapping[str, Any]) -> None:
    if restart := _RESTARTS.get(str(policy.get("Condition"))):
        found.fields["restart_policy"] = restart
    if any(policy.get(name) is not None for name in ("Delay", "MaxAttempts", "Window")):
        found.notes.append("How often and how late it is restarted is left to Docker: that is of the swarm.")


def _take_order(found: Settings, update: Mapping[str, Any]) -> None:
    if update.get("Order") == "stop-first":
        found.fields["order"] = "stop_first"
    elif update.get("Order") == "start-first" and not found.fields["ports"]:
        found.fields["order"] = "start_first"
    if set(update) - {"Order", "Parallelism"}:
        found.notes.append("How it is updated, but for the order, is left out: that is of the swarm.")


def _note_swarm(found: Settings, row: Row) -> None:
    replicas = row.get("replicas")
    if isinstance(replicas, int) and replicas != 1:
        found.notes.append(
            f"It has {_counted(replicas, 'replica', 'replicas')} in Dokploy, and one container in dokreg."
        )
    mode = _object(row, "modeSwarm")
    if mode:
        found.notes.append(f"The mode {', '.join(sorted(mode))} is of the swarm: in dokreg it is one container.")
    left_out = [words for name, words in _WITHOUT_A_PLACE.items() if row.get(name)]
    if left_out:
        found.notes.append(f"These are left out, since dokreg has no place for them: {', '.join(left_out)}.")


def _note_traefik(found: Settings, application: Application) -> None:
    hosts = sorted(set(application.domains))
    if hosts:
        shown = ", ".join(hosts[:_MOST_NAMED]) + (", …" if len(hosts) > _MOST_NAMED else "")
        found.notes.append(
            f"{_counted(len(hosts), 'domain is', 'domains are')} left out ({shown}): dokreg has no reverse proxy. Keep "
            "Dokploy's Traefik in front of it, or set up another."
        )
    for number, one, many in (
        (application.redirects, "redirect is", "redirects are"),
        (application.logins, "login of its pages is", "logins of its pages are"),
    ):
        if number:
            found.notes.append(f"{_counted(number, one, many)} left out: that is Traefik's.")


def _object(row: Row, name: str) -> Mapping[str, Any]:
    value = row.get(name)
    return value if isinstance(value, dict) else {}


def _whole(value: object) -> int | None:
    """A whole number, also at the beginning of a text, as JavaScript reads one; None for nothing, or 0."""
    match = re.match(r"\s*(\d{1,18})", str(value)) if isinstance(value, str | int | float) else None
    return int(match[1]) or None if match else None


def _counted(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
