"""Forms for people: they check what was typed. What must hold stands in the models, what follows in hosts."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import TextChoices
from django.forms.utils import ErrorDict

from dokreg.addresses import normalise_host_name
from dokreg.choices import FindableChoice, FindingForm
from dokreg.widgets import SecretTextarea
from organisations.forms import OwnedForm
from organisations.models import Organisation
from servers import keys
from servers.models import Server, SSHKey

CHOOSE_PASTE = "You pasted a key below. Choose “Paste a private key”, or leave that field empty."
PASTE_AGAIN = "Paste the private key again: it was not kept while something else was to be corrected."

FOUND_IN = ("name", "host")  # what a search for a server looks into


class ServerForm(FindingForm, OwnedForm[Server]):
    class Meta:
        model = Server
        fields = ["name", "host", "port", "user", "ssh_key", "description"]
        field_classes = {"ssh_key": FindableChoice}
        help_texts = {
            "host": "Host name or IP address, such as web-1.example.com or 10.0.0.5.",
            "user": "Root, or a user in the group docker.",
        }

    def __init__(self, *args: Any, organisation: Organisation, **kwargs: Any) -> None:
        super().__init__(*args, organisation=organisation, **kwargs)
        ssh_keys = SSHKey.objects.of(organisation)
        field = self.fields["ssh_key"]
        assert isinstance(field, forms.ModelChoiceField)  # noqa: S101 - for the type checker
        field.queryset = ssh_keys
        field.empty_label = "Choose a key"
        if self.instance.host:
            self.fields["host"].help_text += " Another host or port has to show its host key again."
        elif len(found := list(ssh_keys[:2])) == 1:
            self.initial["ssh_key"] = found[0].pk

    def clean_host(self) -> str:
        try:
            return normalise_host_name(self.cleaned_data["host"])
        except ValueError as error:
            raise ValidationError(str(error)) from error

    @property
    def connection_changed(self) -> bool:
        """Whether something changed that decides how the server is reached."""
        return not {"host", "port", "user", "ssh_key"}.isdisjoint(self.changed_data)


class TrustForm(forms.Form):
    """Confirms the fingerprint that the page showed; in place of another one only with a second thought."""

    fingerprint = forms.CharField(widget=forms.HiddenInput, max_length=100)
    replaces = forms.BooleanField(
        label="The server was reinstalled, or its host key was replaced on purpose, and I have compared the "
        "fingerprints on the server itself.",
        error_messages={"required": "Tick this if you know why the host key is new; else confirm nothing."},
    )

    def __init__(self, *args: Any, server: Server, **kwargs: Any) -> None:
        kwargs.setdefault("initial", {"fingerprint": server.seen_fingerprint})
        super().__init__(*args, **kwargs)
        if not server.host_key:
            del self.fields["replaces"]


class SSHKeyNameForm(OwnedForm[SSHKey]):
    class Meta:
        model = SSHKey
        fields = ["name", "description"]


class SSHKeyForm(SSHKeyNameForm):
    """A new key: generated, or pasted."""

    class Source(TextChoices):
        GENERATE = "generate", "Generate here (Ed25519)"
        PASTE = "paste", "Paste a private key"

    source = forms.ChoiceField(
        label="Key",
        choices=Source.choices,
        initial=Source.GENERATE,
        widget=forms.RadioSelect,
        help_text="A generated key never exists outside dokreg; only its public half is shown.",
    )
    private_key = forms.CharField(
        required=False,
        strip=False,
        widget=SecretTextarea(
            {
                "rows": 8,
                "autocomplete": "off",
                "autocapitalize": "off",
                "spellcheck": "false",
                "placeholder": "-----BEGIN OPENSSH PRIVATE KEY-----",
            }
        ),
        help_text="The whole file, without a passphrase. It is stored encrypted and never shown again.",
    )

    pair: keys.KeyPair
    _errors: ErrorDict | None

    def clean(self) -> dict[str, Any]:
        """Make or read the pair, so that what is wrong with a pasted key stands at its field."""
        cleaned = super().clean() or self.cleaned_data
        pasted = cleaned.pop("private_key", "")
        if cleaned.get("source") == self.Source.PASTE and "private_key" not in self.errors:
            try:
                self.pair = keys.read_private_key(pasted)
            except keys.BadKey as error:
                self.add_error("private_key", str(error))
        elif pasted.strip():
            self.add_error("source", CHOOSE_PASTE)
        else:
            self.pair = keys.generate()
        return cleaned

    def full_clean(self) -> None:
        """A pasted key that was fine itself is not sent back with the other errors, so say so."""
        super().full_clean()
        pasted = self.is_bound and self.data.get(self.add_prefix("private_key"))
        if pasted and self._errors and "private_key" not in self._errors:
            self.add_error("private_key", PASTE_AGAIN)
