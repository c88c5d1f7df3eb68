"""HTTP to a cloud: one deadline for everything, a bounded answer, no redirect followed.

The talking is done by an event loop in a thread of its own, one per process. Only there does a deadline hold for a
name that does not resolve, a handshake that stalls and an answer that comes drop by drop as well: time limits of
single reads start anew with every drop.
"""

import asyncio
import concurrent.futures
import functools
import os
import socket
import ssl
import sys
import threading
from collections.abc import Iterator, Mapping
from urllib.parse import urlencode

import httpx

from registries.kinds.minting import Answer, Deadline, TooLate, Unreachable, Unreadable

ANSWER_LIMIT = 256 * 1024
CONNECT_SECONDS = 5.0
# For handing the answer over from the loop's thread.
_GRACE = 1.0
_lock = threading.Lock()
# httpcore asks several times per request whether its loop is asyncio's. By a package that need not be there, and to
# find that out it searches the disk each time: a tenth of what a token costs. So it is told that it is not there.
sys.modules.setdefault("sniffio", None)  # type: ignore[arg-type]  # what the import system documents for this


def post(url: str, form: Mapping[str, str], *, deadline: Deadline) -> Answer:
    """Send a form. Raises TooLate, Unreachable, Unreadable."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return ask("POST", url, headers=headers, body=urlencode(form).encode(), deadline=deadline)


def ask(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    deadline: Deadline,
    body: bytes = b"",
    through_proxy: bool = True,
) -> Answer:
    """Send one request. Raises TooLate, Unreachable, Unreadable.

    The proxy is the one that the environment names, as for other programs.
    """
    talker = _talker()
    sent = {**headers, "Accept-Encoding": "identity"}
    request = talker.exchange(method, url, headers=sent, body=body, within=deadline.left, through_proxy=through_proxy)
    asked = asyncio.run_coroutine_threadsafe(request, talker.loop)
    try:
        return asked.result(timeout=deadline.left + _GRACE)
    except (TimeoutError, concurrent.futures.CancelledError):
        asked.cancel()
        raise TooLate from None
    except httpx.TimeoutException:
        raise TooLate from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        reason = _reason(error)
    except (ImportError, OSError, ValueError):  # from making the client: HTTPS_PROXY, SSL_CERT_FILE
        reason = "the proxy or the certificates that dokreg's environment names cannot be used"
    raise Unreachable(reason)


class _Talker:
    """The loop with its connections, which are kept and used again."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, name="talk", daemon=True).start()
        self._clients: dict[bool, httpx.AsyncClient] = {}

    async def exchange(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes, within: float, through_proxy: bool
    ) -> Answer:
        async with asyncio.timeout(within):
            client = self._client(through_proxy=through_proxy)
            async with client.stream(method, url, headers=headers, content=body) as response:
                return Answer(response.status_code, dict(response.headers), await _body_of(response))

    def _client(self, *, through_proxy: bool) -> httpx.AsyncClient:
        if through_proxy not in self._clients:
            # The deadline ends a request; only for a connection there is a shorter limit, to try the next address.
            limits = httpx.Timeout(None, connect=CONNECT_SECONDS)
            self._clients[through_proxy] = httpx.AsyncClient(
                timeout=limits, follow_redirects=False, trust_env=through_proxy
            )
        return self._clients[through_proxy]


async def _body_of(response: httpx.Response) -> bytes:
    if response.headers.get("content-encoding", "identity") != "identity":
        raise Unreadable("it is compressed, which was not asked for")
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > ANSWER_LIMIT:
            raise Unreadable(f"it is longer than {ANSWER_LIMIT // 1024} KiB")
    return bytes(body)


def _talker() -> _Talker:
    with _lock:
        return _talker_of(os.getpid())


@functools.lru_cache(maxsize=1)
def _talker_of(_process: int) -> _Talker:
    """The threads of a process are not those of the one it was forked from."""
    return _Talker()


def _reason(error: Exception) -> str:
    for cause in _chain(error):
        if isinstance(cause, ssl.SSLError):
            return f"the TLS handshake failed: {getattr(cause, 'verify_message', '') or cause.reason or 'broken off'}"
        if isinstance(cause, socket.gaierror):
            return "its name was not found in the DNS"
        if isinstance(cause, ConnectionRefusedError):
            return "the connection was refused"
    if isinstance(error, httpx.ProxyError):
        return "the proxy did not let it through"
    return "the connection broke off" if isinstance(error, httpx.TransportError) else "the address is not valid"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            for inner in error.exceptions:
                yield from _chain(inner)
        error = error.__cause__ or error.__context__
