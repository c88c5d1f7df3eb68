"""What the daemon is asked for: an application's settings in the words of the Docker Engine API."""

from typing import Any

from applications.container_settings import ports_of, read_environment, volumes_of
from applications.models import Application, Deployment
from servers.ladder import RECOGNISED_IN_SENTENCES

APPLICATION_LABEL = "dokreg.application"
DEPLOYMENT_LABEL = "dokreg.deployment"
REFERENCE_LABEL = "dokreg.reference"
# Networks that Docker makes itself: in them a container has no name to be found by.
BUILT_IN_NETWORKS = frozenset({"bridge", "default", "host", "none"})
_SECOND = 1_000_000_000  # the API counts in nanoseconds
_MEBIBYTE = 1024 * 1024


def environment_of(application: Application) -> dict[str, str]:
    """Name → value, opened. Raises SecretUnreadable."""
    return read_environment(application.environment.reveal()) if application.environment is not None else {}


def recognisable(environment: dict[str, str]) -> list[str]:
    """The values that can be told from ordinary words, to be taken out of what is said."""
    return [value for value in environment.values() if len(value.strip()) >= RECOGNISED_IN_SENTENCES]


def starts_beside(application: Application) -> bool:
    """Whether a new container can run while the old one still does.

    Not if both want the same ports, or write to the same volume: hardly a database bears that.
    """
    if application.order == Application.Order.AUTO:
        wants_ports = bool(application.ports) or application.network == "host"
        return not wants_ports and all(volume.read_only for volume in volumes_of(application.volumes))
    return application.order == Application.Order.START_FIRST


def temporary_name(deployment: Deployment) -> str:
    """What a new container is called until it takes over."""
    return f"{deployment.container_name}.{deployment.pk[:8]}"


def creation(
    application: Application, deployment: Deployment, *, image: str, environment: dict[str, str]
) -> dict[str, Any]:
    """The body of `POST /containers/create`."""
    ports = ports_of(application.ports) if application.network != "host" else []
    body: dict[str, Any] = {
        "Image": image,
        "Env": [f"{name}={value}" for name, value in environment.items()],
        "Labels": {
            APPLICATION_LABEL: application.pk,
            DEPLOYMENT_LABEL: deployment.pk,
            REFERENCE_LABEL: deployment.reference,
        },
        "ExposedPorts": {f"{port.container_port}/{port.protocol}": {} for port in ports},
        "StopTimeout": application.stop_seconds,
        "HostConfig": _host_config(application, ports),
    }
    if application.command:
        body["Cmd"] = application.command
    if application.health_command:
        body["Healthcheck"] = _health_check(application)
    if application.network not in BUILT_IN_NETWORKS:
        # Its own name is found there once it takes over; this one at once.
        endpoint = {"Aliases": [deployment.container_name]}
        body["NetworkingConfig"] = {"EndpointsConfig": {application.network: endpoint}}
    return body


def _host_config(application: Application, ports: list[Any]) -> dict[str, Any]:
    bindings: dict[str, list[dict[str, str]]] = {}
    for port in ports:
        place = {"HostIp": port.host_ip, "HostPort": str(port.host_port)}
        bindings.setdefault(f"{port.container_port}/{port.protocol}", []).append(place)
    config: dict[str, Any] = {
        "NetworkMode": application.network,
        "PortBindings": bindings,
        "RestartPolicy": {"Name": application.restart_policy},
        "Mounts": [_mount(volume) for volume in volumes_of(application.volumes)],
    }
    if application.memory_mb:
        config["Memory"] = application.memory_mb * _MEBIBYTE
    if application.cpus:
        config["NanoCpus"] = int(application.cpus * _SECOND)
    return config


def _mount(volume: Any) -> dict[str, Any]:
    mount = {
        "Type": "bind" if volume.is_folder else "volume",
        "Source": volume.source,
        "Target": volume.target,
        "ReadOnly": volume.read_only,
    }
    if volume.is_folder:
        mount["BindOptions"] = {"CreateMountpoint": True}  # as `docker run -v` does
    return mount


def _health_check(application: Application) -> dict[str, Any]:
    return {
        "Test": ["CMD-SHELL", application.health_command],
        "Interval": application.health_interval_seconds * _SECOND,
        "Timeout": application.health_timeout_seconds * _SECOND,
        "Retries": application.health_retries,
        "StartPeriod": application.health_start_seconds * _SECOND,
    }
