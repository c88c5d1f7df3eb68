"""Calls to AWS: requests built, signed and read by botocore, and sent as every other one is.

One client per service and region serves all keys: what it signs with is looked up for each request. To make a client
for each key would cost several times as much as the call. The machine's own configuration (AWS_PROFILE, ~/.aws) plays
no part, except where the machine's own keys are asked for.
"""

import concurrent.futures
import functools
import io
import os
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import botocore.session
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config
from botocore.credentials import Credentials, ReadOnlyCredentials
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError
from django.conf import settings

from registries.kinds import talk
from registries.kinds.minting import Answer, Deadline, NoIdentity, Refused, TooLate, Unreadable

SESSION_NAME = "dokreg"
ROLE_SECONDS = 900
_CLIENTS = 64
# What botocore's parsers raise over an answer that is not as documented.
_UNREADABLE = (
    BotoCoreError,
    ResponseParserError,
    AttributeError,
    LookupError,
    ArithmeticError,
    RuntimeError,
    TypeError,
    ValueError,
)
_client_lock = threading.Lock()
_machine_lock = threading.Lock()
_machine_readers = concurrent.futures.ThreadPoolExecutor(max_workers=4, thread_name_prefix="machine-keys")


class _Under:
    """A call that is under way: its keys, its deadline, and at the end the answer."""

    def __init__(self, keys: ReadOnlyCredentials, deadline: Deadline) -> None:
        self.keys, self.deadline = keys, deadline
        self.answer = Answer(0, {}, b"")


_under_way: ContextVar[_Under] = ContextVar("_under_way")


def keys_of(access_key_id: str, secret_access_key: str, session_token: str | None = None) -> ReadOnlyCredentials:
    return ReadOnlyCredentials(access_key_id, secret_access_key, session_token, None)


def call(
    service: str, region: str, operation: str, *, keys: ReadOnlyCredentials, deadline: Deadline, **parameters: str | int
) -> tuple[dict[str, Any], Answer]:
    """The answer, read and raw; `operation` is the name of the client's method.

    Raises Refused, TooLate, Unreachable, Unreadable.
    """
    client = _client(service, region, settings.DOKREG_AWS_ENDPOINT_URL)
    under = _Under(keys, deadline)
    token = _under_way.set(under)
    try:
        return getattr(client, operation)(**parameters), under.answer
    except ClientError as error:
        problem = error.response.get("Error", {})
        words = f"{error.operation_name} {problem.get('Code', '')}: {problem.get('Message', '')}"
        raise Refused(words, under.answer) from None
    except _UNREADABLE:
        raise Unreadable("it is not as AWS documents it") from None
    finally:
        _under_way.reset(token)


def with_role(
    keys: ReadOnlyCredentials, *, region: str, role_arn: str, external_id: str, deadline: Deadline
) -> ReadOnlyCredentials:
    """The keys of a role that these keys may assume. Raises as `call` does."""
    named: dict[str, str | int] = {
        "RoleArn": role_arn,
        "RoleSessionName": SESSION_NAME,
        "DurationSeconds": ROLE_SECONDS,
    }
    if external_id:
        named["ExternalId"] = external_id
    answer, _raw = call("sts", region, "assume_role", keys=keys, deadline=deadline, **named)
    try:
        given = answer["Credentials"]
        return keys_of(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
    except (KeyError, TypeError):
        raise Unreadable("there are no keys of the role in it") from None


def machine_keys(deadline: Deadline) -> ReadOnlyCredentials:
    """What botocore finds for this machine, by its own order. Raises NoIdentity, TooLate."""
    asked = _machine_readers.submit(_read_machine_keys)
    try:
        keys = asked.result(timeout=deadline.left)
    except concurrent.futures.TimeoutError:
        asked.cancel()
        raise TooLate from None
    except (BotoCoreError, ClientError, OSError) as error:
        raise NoIdentity(str(error)) from None
    if keys is None:
        raise NoIdentity("There are no keys in the environment, and the metadata service gave none.")
    return keys


def _read_machine_keys() -> ReadOnlyCredentials | None:
    with _machine_lock:
        found = _machine_session().get_credentials()
    return found.get_frozen_credentials() if found else None


@functools.cache
def _machine_session() -> botocore.session.Session:
    return botocore.session.Session()


class _KeysOfTheCall(Credentials):  # type: ignore[misc]  # botocore has no types
    """Stands for whatever keys the call that is under way was given."""

    def __init__(self) -> None:
        super().__init__("none", "none", method="dokreg")

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        return _under_way.get().keys


class _NoChain:
    """In the place of botocore's search for the machine's own keys."""

    def load_credentials(self) -> Credentials:
        return _KeysOfTheCall()


@functools.cache
def _session() -> botocore.session.Session:
    nothing_of_the_machine = {
        "profile": (None, None, None, None),
        "config_file": (None, None, os.devnull, None),
        "credentials_file": (None, None, os.devnull, None),
    }
    session = botocore.session.Session(session_vars=nothing_of_the_machine)
    session.register_component("credential_provider", _NoChain())
    return session


def _client(service: str, region: str, endpoint_url: str) -> Any:
    with _client_lock:  # making a client is not safe in several threads, using one is
        return _client_of(service, region, endpoint_url)


@functools.lru_cache(maxsize=_CLIENTS)
def _client_of(service: str, region: str, endpoint_url: str) -> Any:
    config = Config(
        ignore_configured_endpoint_urls=True,
        # What failed is tried again by the dispatcher, which knows how long the old token lives.
        retries={"total_max_attempts": 1, "mode": "standard"},
    )
    client = _session().create_client(service, region_name=region, endpoint_url=endpoint_url or None, config=config)
    client.meta.events.register("before-send", _send)
    return client


def _send(request: AWSPreparedRequest, **_also: object) -> AWSResponse:
    """Send in botocore's place: its own way has no deadline, and no limit to the answer."""
    under = _under_way.get()
    headers = {name: _text(value) for name, value in request.headers.items()}
    body = request.body.encode() if isinstance(request.body, str) else request.body or b""
    under.answer = talk.ask(request.method, request.url, headers=headers, body=body, deadline=under.deadline)
    return AWSResponse(request.url, under.answer.status, under.answer.headers, _Raw(under.answer.body))


class _Raw(io.BytesIO):
    """A body as botocore wants it."""

    def stream(self, **_also: object) -> Iterator[bytes]:
        yield self.read()


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
