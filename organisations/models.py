"""Who: people, the organisations they belong to, what they may do there, and what they did."""

import datetime as dt
import hashlib
from typing import Any, Self, TypeVar

from auditlog.models import AbstractLogEntry
from django.contrib.auth.models import AbstractUser
from django.core.exceptions import ValidationError
from django.db import models
from django.urls import reverse
from django.utils import timezone
from django.utils.crypto import salted_hmac

from dokreg import permissions
from dokreg.ids import ID_LENGTH, new_id
from organisations import calling

RESERVED_SLUGS = frozenset(
    {
        "account",
        "admin",
        "api",
        "doctor",
        "healthz",
        "invitations",
        "metrics",
        "organisations",
        "setup",
        "sign-in",
        "sign-out",
        "static",
        "webhooks",
    }
)
Row_co = TypeVar("Row_co", bound=models.Model, covariant=True)
INVITATION_LIFE = dt.timedelta(days=7)


def validate_not_reserved(slug: str) -> None:
    """An organisation's slug is the first part of its addresses; some are taken by dokreg itself."""
    if slug in RESERVED_SLUGS:
        raise ValidationError(f"“{slug}” is an address of dokreg itself. Choose another one.")


def validate_permissions(names: Any) -> None:
    """Raise ValidationError unless the value is a list of known permission names."""
    try:
        permissions.check_known(names)
    except (permissions.UnknownPermission, TypeError) as error:
        raise ValidationError(str(error)) from error


class IdField(models.CharField[str, str]):
    """The primary key of dokreg's rows: 21 letters and digits, made in Python."""

    def __init__(self, **options: Any) -> None:
        own: dict[str, Any] = {
            "primary_key": True,
            "max_length": ID_LENGTH,
            "default": new_id,
            "editable": False,
        }
        super().__init__(**own | options)


class User(AbstractUser):
    """A person who signs in. What they may do in an organisation stands in their membership of it."""

    session_salt = models.CharField(max_length=ID_LENGTH, default=new_id, editable=False)

    def sign_out_everywhere(self) -> None:
        """End every session of this person, the present one included."""
        self.session_salt = new_id()
        self.save(update_fields=["session_salt"])

    def _get_session_auth_hash(self, secret: str | None = None) -> str:
        return salted_hmac(
            "organisations.User.session", self.password + self.session_salt, secret=secret, algorithm="sha256"
        ).hexdigest()

    def has_perm(self, perm: str, obj: Any = None) -> bool:
        """Without an object Django's own answer (its admin asks so); with one, the membership's alone.

        A superuser is no member by that: in the pages of an organisation that is not theirs they are a stranger.
        """
        if obj is None:
            return super().has_perm(perm)
        from organisations.backends import MembershipBackend

        return MembershipBackend().has_perm(self, perm, obj)


class Organisation(models.Model):  # type: ignore[django-manager-missing]  # auditlog has no types
    """A team: owns registries, servers and keys, and has members."""

    id = IdField()
    name = models.CharField(max_length=100)
    slug = models.SlugField(
        max_length=50,
        unique=True,
        validators=[validate_not_reserved],
        help_text="The first part of its addresses.",
        error_messages={"unique": "Another organisation has this address."},
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    members = models.ManyToManyField(User, through="Membership", related_name="organisations")

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("organisations:home", kwargs={"organisation": self.slug})

    def get_additional_data(self) -> dict[str, str]:
        """Read by the audit trail: whose entry a change of this row is."""
        return {"organisation": self.pk}


class OwnedQuerySet(models.QuerySet[Row_co]):
    """Rows that belong to an organisation."""

    def visible_to(self, user: Any) -> Self:
        """The rows of the organisations that the person is a member of."""
        return self.filter(organisation__memberships__user=user)

    def of(self, organisation: Organisation) -> Self:
        return self.filter(organisation=organisation)


class OwnedByOrganisation(models.Model):
    """A row that belongs to one organisation, and is audited there."""

    id = IdField()
    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="%(class)ss")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        abstract = True

    def get_additional_data(self) -> dict[str, str]:
        """Read by the audit trail: whose entry a change of this row is."""
        return {"organisation": self.organisation_id}


class Role(models.TextChoices):
    """A preset of permissions."""

    OWNER = "owner", "Owner"
    ADMIN = "admin", "Admin"
    MEMBER = "member", "Member"
    VIEWER = "viewer", "Viewer"


PRESETS: dict[str, frozenset[str]] = {
    Role.OWNER: permissions.ALL,
    Role.ADMIN: permissions.ALL,
    Role.MEMBER: permissions.EVERYDAY,
    Role.VIEWER: permissions.READ_ONLY,
}


class HoldsPermissions(models.Model):
    """A role, and the permissions ticked one by one if they differ from what the role presets."""

    role = models.CharField(max_length=10, choices=Role.choices, default=Role.MEMBER)
    permissions = models.JSONField(
        null=True,
        blank=True,
        default=None,
        validators=[validate_permissions],
        help_text="Empty: as the role says.",
    )

    class Meta:
        abstract = True

    @property
    def granted(self) -> frozenset[str]:
        """The permissions in force. An owner has all of them, so that nobody can lock an organisation."""
        if self.permissions is None or self.role == Role.OWNER:
            return PRESETS[self.role]
        return frozenset(self.permissions) & permissions.ALL

    @property
    def is_customised(self) -> bool:
        """Whether permissions were ticked that differ from the role's."""
        return self.granted != PRESETS[self.role]

    def set_permissions(self, role: str, names: frozenset[str]) -> None:
        """Take a role and exactly these permissions; the role's own set is kept as "as the role says"."""
        permissions.check_known(names)
        self.role = role
        self.permissions = None if names == PRESETS[role] or role == Role.OWNER else sorted(names)


class Membership(OwnedByOrganisation, HoldsPermissions):
    """That a person belongs to an organisation, and what they may do there."""

    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["user__username"]
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "user"],
                name="one_membership_per_person",
                violation_error_message="This person is a member already.",
            )
        ]

    def __str__(self) -> str:
        return self.user.get_username()

    def __contains__(self, permission: str) -> bool:
        """`permission in membership`, for templates as well; raises UnknownPermission for a mistyped name."""
        permissions.check_known([permission])
        return permission in self.granted

    def get_absolute_url(self) -> str:
        return reverse(
            "organisations:member_detail",
            kwargs={"organisation": self.organisation.slug, "membership_id": self.pk},
        )


def token_hash(token: str) -> str:
    """What is stored of a one-time link; the token itself has 256 random bits, so a plain hash is enough."""
    return hashlib.sha256(token.encode()).hexdigest()


def invitation_end() -> dt.datetime:
    return timezone.now() + INVITATION_LIFE


class Invitation(OwnedByOrganisation, HoldsPermissions):
    """A link that makes whoever opens it a member, once. Only a hash of the link is stored."""

    note = models.CharField(max_length=100, blank=True, help_text="For whom it is; only members see it.")
    token_hash = models.CharField(max_length=64, unique=True, editable=False)
    invited_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    expires_at = models.DateTimeField(default=invitation_end)
    accepted_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    accepted_at = models.DateTimeField(null=True, blank=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"Invitation of {self.note or 'a new member'}"

    @property
    def is_open(self) -> bool:
        """Whether the link still works."""
        return self.accepted_at is None and self.expires_at > timezone.now()


class SetupLink(models.Model):
    """The one-time link that opens the set-up of the first owner; at most one row."""

    token_hash = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return "Set-up link"


class AuditEntry(AbstractLogEntry):  # type: ignore[misc]  # the package has no types
    """Who did what to which object, from where, in which organisation. Written by `organisations.audit` only."""

    # What is audited outlives the organisation, so the column refers to it without a constraint.
    organisation = models.ForeignKey(
        Organisation,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        null=True,
        blank=True,
        related_name="audit_entries",
    )
    organisation_id: str | None
    additional_data: Any
    event = models.CharField(max_length=40, blank=True, help_text="What happened, if it was no change of the row.")

    class Meta(AbstractLogEntry.Meta):  # type: ignore[misc]
        abstract = False
        verbose_name = "audit entry"
        verbose_name_plural = "audit entries"
        indexes = [
            models.Index(fields=["organisation", "-timestamp"], name="audit_by_time"),
            models.Index(fields=["content_type", "object_pk", "-timestamp"], name="audit_by_object"),
            models.Index(fields=["organisation", "content_type", "-timestamp"], name="audit_by_kind"),
            models.Index(fields=["organisation", "event", "-timestamp"], name="audit_by_event"),
            models.Index(fields=["organisation", "action", "-timestamp"], name="audit_by_action"),
        ]

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Moves the organisation from the data that the audited row handed over into its own column."""
        if key := calling.key():
            self.additional_data = (self.additional_data or {}) | {"api_key": key}
        if self.organisation_id is None and self.additional_data:
            self.organisation_id = self.additional_data.get("organisation")
        super().save(*args, **kwargs)


# Models of this app, in a file of their own that needs the classes above.
import organisations.api_key_models  # noqa: E402
import organisations.notification_models  # noqa: E402, F401
