"""The form of a new API key."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

from django import forms
from django.core.validators import RegexValidator
from django.utils import timezone

from dokreg import permissions
from dokreg.ids import ID_LENGTH, new_id
from organisations import api_keys
from organisations.forms import ONE_BY_ONE, Tick, tick_groups
from organisations.members import NotAllowed
from organisations.models import Membership

WHATEVER = "whatever"
NEVER, ON_A_DAY = "never", "day"
LIVES = [
    ("7", "In 7 days"),
    ("30", "In 30 days"),
    ("90", "In 90 days"),
    ("365", "In a year"),
    (NEVER, "Never"),
    (ON_A_DAY, "On a day of your choice"),
]


class ApiKeyForm(forms.Form):
    """What a key of `by` is called, how long it works, and whether it is limited to some of their permissions."""

    # Made with the form, so that sending it twice, as reloading the answer does, makes one key.
    key_id = forms.CharField(
        initial=new_id,
        validators=[RegexValidator(rf"\A[a-zA-Z0-9]{{{ID_LENGTH}}}\Z")],
        widget=forms.HiddenInput({"autocomplete": "off"}),
    )
    name = forms.CharField(max_length=100, help_text="What uses it, such as “CI of the shop”.")
    life = forms.ChoiceField(label="Expires", choices=LIVES, initial="90")
    last_day = forms.DateField(
        label="Last day",
        required=False,
        widget=forms.DateInput({"type": "date"}, format="%Y-%m-%d"),
        help_text="It works until the end of this day, UTC.",
    )
    extent = forms.ChoiceField(
        label="Permissions",
        choices=[(WHATEVER, "Whatever I may do"), (ONE_BY_ONE, "Only what is ticked below")],
        initial=WHATEVER,
        widget=forms.RadioSelect,
    )
    ticked = forms.MultipleChoiceField(
        label="Permissions one by one",
        choices=[(one.name, one.label) for group in permissions.GROUPS for one in group.permissions],
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )

    def __init__(self, *args: Any, by: Membership, **kwargs: Any) -> None:
        self.by = by
        super().__init__(*args, **kwargs)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if cleaned.get("extent") == ONE_BY_ONE and not cleaned.get("ticked") and "ticked" not in self.errors:
            self.add_error("ticked", "Tick at least one.")
        if cleaned.get("life") == ON_A_DAY and "last_day" not in self.errors:
            self._check_last_day(cleaned["last_day"])
        return cleaned

    def _check_last_day(self, day: dt.date | None) -> None:
        if day is None:
            self.add_error("last_day", "Choose the last day on which it works.")
            return
        try:
            api_keys.check_end(api_keys.end_of(day))
        except NotAllowed:
            self.add_error("last_day", "This day is over. Choose a later one.")

    @property
    def expires_at(self) -> dt.datetime | None:
        """The end that was chosen in a form that is in order; None for never."""
        life = self.cleaned_data["life"]
        if life == ON_A_DAY:
            return api_keys.end_of(self.cleaned_data["last_day"])
        return None if life == NEVER else timezone.now() + dt.timedelta(days=int(life))

    @property
    def limits(self) -> frozenset[str] | None:
        """The permissions that were chosen in a form that is in order; None for whatever the member may do."""
        return None if self.cleaned_data["extent"] == WHATEVER else frozenset(self.cleaned_data["ticked"])

    @property
    def tick_groups(self) -> Iterator[tuple[str, list[Tick]]]:
        """What the member may do, group by group, each with its tick."""
        offered = self.by.granted
        return tick_groups(offered, ticked=frozenset(self["ticked"].value() or []), offered=offered)
