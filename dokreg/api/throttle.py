"""How many requests a key may make, and how many wrong keys an address may try, in a minute.

Each web process counts for itself, in memory: nothing that may be away is asked, and several processes only let as
many times more through.
"""

import math
import threading
import time

from django.conf import settings

from organisations.procedures import Code, Refusal

WINDOW_SECONDS = 60
REFUSED_PER_ADDRESS = 60
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
            self._begin_anew_with_the_minute()
            if name not in self._counts and len(self._counts) >= MOST_COUNTED:
                return 1  # whoever comes from that many addresses is not to fill the memory
            self._counts[name] = self._counts.get(name, 0) + 1
            return self._counts[name]

    def count(self, name: str) -> int:
        with self._lock:
            self._begin_anew_with_the_minute()
            return self._counts.get(name, 0)

    def clear(self) -> None:
        with self._lock:
            self._counts.clear()

    def _begin_anew_with_the_minute(self) -> None:
        window = int(time.time()) // WINDOW_SECONDS
        if window != self._window:
            self._window = window
            self._counts.clear()


_requests = Counter()
_refusals = Counter()


def check_address(address: str) -> None:
    """Raise Refusal if too many wrong keys came from an address just now."""
    if _refusals.count(address) >= REFUSED_PER_ADDRESS:
        raise _too_many("Too many requests with wrong keys came from your address. Try again in a minute.")


def note_refused(address: str) -> None:
    """Count a request without a key that works."""
    _refusals.add(address)


def check_key(key_id: str) -> None:
    """Count a request of a key; raise Refusal if it makes too many."""
    limit = settings.DOKREG_API_REQUESTS_PER_MINUTE
    if _requests.add(key_id) > limit:
        raise _too_many(f"This API key has made more than {limit} requests in this minute. Try again in the next one.")


def forget() -> None:
    """Count from the beginning."""
    _requests.clear()
    _refusals.clear()


def _too_many(sentence: str) -> Refusal:
    left = WINDOW_SECONDS - time.time() % WINDOW_SECONDS
    return Refusal(Code.TOO_MANY_REQUESTS, sentence, retry_after=math.ceil(left))
