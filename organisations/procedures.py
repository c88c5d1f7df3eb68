"""Procedures of the HTTP API: each is written once, and stands on the wire as REST and as tRPC.

An app's `api.py` declares them with `query` and `mutation`; `dokreg.api` finds them here, checks the caller's
permission, reads the input and writes the answer. A procedure itself is a thin face of the functions that the pages
use.
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Annotated, Any, TypeVar

from django.forms import BaseForm
from pydantic import BaseModel, ConfigDict, PlainSerializer, SecretStr, WithJsonSchema
from pydantic.alias_generators import to_camel
from pydantic_core import to_json

from dokreg import permissions
from organisations.api_key_models import ApiKey
from organisations.members import in_words
from organisations.models import Membership, Organisation, User


class Code(Enum):
    """What went wrong: its HTTP status, and its JSON-RPC number in tRPC's envelope."""

    BAD_REQUEST = (400, -32600)
    UNAUTHORIZED = (401, -32001)
    FORBIDDEN = (403, -32003)
    NOT_FOUND = (404, -32004)
    METHOD_NOT_SUPPORTED = (405, -32005)
    CONFLICT = (409, -32009)
    PAYLOAD_TOO_LARGE = (413, -32013)
    UNSUPPORTED_MEDIA_TYPE = (415, -32015)
    TOO_MANY_REQUESTS = (429, -32029)
    INTERNAL_SERVER_ERROR = (500, -32603)
    SERVICE_UNAVAILABLE = (503, -32603)
    GATEWAY_TIMEOUT = (504, -32504)

    @property
    def status(self) -> int:
        return self.value[0]

    @property
    def number(self) -> int:
        return self.value[1]


@dataclass(frozen=True, slots=True)
class Issue:
    """One thing that is wrong with the input: at which field (its path; empty: the whole), and what."""

    path: tuple[str | int, ...]
    message: str
    code: str = "custom"


class Refusal(Exception):
    """The procedure is not carried out; `str()` is a sentence for people, never with a secret."""

    def __init__(
        self, code: Code, message: str, *, issues: Sequence[Issue] = (), retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.issues = tuple(issues)
        self.retry_after = retry_after  # seconds


def invalid(fields: Mapping[str, Sequence[str]]) -> Refusal:
    """Input that does not do: what is wrong, by field; "" for what is about no single one."""
    issues = [Issue((name,) if name else (), text) for name, texts in fields.items() for text in texts]
    return Refusal(Code.BAD_REQUEST, "Input validation failed", issues=issues)


def refused_form(form: BaseForm, names: Mapping[str, str], *, but: str = "") -> Refusal:
    """What a form does not take, by the fields' names on the wire; `but` is a sentence for the form's page alone."""
    wrong = {names.get(name, name): [str(text) for text in texts if text != but] for name, texts in form.errors.items()}
    return invalid(wrong)


def not_found(thing: str) -> Refusal:
    """The same for an id that does not exist and for one of another organisation."""
    return Refusal(Code.NOT_FOUND, f"{thing} not found")


class Schema(BaseModel):
    """What goes over the wire: camelCase there, snake_case here; keys that nobody knows are ignored."""

    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, hide_input_in_errors=True
    )

    @property
    def given(self) -> set[str]:
        """The names of the fields that were sent, as against left to their default."""
        return self.model_fields_set


def _as_javascript_writes(moment: dt.datetime) -> str:
    """`2026-01-01T00:00:00.000Z`, to the millisecond; a list of a thousand rows has thousands of them."""
    if moment.tzinfo is not dt.UTC:
        moment = moment.astimezone(dt.UTC)
    return f"{moment.isoformat(timespec='milliseconds')[:-6]}Z"


Timestamp = Annotated[
    dt.datetime,
    PlainSerializer(_as_javascript_writes, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]


class Written(bytes):
    """An answer that is JSON already, for lists that pydantic would take long over. It must be what the schema says."""

    @classmethod
    def of(cls, value: object) -> "Written":
        return cls(to_json(value))


class Nothing(Schema):
    """Of a procedure that takes no input."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: a member of an organisation, and what they may do with the key (or session) that they use."""

    membership: Membership
    granted: frozenset[str]
    api_key: ApiKey | None = None

    @property
    def user(self) -> User:
        return self.membership.user

    @property
    def organisation(self) -> Organisation:
        return self.membership.organisation

    def __contains__(self, permission: str) -> bool:
        """`permission in caller`; raises UnknownPermission for a mistyped name."""
        permissions.check_known([permission])
        return permission in self.granted

    def check(self, *names: str, purpose: str = "") -> None:
        """Raise Refusal unless the caller has one of these permissions."""
        if not any(name in self for name in names):
            raise missing_permission(*names, purpose=purpose)

    def may_still(self, *names: str) -> bool:
        """Whether the caller has one of these permissions by now: a call may wait for minutes."""
        rows = Membership.objects.select_related("user").filter(pk=self.membership.pk, user__is_active=True)
        membership = rows.first()
        granted = membership.granted if membership is not None else frozenset()
        if self.api_key is not None:
            key = ApiKey.objects.filter(pk=self.api_key.pk).first()
            granted &= key.limits if key is not None and key.state == ApiKey.State.ACTIVE else frozenset()
        return not granted.isdisjoint(names)

    def check_still(self, *names: str) -> None:
        """Raise Refusal if the caller has lost these permissions, or the key, since the call began."""
        if not self.may_still(*names):
            raise Refusal(Code.UNAUTHORIZED, "You lost the permission for this meanwhile. Nothing is saved.")


def missing_permission(*names: str, purpose: str = "") -> Refusal:
    """The caller needs one of these permissions, which `purpose` says what for: “to choose a registry”."""
    words = " or ".join(in_words([name]) for name in names)
    return Refusal(Code.UNAUTHORIZED, f"You need the permission “{words}”{f' {purpose}' if purpose else ''}.")


Implementation = Callable[[Caller, Any], Any]
Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Procedure:
    """One procedure: `registry.create`. `permissions`: one of these is enough; none: membership alone."""

    name: str
    is_query: bool
    permissions: tuple[str, ...]
    takes: type[Schema]
    answers: Any  # what pydantic can make a schema of; None: nothing
    run: Implementation = field(repr=False)
    summary: str
    description: str
    example: Mapping[str, Any] = field(default_factory=dict)
    answer_example: Any = None
    refuses: tuple[Code, ...] = ()

    @property
    def router(self) -> str:
        """The thing that it is about: `registry`."""
        return self.name.partition(".")[0]

    def is_allowed(self, caller: Caller) -> bool:
        return not self.permissions or any(name in caller for name in self.permissions)


_procedures: dict[str, Procedure] = {}


def all_procedures() -> list[Procedure]:
    """Every procedure that was declared, in the order of declaration."""
    return list(_procedures.values())


def find(name: str) -> Procedure | None:
    return _procedures.get(name)


def query(name: str, *permissions: str, **about: Any) -> Callable[[Function], Function]:
    """Declare a procedure that changes nothing; see `mutation`."""
    return _declare(name, permissions, is_query=True, **about)


def mutation(name: str, *permissions: str, **about: Any) -> Callable[[Function], Function]:
    """Declare a procedure that changes something.

    It is a function of the caller and of its input: `takes` is the input's Schema, `answers` the type of the answer
    (None: it answers nothing). The first line of its docstring is its summary, the rest its description; `example` and
    `answer_example` stand in the documentation, and `refuses` are codes that it gives of its own accord.
    """
    return _declare(name, permissions, is_query=False, **about)


def _declare(
    name: str,
    names: Sequence[str],
    *,
    is_query: bool,
    takes: type[Schema] = Nothing,
    answers: Any = None,
    example: Mapping[str, Any] | None = None,
    answer_example: Any = None,
    refuses: Sequence[Code] = (),
) -> Callable[[Function], Function]:
    permissions.check_known(names)

    def declare(function: Function) -> Function:
        summary, _, description = (function.__doc__ or "").strip().partition("\n")
        _procedures[name] = Procedure(
            name=name,
            is_query=is_query,
            permissions=tuple(names),
            takes=takes,
            answers=answers,
            run=function,
            summary=summary.rstrip("."),
            description=" ".join(description.split()),
            example=example or {},
            answer_example=answer_example,
            refuses=tuple(refuses),
        )
        return function

    return declare


def revealed(secret: SecretStr | None) -> str:
    """A secret that was sent, in clear; "" for none."""
    return secret.get_secret_value() if secret is not None else ""
