"""The form of a notification channel."""

from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from dokreg.encryption import validate_secret
from organisations import sending
from organisations.forms import OwnedForm
from organisations.notification_models import NotificationChannel

How = NotificationChannel.How
MOST_RECIPIENTS = 20
ENTER_AGAIN = "Enter the address again: it was not kept while something else was to be corrected."


class ChannelForm(OwnedForm[NotificationChannel]):
    """Write-only where the address of a service is concerned: blank, the stored one stays.

    How a channel is sent to is chosen once; of a saved one only what belongs to that is asked.
    """

    address = forms.CharField(
        label="Address",
        required=False,
        max_length=4000,
        validators=[validate_secret],
        widget=forms.PasswordInput({"autocomplete": "new-password", "spellcheck": "false"}),
        help_text=(
            "As Apprise writes it, such as slack://TOKEN/TOKEN/TOKEN or ntfys://ntfy.example.com/TOPIC, or the web "
            "hook that the service gave you (https://hooks.slack.com/…). It is stored encrypted and never shown again."
        ),
    )
    recipients = forms.CharField(
        label="Recipients",
        required=False,
        widget=forms.Textarea({"rows": 3, "spellcheck": "false"}),
        help_text="E-mail addresses, one per line. All of them get the same mail, and see each other in it.",
    )

    class Meta:
        model = NotificationChannel
        fields = ["name", "how", "enabled"]
        labels = {"how": "Send by"}
        widgets = {"how": forms.RadioSelect}
        help_texts = {
            "name": "What your team calls it, such as “On-call chat”.",
            "enabled": "While it is off, nothing but tests is sent to it.",
        }

    field_order = ["name", "how", "address", "recipients", "enabled"]
    set_later = frozenset({"address"})
    shown_as = ""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self._is_new:
            how = self.fields["how"]
            assert isinstance(how, forms.ChoiceField)  # noqa: S101 - for the type checker
            how.choices = How.choices  # without the empty one
            how.help_text = "" if settings.DOKREG_SENDS_EMAIL else sending.NO_EMAIL
            return
        del self.fields["how"]
        if self.instance.how == How.EMAIL:
            del self.fields["address"]
            self.initial["recipients"] = "\n".join(self.instance.recipients)
        else:
            del self.fields["recipients"]
            self.fields["address"].widget.attrs["placeholder"] = "Stored; leave empty to keep it"

    @property
    def _is_new(self) -> bool:
        return self.instance._state.adding

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        how = cleaned.get("how", "") if self._is_new else self.instance.how
        if how == How.EMAIL:
            self._clean_recipients(cleaned)
        elif how == How.APPRISE:
            self._clean_address(cleaned)
        return cleaned

    def _clean_recipients(self, cleaned: dict[str, Any]) -> None:
        cleaned["address"] = ""
        if not settings.DOKREG_SENDS_EMAIL:
            self.add_error("how" if "how" in self.fields else None, sending.NO_EMAIL)
        found = list(dict.fromkeys(cleaned.get("recipients", "").replace(",", " ").replace(";", " ").split()))
        if not 1 <= len(found) <= MOST_RECIPIENTS:
            self.add_error("recipients", f"Enter 1 to {MOST_RECIPIENTS} e-mail addresses.")
        for recipient in found:
            try:
                validate_email(recipient)
            except ValidationError:
                self.add_error("recipients", f"“{recipient}” is not an e-mail address.")
        cleaned["recipients"] = found

    def _clean_address(self, cleaned: dict[str, Any]) -> None:
        cleaned["recipients"] = []
        if "address" not in cleaned:
            return
        if not cleaned["address"]:
            if self._is_new:
                self.add_error("address", "Enter the address of the service.")
            return
        try:
            self.shown_as = sending.describe(cleaned["address"])
        except sending.BadAddress as error:
            self.add_error("address", str(error))

    def full_clean(self) -> None:
        """An address that was fine itself is not sent back with the other errors, so say so."""
        super().full_clean()
        if self.errors and self.shown_as:
            self.add_error("address", ENTER_AGAIN)
