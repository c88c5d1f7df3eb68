"""What of applications ends when a backup is restored."""

import datetime as dt

from applications.models import ContainerLook, Deployment
from servers import runs


def end(_taken_at: dt.datetime) -> None:
    """Deployments that wait are not wanted any more; those that ran may have left something on their server."""
    runs.lose_all(Deployment, begun={"to_tidy": True})
    runs.lose_all(ContainerLook)
