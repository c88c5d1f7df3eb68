"""The form of a registry, for adding, editing and testing; what differs per provider comes from its class."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from dokreg.choices import FindingForm
from dokreg.encryption import SecretUnreadable, validate_secret
from organisations.models import Organisation
from registries import references
from registries.credentials import Credentials
from registries.kinds import Kind, UnknownKind
from registries.kinds.methods import Method, Policy
from registries.models import ONLY_HOST, Draft, Registry
from registries.short_forms import ServerChoice, check_image

AS_IT_IS = "stored"  # in the form, for the method "": the secret is used as it is stored
TYPED = frozenset({"name", "url", "username", "method", "image_prefix", "server", "secret_ends_on", "image"})
ACCOUNT = "account_"  # before the names of a method's own fields


class RegistryForm(FindingForm, forms.ModelForm[Registry]):
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
        fields = ["name", "url", "username", "image_prefix", "server", "secret_ends_on"]
        widgets = {"secret_ends_on": forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")}
        labels = {
            "name": "Registry Name",
            "url": "Registry URL",
            "username": "Username",
            "image_prefix": "Image Prefix",
            "server": "Server",
            "secret_ends_on": "Ends on",
        }

    def __init__(self, *args: Any, organisation: Organisation, kind: Kind, draft: Draft | None = None, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.organisation = organisation
        self.kind = kind
        self.saved_draft = draft
        self.was = ("", "") if self._is_new else (self.instance.url, self.instance.method)
        self.warnings: list[str] = []
        self.fields["server"] = ServerChoice(
            organisation, label="Server", help_text="Where Test runs: choose the one that will pull."
        )
        self._explain()
        self.method = self._chosen_method()
        if kind.methods:
            self._offer_methods()
        if self.method is not None:
            self._ask_for_account(self.method)

    @property
    def _is_new(self) -> bool:
        return self.instance._state.adding

    @property
    def _only_host(self) -> str:
        """The host that the draft's secret belongs to, where the person has never seen the secret."""
        return str(self.saved_draft.values.get(ONLY_HOST, "")) if self.saved_draft is not None else ""

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
        self.fields[
            "secret_ends_on"
        ].help_text = "If the provider ends it on a day: you are told 14, 3 and 1 days before."

    def _chosen_method(self) -> Method | None:
        """What the form asks for: what was chosen, else what is stored, else the one that the provider recommends."""
        usable = [method.slug for method in self.kind.methods if not method.unavailable()]
        usual = self.instance.method if not self._is_new else next(iter(usable), "")
        if self.is_bound:
            usual = "" if self._is_new else usual  # whoever posts none means the secret itself
        chosen = self.data.get("method") if self.is_bound else self.initial.get("method")
        try:
            return self.kind.method("" if chosen == AS_IT_IS else chosen or usual)
        except UnknownKind:
            return self.kind.method(usual)

    def _offer_methods(self) -> None:
        choices = [(method.slug, _choice(method)) for method in self.kind.methods]
        choices.append((AS_IT_IS, f"{self.kind.secret_name}, used as it is"))
        self.fields["method"] = forms.ChoiceField(
            label="How dokreg logs in",
            choices=choices,
            widget=forms.RadioSelect,
            required=False,
            initial=self.method.slug if self.method else AS_IT_IS,
            help_text=self.method.summary if self.method else f"{self.kind.secret_help} {self.kind.secret_life}",
        )
        self.initial["method"] = self.fields["method"].initial

    def _ask_for_account(self, method: Method) -> None:
        """The method's own fields in place of the username, which the tokens bring along."""
        del self.fields["username"]
        for entry in method.fields:
            self.fields[ACCOUNT + entry.name] = forms.CharField(
                label=entry.label,
                required=entry.required,
                max_length=entry.max_length,
                help_text=entry.help_text,
                widget=forms.TextInput(attrs={"placeholder": entry.placeholder, "autocomplete": "off"}),
            )
            self.initial.setdefault(ACCOUNT + entry.name, self.instance.account.get(entry.name, ""))
        if method.needs_secret:
            self.fields["password"].label = method.secret_name
            self.fields["password"].help_text = f"{method.secret_help} {method.token_life}".strip()
        else:
            del self.fields["password"], self.fields["secret_ends_on"]

    @property
    def account_fields(self) -> list[forms.BoundField]:
        """The method's own fields, for the template."""
        return [self[name] for name in self.fields if name.startswith(ACCOUNT)]

    @property
    def policies(self) -> list[Policy]:
        """The least rights that the account needs, for what stands in the form."""
        if self.method is None:
            return []
        policy = self.method.policy(host=str(self["url"].value() or ""), account=self._typed_account)
        return [policy, *policy.further] if policy else []

    @property
    def _typed_account(self) -> dict[str, str]:
        return {
            name.removeprefix(ACCOUNT): str(self[name].value() or "")
            for name in self.fields
            if name.startswith(ACCOUNT)
        }

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

    def clean_method(self) -> str:
        if self.method is not None and (complaint := self.method.unavailable()):
            raise ValidationError(complaint)
        return str(self.cleaned_data["method"])

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if self.method is not None:
            self._clean_account(self.method, cleaned)
        if self.method is None or self.method.needs_secret:
            self._clean_password(cleaned)
        else:
            cleaned["secret"] = ""
        self._clean_images(cleaned)
        return cleaned

    def _clean_account(self, method: Method, cleaned: dict[str, Any]) -> None:
        account = {entry.name: cleaned.get(ACCOUNT + entry.name) or "" for entry in method.fields}
        cleaned["account"] = account
        if slips := [name for name, text in account.items() if method.is_secret(text)]:
            self.data = {**self.data.dict(), **{ACCOUNT + name: "" for name in slips}}  # type: ignore[attr-defined]
        cleaned["username"] = method.username
        if "url" in cleaned and not any(name.startswith(ACCOUNT) for name in self.errors):
            for name, complaint in method.check_account(host=cleaned["url"], account=account).items():
                self.add_error(ACCOUNT + name, complaint)

    def _post_clean(self) -> None:
        """What the method decides goes into the row with the rest."""
        self.instance.method = self.method.slug if self.method else ""
        self.instance.account = self.cleaned_data.get("account", {})
        if self.method is not None:
            self.instance.username = self.method.username
            if not self.method.needs_secret:
                self.instance.secret_ends_on = None
        super()._post_clean()  # type: ignore[misc]  # Django's own hook

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
        complaint, warnings = self._opinion_of(secret, cleaned)
        if complaint:
            self.add_error("password", complaint)
            return
        self.warnings += warnings
        cleaned["secret"] = secret

    def _opinion_of(self, secret: str, cleaned: dict[str, Any]) -> tuple[str | None, tuple[str, ...]]:
        """Why the secret cannot work, and what is doubtful about it: by the method, or by the provider itself."""
        if self.method is not None:
            account = cleaned.get("account", {})
            return (
                self.method.check_secret(account=account, secret=secret),
                self.method.doubt_secret(account=account, secret=secret),
            )
        username = cleaned.get("username", "")
        return self.kind.check_secret(secret, username), self.kind.warn_secret(secret, username)

    def _kept_secret(self, cleaned: dict[str, Any]) -> str:
        """What a blank field stands for; raises ValidationError if it stands for nothing."""
        if self.saved_draft is not None and self.saved_draft.password is not None:
            if self._only_host and cleaned.get("url") != self._only_host:
                raise ValidationError(
                    "Enter the password: the one that was read from a server goes to no other host than "
                    f"{self._only_host}."
                )
            return str(self.saved_draft.password.reveal())
        if self._is_new:
            raise ValidationError("Enter the password or token.")
        if "url" in cleaned and cleaned["url"] != self.was[0]:
            raise ValidationError(
                "Enter the password again: the host has changed, and the stored one goes to no other host."
            )
        if (self.method.slug if self.method else "") != self.was[1]:
            raise ValidationError("Enter the secret: the stored one was for another way to log in.")
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
            method=self.method.slug if self.method else "",
            account=self.cleaned_data.get("account", {}),
        )

    @property
    def typed_values(self) -> dict[str, str]:
        """What stands in the form, without the secret, to show it again."""
        values = {name: str(self.data[name]) for name in self.data if name in TYPED or name.startswith(ACCOUNT)}
        if "@" in values.get("url", ""):
            values["url"] = ""  # refused, and perhaps for a password in it
        if self._only_host and not self.data.get("password"):
            values[ONLY_HOST] = self._only_host  # the kept secret stays bound to it
        return values


def _choice(method: Method) -> str:
    """A method by its name; one that cannot be used here says so."""
    return f"{method.name} (not set up here)" if method.unavailable() else method.name


class DraftTestForm(RegistryForm):
    """The same form when Test is pressed: a name is not needed yet, and may be taken."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"].required = False

    def clean_name(self) -> str:
        return str(self.cleaned_data["name"])
