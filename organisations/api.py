"""The procedures of people, their API keys and organisations of the HTTP API."""

import datetime as dt
from typing import Annotated, Literal

from django.core.exceptions import ValidationError
from django.utils import timezone
from pydantic import AfterValidator, Field

from dokreg import permissions
from organisations import api_keys
from organisations.api_key_models import ApiKey
from organisations.members import NotAllowed
from organisations.models import Membership, Organisation
from organisations.procedures import Caller, Code, Refusal, Schema, Timestamp, invalid, mutation, not_found, query

TEN_YEARS_IN_SECONDS = 10 * 366 * 24 * 3600
ORGANISATION_ID, KEY_ID = "bT7kQm2xWc9LrPz4NvYsA", "Lc4hZr9vXq2KwTm6PnYsG"
EXAMPLE_KEY = {
    "id": KEY_ID,
    "name": "CI",
    "start": "aBcDeF",
    "prefix": None,
    "enabled": True,
    "createdAt": "2026-01-01T00:00:00.000Z",
    "expiresAt": "2026-04-01T00:00:00.000Z",
    "lastRequest": None,
    "permissions": None,
}
EXAMPLE_USER = {
    "id": "Mb3kTz8wXq5LrPv2NcYsH",
    "role": "owner",
    "createdAt": "2026-01-01T00:00:00.000Z",
    "organizationId": ORGANISATION_ID,
    "userId": "1",
    "permissions": ["registries.view_registry"],
    "user": {"id": "1", "username": "alice", "firstName": "", "lastName": "", "email": "", "apiKeys": [EXAMPLE_KEY]},
}
EXAMPLE_ORGANISATION = {
    "id": ORGANISATION_ID,
    "name": "Acme",
    "slug": "acme",
    "createdAt": "2026-01-01T00:00:00.000Z",
    "logo": None,
    "metadata": None,
    "members": [{"id": "Mb3kTz8wXq5LrPv2NcYsH", "userId": "1", "role": "owner"}],
}


class KeyRecord(Schema):
    """An API key; `start` are its first letters, the rest is shown once, when it is made."""

    id: str = Field(json_schema_extra={"x-id": "apiKeyId"})
    name: str
    start: str
    prefix: None = None
    enabled: bool
    created_at: Timestamp
    expires_at: Timestamp | None
    last_request: Timestamp | None
    permissions: list[str] | None = Field(description="What it is limited to; null: whatever its member may do.")


class NewKeyRecord(KeyRecord):
    key: str = Field(description="The key itself: 64 letters. It cannot be had again.")


class UserRecord(Schema):
    id: str
    username: str
    first_name: str
    last_name: str
    email: str
    api_keys: list[KeyRecord]


class MemberRecord(Schema):
    """Who calls, in the organisation that the key belongs to; `permissions` are those in force for this call."""

    id: str
    role: str
    created_at: Timestamp
    organization_id: str
    user_id: str
    permissions: list[str]
    user: UserRecord


class MemberInShort(Schema):
    id: str
    user_id: str
    role: str


class OrganisationRecord(Schema):
    id: str = Field(json_schema_extra={"x-id": "organizationId"})
    name: str
    slug: str
    created_at: Timestamp
    logo: None = None
    metadata: None = None
    members: list[MemberInShort] = Field(description="The caller alone.")


class OrganisationId(Schema):
    organization_id: Annotated[str, Field(min_length=1)]


class Metadata(Schema):
    organization_id: str


def _known_permission(name: str) -> str:
    if name not in permissions.ALL:
        raise ValueError("There is no such permission.")
    return name


PermissionName = Annotated[
    str, AfterValidator(_known_permission), Field(json_schema_extra={"enum": sorted(permissions.ALL)})
]


class NewKey(Schema):
    """`metadata` names the organisation, which is that of the caller."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    expires_in: Annotated[int, Field(ge=60, le=TEN_YEARS_IN_SECONDS)] | None = Field(None, description="Seconds.")
    metadata: Metadata | None = None
    permissions: list[PermissionName] | None = Field(
        None, description="What it is limited to, such as registries.view_registry."
    )


class ApiKeyId(Schema):
    api_key_id: Annotated[str, Field(min_length=1)]


@query("user.get", answers=MemberRecord, answer_example=EXAMPLE_USER)
def show_caller(caller: Caller, _values: Schema) -> MemberRecord:
    """Show who calls."""
    user = caller.user
    return MemberRecord(
        id=caller.membership.pk,
        role=caller.membership.role,
        created_at=caller.membership.created_at,
        organization_id=caller.organisation.pk,
        user_id=str(user.pk),
        permissions=sorted(caller.granted),
        user=UserRecord(
            id=str(user.pk),
            username=user.username,
            first_name=user.first_name,
            last_name=user.last_name,
            email=user.email,
            api_keys=[_record(key) for key in api_keys.within_reach(caller.api_key, of=caller.membership)],
        ),
    )


@mutation("user.createApiKey", takes=NewKey, answers=NewKeyRecord,
          example={"name": "CI", "expiresIn": 7776000, "metadata": {"organizationId": ORGANISATION_ID}},
          answer_example=EXAMPLE_KEY | {"key": "aBcDeF…"})  # fmt: skip
def create_key(caller: Caller, values: NewKey) -> NewKeyRecord:
    """Make another API key of the caller's.

    It may do no more than the key with which it is asked for, lives no longer, and is revoked with that one.
    """
    if values.metadata is not None and values.metadata.organization_id not in {"", caller.organisation.pk}:
        raise not_found("Organization")
    expires_at = timezone.now() + dt.timedelta(seconds=values.expires_in) if values.expires_in else None
    try:
        key, text = api_keys.make(
            membership=caller.membership,
            name=values.name,
            limits=None if values.permissions is None else frozenset(values.permissions),
            expires_at=expires_at,
            by=caller.api_key,
        )
    except NotAllowed as error:
        raise Refusal(Code.BAD_REQUEST, str(error)) from error
    except ValidationError as error:
        raise invalid(error.message_dict) from error
    return NewKeyRecord(**dict(_record(key)), key=text)


@mutation("user.deleteApiKey", takes=ApiKeyId, answers=Literal[True], answer_example=True,
          example={"apiKeyId": KEY_ID})  # fmt: skip
def delete_key(caller: Caller, values: ApiKeyId) -> bool:
    """Revoke an API key of the caller's, from this moment, and every key that was made with it.

    A key that is limited reaches itself and those that were made with it.
    """
    within_reach = api_keys.within_reach(caller.api_key, of=caller.membership)
    key = within_reach.filter(pk=values.api_key_id, revoked_at=None).first()
    if key is None:
        raise not_found("API key")
    api_keys.revoke(key, by=caller.user)
    return True


@query("organization.all", answers=list[OrganisationRecord], answer_example=[EXAMPLE_ORGANISATION])
def show_organisations(caller: Caller, _values: Schema) -> list[OrganisationRecord]:
    """List the organisation of the caller's key: a key belongs to one."""
    return [_organisation(caller.membership)]


@query("organization.one", takes=OrganisationId, answers=OrganisationRecord,
       example={"organizationId": ORGANISATION_ID}, answer_example=EXAMPLE_ORGANISATION)  # fmt: skip
def show_organisation(caller: Caller, values: OrganisationId) -> OrganisationRecord:
    """Show the caller's organisation."""
    if values.organization_id != caller.organisation.pk:
        raise not_found("Organization")
    return _organisation(caller.membership)


def _organisation(membership: Membership) -> OrganisationRecord:
    organisation: Organisation = membership.organisation
    return OrganisationRecord(
        id=organisation.pk,
        name=organisation.name,
        slug=organisation.slug,
        created_at=organisation.created_at,
        members=[MemberInShort(id=membership.pk, user_id=str(membership.user_id), role=membership.role)],
    )


def _record(key: ApiKey) -> KeyRecord:
    return KeyRecord(
        id=key.pk,
        name=key.name,
        start=key.start,
        enabled=key.state == ApiKey.State.ACTIVE,
        created_at=key.created_at,
        expires_at=key.expires_at,
        last_request=key.last_used_at,
        permissions=key.permissions,
    )
