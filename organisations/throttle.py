"""How many requests a key may make, and how many wrong keys an address may try, in a minute.

Each web process counts for itself, in memory: nothing that may be away is asked, and several processes only let as
many times more through.
"""

import ipaddress
import math
import threading
import time

from django.conf import settings

from organisations.procedures import Code, Refusal

WINDOW_SECONDS = 60
REFUSED_PER_ADDRESS = 60
GUESSES = 10
MOST_COUNTED = 20_000


class Counter:
    """Counts events by name, a minute at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._window = 0
        self._counts: dict[str, int] = {}

    def add(self, name: str) -> int:
        """One more of this name in the present minute; how many that are by now."""
        with self._lock:
            window = int(time.time()) // WINDOW_SECONDS
            if window != self._window:
                self._window = window
                self._counts.clear()
            if name not in self._counts and len(self._counts) >= MOST_COUNTED:
                del self._counts[next(iter(self._counts))]  # the oldest: whoever comes from everywhere fills no memory
            self._counts[name] = self._counts.get(name, 0) + 1
            return self._counts[name]

    def clear(self) -> None:
        with self._lock:
            self._counts.clear()


_requests = Counter()
_refusals = Counter()
_guesses = Counter()


def check_refused(address: str) -> None:
    """Count a request whose key does not work; raise Refusal if too many came from its address.

    A key that works is not asked this: an old one in somebody's cron job shuts nobody out.
    """
    if _refusals.add(_neighbourhood(address)) > REFUSED_PER_ADDRESS:
        raise _too_many("Too many requests with wrong keys came from your address. Try again in a minute.")


def check_caller(name: str) -> None:
    """Count a call of a key, or of a person's session; raise Refusal if it makes too many."""
    limit = settings.DOKREG_API_REQUESTS_PER_MINUTE
    if _requests.add(name) > limit:
        raise _too_many(
            f"More than {limit} requests were made with this key in this minute. Try again in the next one."
        )


def check_guess(name: str) -> None:
    """Count a password that somebody has named and that is not the stored one; raise Refusal for too many."""
    if _guesses.add(name) > GUESSES:
        raise _too_many("Too many passwords that do not fit were sent. Try again in a minute.")


def forget() -> None:
    """Count from the beginning."""
    for counter in (_requests, _refusals, _guesses):
        counter.clear()


def _neighbourhood(address: str) -> str:
    """What one party may have any number of addresses in: of IPv6 a /64."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    return address if found.version == 4 else str(ipaddress.ip_network((found, 64), strict=False))


def _too_many(sentence: str) -> Refusal:
    left = WINDOW_SECONDS - time.time() % WINDOW_SECONDS
    return Refusal(Code.TOO_MANY_REQUESTS, sentence, retry_after=math.ceil(left))
