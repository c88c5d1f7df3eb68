"""What of servers ends when a backup is restored."""

import datetime as dt

from servers import runs
from servers.models import ConfigTurn, ServerTest


def end(_taken_at: dt.datetime) -> None:
    """Tests under way, and turns that a worker of before has."""
    runs.lose_all(ServerTest)
    ConfigTurn.objects.update(claim="", worker="", lease_until=None, sent_at=None)
