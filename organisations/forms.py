"""Forms of people, organisations, members and the audit trail."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from django import forms
from django.contrib.auth.forms import UserCreationForm
from django.core.exceptions import ValidationError
from django.http import QueryDict
from django.utils.text import capfirst

from dokreg import permissions
from organisations import audit
from organisations.audit_words import kind_name
from organisations.members import NotAllowed, check_may_grant
from organisations.models import PRESETS, HoldsPermissions, Membership, Organisation, OwnedByOrganisation, Role, User

Row = TypeVar("Row", bound=OwnedByOrganisation)
AS_ROLE = "role"
ONE_BY_ONE = "ticked"
MIXED_UP = "You changed ticks below, but chose “As the role says”. Choose one or the other."
ROLE_WORDS = {
    Role.OWNER: "Full access; only another owner can remove it.",
    Role.ADMIN: "Everything except making, changing or removing owners.",
    Role.MEMBER: "See, test, add and change registries, servers, SSH keys. Not delete, nor confirm host keys.",
    Role.VIEWER: "See and test. Change nothing.",
}


def as_posted(values: Mapping[str, str]) -> QueryDict:
    """The values of a form that nobody has filled in by hand, as if they had been posted."""
    data = QueryDict(mutable=True)
    data.update(values)
    return data


class OwnedForm(forms.ModelForm[Row]):
    """A form for a row of an organisation whose name is unique there."""

    # Columns that get their value after the form was checked; constraints on them are not asked.
    set_later: frozenset[str] = frozenset()

    def __init__(self, *args: Any, organisation: Organisation, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.instance.organisation = organisation

    def validate_unique(self) -> None:
        """Django skips the constraint on the name, since the organisation is no field of the form."""
        try:
            self.instance.validate_constraints(exclude=self.set_later)
        except ValidationError as error:
            self.add_error("name", error.messages)


class NewPersonForm(UserCreationForm[User]):
    """A new account: username, and a password twice."""

    class Meta(UserCreationForm.Meta):
        model = User
        fields = ("username", "email")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["email"].label = "E-mail (optional)"
        self.fields["username"].help_text = "Letters, digits, and any of @ . + - _"
        self.fields["username"].widget.attrs.update(autocomplete="username", autocapitalize="none")


class SetupForm(NewPersonForm):
    """The first owner and their organisation."""

    organisation = forms.CharField(max_length=100, help_text="Your company or team. It can be renamed later.")

    field_order = ["organisation", "username", "email", "password1", "password2"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["username"].widget.attrs.pop("autofocus", None)
        self.fields["organisation"].widget.attrs["autofocus"] = True


class OrganisationForm(forms.ModelForm[Organisation]):
    """Name and address of an organisation."""

    class Meta:
        model = Organisation
        fields = ["name", "slug"]
        labels = {"slug": "Address"}
        help_texts = {"slug": "The first part of its addresses. After a change the old ones lead nowhere."}


class NewOrganisationForm(forms.Form):
    """The name; the address is made from it."""

    name = forms.CharField(max_length=100, help_text="Your company or team.")


class AccountForm(forms.ModelForm[User]):
    """What a person says about themself."""

    class Meta:
        model = User
        fields = ["first_name", "last_name", "email"]
        labels = {"email": "E-mail"}


@dataclass(frozen=True, slots=True)
class RoleChoice:
    """A role as the form offers it."""

    value: str
    label: str
    words: str
    is_chosen: bool
    is_offered: bool


@dataclass(frozen=True, slots=True)
class Tick:
    """A permission as the form offers it."""

    name: str
    label: str
    is_ticked: bool
    is_offered: bool


def tick_groups(
    names: frozenset[str], *, ticked: frozenset[str], offered: frozenset[str] = frozenset()
) -> Iterator[tuple[str, list[Tick]]]:
    """These permissions group by group, each with its tick; groups of which none is there are left out."""
    for group in permissions.GROUPS:
        ticks = [
            Tick(one.name, one.label, is_ticked=one.name in ticked, is_offered=one.name in offered)
            for one in group.permissions
            if one.name in names
        ]
        if ticks:
            yield group.label, ticks


class MemberForm(forms.Form):
    """A role, and either its own permissions or exactly those ticked.

    `by` is who fills the form in, `holder` the member whose rights it changes. What `by` does not have is
    shown, but can be neither given nor taken one by one.
    """

    role = forms.ChoiceField(choices=Role.choices, initial=Role.MEMBER, widget=forms.RadioSelect)
    extent = forms.ChoiceField(
        label="Permissions",
        choices=[(AS_ROLE, "As the role says"), (ONE_BY_ONE, "Exactly the permissions ticked below")],
        initial=AS_ROLE,
        widget=forms.RadioSelect,
    )
    ticked = forms.MultipleChoiceField(
        label="Permissions one by one",
        choices=[(one.name, one.label) for group in permissions.GROUPS for one in group.permissions],
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )

    def __init__(self, *args: Any, by: Membership, holder: HoldsPermissions | None = None, **kwargs: Any):
        self.by = by
        self.had = holder.granted if holder else frozenset[str]()
        kwargs["initial"] = _initial(holder)
        super().__init__(*args, **kwargs)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if self.errors:
            return cleaned
        cleaned["granted"] = self._granted(cleaned)
        try:
            check_may_grant(by=self.by, role=cleaned["role"], names=cleaned["granted"], had=self.had)
        except NotAllowed as error:
            raise ValidationError(str(error)) from error
        return cleaned

    def _granted(self, cleaned: dict[str, Any]) -> frozenset[str]:
        ticked = frozenset(cleaned["ticked"]) | (self.had - self.by.granted)
        if cleaned["role"] == Role.OWNER:
            return permissions.ALL
        if cleaned["extent"] == ONE_BY_ONE:
            return ticked
        preset = PRESETS[cleaned["role"]]
        if self._ticked_otherwise(ticked) and ticked != preset:
            raise ValidationError({"extent": MIXED_UP})
        return preset

    def _ticked_otherwise(self, ticked: frozenset[str]) -> bool:
        """Whether somebody set other ticks than were shown; those not offered are not sent by a browser."""
        sent, shown = ticked & self.by.granted, frozenset(self.initial["ticked"]) & self.by.granted
        return bool(sent) and sent != shown

    @property
    def role_choices(self) -> list[RoleChoice]:
        chosen = self["role"].value()
        return [
            RoleChoice(
                value=role.value,
                label=role.label,
                words=ROLE_WORDS[role],
                is_chosen=role.value == chosen,
                is_offered=role != Role.OWNER or self.by.role == Role.OWNER,
            )
            for role in Role
        ]

    @property
    def tick_groups(self) -> Iterator[tuple[str, list[Tick]]]:
        """The permissions group by group, each with its tick."""
        ticked = frozenset(self["ticked"].value() or [])
        return tick_groups(permissions.ALL, ticked=ticked, offered=self.by.granted)


class InvitationForm(MemberForm):
    """For whom the link is, and what it gives."""

    note = forms.CharField(
        label="For whom",
        max_length=100,
        required=False,
        help_text="A name, which only members see.",
    )

    field_order = ["note", "role", "extent", "ticked"]


class AuditFilterForm(forms.Form):
    """What of the audit trail to show; everything may be left empty."""

    person = forms.CharField(required=False, max_length=150, label="Person")
    what = forms.ChoiceField(required=False, label="What happened")
    kind = forms.ChoiceField(required=False, label="Type")
    thing = forms.CharField(required=False, max_length=200, label="Name")
    since = forms.DateField(required=False, label="From", widget=forms.DateInput({"type": "date"}))
    until = forms.DateField(required=False, label="To", widget=forms.DateInput({"type": "date"}))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["what"].choices = _what_choices()  # type: ignore[attr-defined]
        self.fields["kind"].choices = _kind_choices()  # type: ignore[attr-defined]


def _initial(holder: HoldsPermissions | None) -> dict[str, Any]:
    if holder is None:
        return {"role": Role.MEMBER, "extent": AS_ROLE, "ticked": sorted(PRESETS[Role.MEMBER])}
    return {
        "role": holder.role,
        "extent": ONE_BY_ONE if holder.is_customised else AS_ROLE,
        "ticked": sorted(holder.granted),
    }


def _what_choices() -> list[tuple[str, str]]:
    changes = [("create", "Added"), ("update", "Changed"), ("delete", "Deleted or removed")]
    return [("", "Anything"), *changes, *((event, capfirst(event)) for event in audit.EVENTS)]


def _kind_choices() -> list[tuple[str, str]]:
    kinds = [(model._meta.label_lower, capfirst(kind_name(model))) for model in audit.audited_models()]
    return [("", "Anything"), *sorted(kinds, key=lambda kind: kind[1])]
