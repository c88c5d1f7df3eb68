"""The form of a registry, for adding, editing and testing; what differs per provider comes from its class."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from dokreg.encryption import SecretUnreadable, validate_secret
from dokreg.widgets import SecretTextarea
from organisations.models import Organisation
from registries import references
from registries.kinds import Kind
from registries.models import Draft, Registry
from registries.testing import Credentials
from servers import docker
from servers.models import Server

MAX_PASTED = 256 * 1024


class ServerChoice(forms.ModelChoiceField):  # type: ignore[type-arg]
    """A server of the organisation, or dokreg's own host."""

    def __init__(self, organisation: Organisation, **options: Any) -> None:
        own = docker.OWN_HOST if docker.own_host_has_docker() else f"{docker.OWN_HOST} (has no Docker)"
        super().__init__(Server.objects.of(organisation), required=False, empty_label=own, **options)


class RegistryForm(forms.ModelForm[Registry]):
    """Write-only where the secret is concerned: it is taken, never shown again.

    Blank, the secret stays what it was: the stored one while the host is the same, or the draft's.
    """

    password = forms.CharField(
        label="Password / Token",
        strip=False,
        required=False,
        # Kept in the page as it was typed when htmx brings the rest of the form anew.
        widget=forms.PasswordInput(
            attrs={"autocomplete": "new-password", "spellcheck": "false", "hx-preserve": "true"}
        ),
    )
    image = forms.CharField(
        label="Image",
        required=False,
        max_length=512,
        help_text="Optional: Test then also asks whether this account may pull it.",
    )
    draft = forms.CharField(required=False, widget=forms.HiddenInput)

    class Meta:
        model = Registry
        fields = ["name", "url", "username", "image_prefix", "server"]
        labels = {
            "name": "Registry Name",
            "url": "Registry URL",
            "username": "Username",
            "image_prefix": "Image Prefix",
            "server": "Server",
        }

    field_order = ["name", "url", "username", "password", "image_prefix", "server", "image", "draft"]

    def __init__(self, *args: Any, organisation: Organisation, kind: Kind, draft: Draft | None = None, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.organisation = organisation
        self.kind = kind
        self.saved_draft = draft
        self.was = (self.instance.url, self.instance.username) if self.instance.pk and not self._is_new else ("", "")
        self.warnings: list[str] = []
        self.fields["server"] = ServerChoice(
            organisation, label="Server", help_text="Where Test runs: choose the one that will pull."
        )
        self._explain()

    @property
    def _is_new(self) -> bool:
        return self.instance._state.adding

    @property
    def _draft_has_secret(self) -> bool:
        return self.saved_draft is not None and self.saved_draft.password is not None

    def _explain(self) -> None:
        kind = self.kind
        self._describe("name", "What your team calls it, such as “Production images”.")
        self._describe("url", kind.host_help, kind.host_placeholder)
        self._describe("username", kind.username_help, kind.username_placeholder)
        self._describe("image_prefix", kind.image_prefix_help, kind.image_prefix_placeholder)
        self.fields["image"].widget.attrs["placeholder"] = kind.example_name
        self.fields["url"].required = False  # an empty host is Docker Hub
        if kind.username_is_secret:
            self.fields["username"].required = False
            self.fields["username"].widget.attrs["readonly"] = True
        self.fields["password"].widget.attrs["placeholder"] = self._kept_text()
        self.fields["password"].help_text = " ".join(filter(None, [kind.secret_help, kind.secret_life]))

    def _describe(self, name: str, help_text: str, placeholder: str = "") -> None:
        self.fields[name].help_text = help_text
        if placeholder:
            self.fields[name].widget.attrs["placeholder"] = placeholder

    def _kept_text(self) -> str:
        if self._draft_has_secret:
            return "Kept from before; leave empty to use it"
        return "" if self._is_new else "Stored; leave empty to keep it"

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        others = Registry.objects.of(self.organisation).filter(name=name).exclude(pk=self.instance.pk)
        if others.exists():
            raise ValidationError("Another registry of this organisation has this name.")
        return name

    def clean_url(self) -> str:
        text: str = self.cleaned_data["url"]
        try:
            host = references.normalise_host(text)
        except references.InvalidHost as error:
            raise ValidationError(str(error)) from error
        if not text.strip() and self.kind.default_host != references.DOCKER_HUB:
            raise ValidationError("Enter the registry's host, such as registry.example.com:5000.")
        if complaint := self.kind.check_host(host):
            raise ValidationError(complaint)
        if references.is_docker_hub_alias(text):
            self.warnings.append(
                f"{text.strip()} became {host}: a login under another name is not found again when an image is pulled."
            )
        return host

    def clean_username(self) -> str:
        username: str = self.cleaned_data["username"]
        if complaint := self.kind.check_username(username):
            raise ValidationError(complaint)
        if warning := self.kind.warn_username(username):
            self.warnings.append(warning)
        return username

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        self._clean_password(cleaned)
        self._clean_images(cleaned)
        return cleaned

    def _clean_password(self, cleaned: dict[str, Any]) -> None:
        typed: str = cleaned.get("password") or ""
        try:
            validate_secret(typed)
            secret = typed or self._kept_secret(cleaned)
        except ValidationError as error:
            self.add_error("password", error)
            return
        except SecretUnreadable:
            self.add_error("password", "The stored secret cannot be opened any more. Enter it again.")
            return
        if complaint := self.kind.check_secret(secret, cleaned.get("username", "")):
            self.add_error("password", complaint)
            return
        self.warnings += self.kind.warn_secret(secret, cleaned.get("username", ""))
        cleaned["secret"] = secret

    def _kept_secret(self, cleaned: dict[str, Any]) -> str:
        """What a blank field stands for; raises ValidationError if it stands for nothing."""
        if self.saved_draft is not None and self.saved_draft.password is not None:
            return str(self.saved_draft.password.reveal())
        if self._is_new:
            raise ValidationError("Enter the password or token.")
        if "url" in cleaned and cleaned["url"] != self.was[0]:
            raise ValidationError(
                "Enter the password again: the host has changed, and the stored one goes to no other host."
            )
        return self.instance.open_password()

    def _clean_images(self, cleaned: dict[str, Any]) -> None:
        if "url" not in cleaned:
            return
        try:
            cleaned["image_prefix"] = references.normalise_image_prefix(
                cleaned.get("image_prefix") or "", host=cleaned["url"]
            )
        except references.InvalidImagePrefix as error:
            self.add_error("image_prefix", str(error))
            return
        check_image(self, cleaned, host=cleaned["url"], image_prefix=cleaned["image_prefix"])

    @property
    def new_secret(self) -> str | None:
        """The secret to store, or None to keep the stored one."""
        if self.cleaned_data.get("password") or self._draft_has_secret:
            return str(self.cleaned_data["secret"])
        return None

    @property
    def credentials(self) -> Credentials:
        """What Test tries; after is_valid."""
        return Credentials(
            kind=self.kind.slug,
            url=self.cleaned_data["url"],
            username=self.cleaned_data["username"],
            password=self.cleaned_data["secret"],
            image_prefix=self.cleaned_data["image_prefix"],
        )

    @property
    def typed_values(self) -> dict[str, str]:
        """What stands in the form, without the secret, to show it again."""
        names = ("name", "url", "username", "image_prefix", "server", "image")
        values = {name: str(self.data.get(name, "")) for name in names}
        if "@" in values["url"]:
            values["url"] = ""  # refused, and perhaps for a password in it
        return values


class DraftTestForm(RegistryForm):
    """The same form when Test is pressed: a name is not needed yet, and may be taken."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"].required = False

    def clean_name(self) -> str:
        return str(self.cleaned_data["name"])


class SavedTestForm(forms.Form):
    """Where to test a saved registry, and with which image."""

    image = forms.CharField(label="Image", required=False, max_length=512, help_text="Optional: may it be pulled?")

    field_order = ["server", "image"]

    def __init__(self, *args: Any, registry: Registry, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.registry = registry
        self.fields["server"] = ServerChoice(registry.organisation, label="Server", initial=registry.server_id)
        self.fields["image"].widget.attrs["placeholder"] = registry.provider.example_name
        self.order_fields(self.field_order)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        check_image(self, cleaned, host=self.registry.url, image_prefix=self.registry.image_prefix)
        return cleaned


class PasteForm(forms.Form):
    """Whatever people have: it holds a secret as likely as not, so it is never shown again."""

    text = forms.CharField(
        label="A login line, a file or an image",
        strip=False,
        max_length=MAX_PASTED,
        widget=SecretTextarea(attrs={"rows": 4, "autocomplete": "off", "spellcheck": "false", "hx-preserve": "true"}),
        help_text="A docker login line, a config.json, an image reference, or a service-account JSON.",
    )


def check_image(form: forms.BaseForm, cleaned: dict[str, Any], *, host: str, image_prefix: str) -> None:
    """Put an error at the field `image` unless it makes a valid reference at this registry."""
    image = cleaned.get("image")
    if not image:
        return
    try:
        references.compose(host=host, image_prefix=image_prefix, image=image)
    except references.InvalidReference as error:
        form.add_error("image", str(error))
