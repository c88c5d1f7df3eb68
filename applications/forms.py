"""Forms of projects and applications. What a line of them means stands in applications.container_settings."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from applications import container_settings, naming, pull_references
from applications.container_settings import InvalidSetting
from applications.models import CONTAINER_NAME_TAKEN, Application, Project
from applications.pull_references import PullReference
from dokreg.choices import FindableChoice, FindingForm
from dokreg.encryption import SecretUnreadable, validate_secret
from organisations.forms import OwnedForm
from organisations.models import Organisation
from registries.models import Registry
from registries.references import InvalidReference
from servers.forms import FOUND_IN
from servers.models import Server

# In the form, for the choice of one of the registries that are offered below the image.
OFFERED = "offered_registry"
# The same for an image that was picked from what the registry has.
PICKED = "picked_image"
UNREADABLE = "What is stored cannot be opened any more. Enter it again; left empty, it stays as it is."
_LINES = {"rows": 3, "spellcheck": "false", "autocapitalize": "off", "autocomplete": "off"}


class ProjectForm(OwnedForm[Project]):
    class Meta:
        model = Project
        fields = ["name", "description"]
        help_texts = {"name": "What its applications have in common, such as “Shop”."}


class RegistryChoice(FindableChoice):
    """A registry that the member may use, or none."""

    find_in = ("name", "url", "image_prefix")

    def label_from_instance(self, obj: Registry) -> str:
        return f"{obj.name} ({obj.url}{f'/{obj.image_prefix}' if obj.image_prefix else ''})"


class ServerChoice(FindableChoice):
    find_in = FOUND_IN


class ApplicationForm(FindingForm, OwnedForm[Application]):
    """Lists are typed as lines. The environment is the person's own text: this form alone gives it back to them."""

    ports = forms.CharField(
        required=False,
        widget=forms.Textarea({**_LINES, "placeholder": "8080:80\n127.0.0.1:5353:53/udp"}),
        help_text="One per line: the server’s port, a colon, the container’s. An IP address may stand before them, "
        "/udp or /sctp behind.",
    )
    environment = forms.CharField(
        required=False,
        strip=False,
        validators=[validate_secret],
        widget=forms.Textarea({**_LINES, "rows": 5, "placeholder": "DATABASE_URL=postgres://db/shop\nDEBUG=0"}),
        help_text="One NAME=value per line, as in an env file. Stored encrypted; read again only here.",
    )
    volumes = forms.CharField(
        required=False,
        widget=forms.Textarea({**_LINES, "placeholder": "files:/var/lib/files\n/srv/site:/site:ro"}),
        help_text="One per line: a named volume or a folder of the server, a colon, the place in the container; "
        ":ro behind it for read-only.",
    )
    command = forms.CharField(
        required=False,
        widget=forms.TextInput({"class": "mono", "spellcheck": "false", "autocomplete": "off"}),
        help_text="In place of the image’s own, with quotation marks as in a shell. No shell runs it.",
    )

    set_later = frozenset({"server"})  # the name of its container has an error of its own

    class Meta:
        model = Application
        fields = [
            "name", "description", "registry", "image", "server", "container_name", "ports", "volumes", "command",
            "restart_policy", "network", "health_command", "health_interval_seconds", "health_timeout_seconds",
            "health_retries", "health_start_seconds", "memory_mb", "cpus", "order", "settle_seconds", "stop_seconds",
            "poll_minutes",
        ]  # fmt: skip
        field_classes = {"server": ServerChoice}
        labels = {
            "container_name": "Container name",
            "restart_policy": "Restart policy",
            "health_command": "Health check",
            "health_interval_seconds": "Interval (s)",
            "health_timeout_seconds": "Timeout (s)",
            "health_retries": "Retries",
            "health_start_seconds": "Start period (s)",
            "memory_mb": "Memory (MiB)",
            "cpus": "CPUs",
            "order": "Order",
            "settle_seconds": "Up after (s)",
            "stop_seconds": "Time to stop (s)",
            "poll_minutes": "Look for a new image every (min)",
        }
        help_texts = {
            "name": "What your team calls it, such as “web”.",
            "container_name": "Empty: made of the project’s and the application’s names.",
            "network": "bridge, host, none, or a network that exists on the server.",
            "restart_policy": "What Docker does when the container ends, or the server starts anew.",
            "health_command": "A shell command in the container; exit code 0 means healthy. Empty: the image’s own, if "
            "it has one.",
            "memory_mb": "Empty: no limit. The least is 6.",
            "cpus": "Empty: no limit. 0.5 is half a CPU.",
            "order": "Starting first leaves no gap, but two containers cannot have the same ports, and two databases "
            "must not write to the same volume.",
            "settle_seconds": "Without a health check: so long the new container must have run to count as up.",
            "stop_seconds": "So long it may take to end by itself before it is killed.",
            "poll_minutes": "0: never. When the tag has a new digest it is deployed by itself. Looking is no pull, and "
            "counts against no quota.",
        }
        widgets = {
            "image": forms.TextInput(
                {"class": "mono", "placeholder": "myorg/myapp:latest", "spellcheck": "false", "autocapitalize": "none"}
            ),
            "container_name": forms.TextInput({"class": "mono", "spellcheck": "false", "autocapitalize": "none"}),
            "network": forms.TextInput({"class": "mono", "spellcheck": "false", "autocapitalize": "none"}),
            "health_command": forms.TextInput(
                {"class": "mono", "placeholder": "wget -q -O /dev/null http://localhost/", "spellcheck": "false"}
            ),
        }

    def __init__(
        self, *args: Any, organisation: Organisation, may_use_registries: bool, may_deploy: bool, **kwargs: Any
    ) -> None:
        super().__init__(*args, organisation=organisation, **kwargs)
        self.organisation = organisation
        self.is_unreadable = False
        self.fields["container_name"].required = False
        self.fields["registry"] = RegistryChoice(
            usable_registries(self.instance, organisation, may_use_registries=may_use_registries),
            label="Registry",
            required=False,
            empty_label="None (public image)",
            help_text="Whose account pulls it."
            if may_use_registries
            else "You may not use registries for applications; ask an owner for another one.",
        )
        self.fields["cpus"].widget.attrs["step"] = "any"
        if not may_deploy:
            self.fields["poll_minutes"].disabled = True
            self.fields["poll_minutes"].help_text = "A new image is deployed by itself, and you may not deploy."
        self._offer_servers()
        self._show_stored(kwargs.get("initial") or {})

    @property
    def is_new(self) -> bool:
        return self.instance._state.adding

    def _offer_servers(self) -> None:
        field = self.fields["server"]
        assert isinstance(field, forms.ModelChoiceField)  # noqa: S101 - for the type checker
        field.queryset = Server.objects.of(self.organisation)
        field.empty_label = "Choose a server"
        if self.is_new and len(servers := list(field.queryset[:2])) == 1:
            self.initial["server"] = self.initial.get("server") or servers[0].pk

    def _show_stored(self, typed: dict[str, Any]) -> None:
        """Stored lists as the lines that people write; what was typed already goes before it."""
        row = self.instance
        stored = {
            "ports": container_settings.as_lines(container_settings.ports_of(row.ports)),
            "volumes": container_settings.as_lines(container_settings.volumes_of(row.volumes)),
            "command": container_settings.as_command(row.command),
            "environment": self._stored_environment(),
        }
        self.initial.update({name: typed.get(name, text) for name, text in stored.items()})

    def _stored_environment(self) -> str:
        try:
            return self.instance.environment.reveal() if self.instance.environment is not None else ""
        except SecretUnreadable:
            self.is_unreadable = True
            self.fields["environment"].help_text = UNREADABLE
            return ""

    def clean_ports(self) -> list[dict[str, Any]]:
        return container_settings.stored(self._read("ports", container_settings.read_ports))

    def clean_volumes(self) -> list[dict[str, Any]]:
        return container_settings.stored(self._read("volumes", container_settings.read_volumes))

    def clean_command(self) -> list[str]:
        words: list[str] = self._read("command", container_settings.read_command)
        return words

    def clean_environment(self) -> str:
        self.cleaned_data["environment"] = text = self.cleaned_data["environment"].replace("\r\n", "\n")
        self._read("environment", container_settings.read_environment)
        return str(text)

    def _read(self, name: str, read: Callable[[str], Any]) -> Any:
        try:
            return read(self.cleaned_data[name])
        except InvalidSetting as error:
            raise ValidationError(str(error)) from error

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        self._clean_image(cleaned)
        self._clean_ports(cleaned)
        self._clean_container_name(cleaned)
        return cleaned

    def _clean_container_name(self, cleaned: dict[str, Any]) -> None:
        name, server, row = cleaned.get("container_name"), cleaned.get("server"), self.instance
        if server is None or "container_name" in self.errors:
            return
        if not name:
            name = naming.free_container_name(project=row.project, name=cleaned.get("name", ""), server=server, but=row)
            cleaned["container_name"] = name
        elif naming.is_taken(name, server=server, but=row):
            self.add_error("container_name", CONTAINER_NAME_TAKEN)

    def _clean_image(self, cleaned: dict[str, Any]) -> None:
        if not cleaned.get("image") or "registry" in self.errors:
            return
        try:
            reference = pull_references.compose(registry=cleaned["registry"], image=cleaned["image"])
        except InvalidReference as error:
            self.add_error("image", str(error))
            return
        if reference.digest and cleaned.get("poll_minutes"):
            self.add_error("poll_minutes", "The image is pinned to a digest, which never becomes another: enter 0.")

    def _clean_ports(self, cleaned: dict[str, Any]) -> None:
        if not cleaned.get("ports"):
            return
        if cleaned.get("network") == "host":
            self.add_error("ports", "In the network host the container has the server’s ports itself: name none here.")
        elif cleaned.get("order") == Application.Order.START_FIRST:
            self.add_error("order", "Two containers cannot have the same ports: with ports the old one stops first.")

    @property
    def new_environment(self) -> str | None:
        """The environment to store, or None to keep the stored one."""
        text = str(self.cleaned_data["environment"])
        return None if self.is_unreadable and not text else text

    @property
    def pull_reference(self) -> PullReference | None:
        """Of what stands in the form; None before anything does."""
        registries = self.fields["registry"].queryset  # type: ignore[attr-defined]
        chosen = str(self["registry"].value() or "")
        return pull_reference(
            organisation=self.organisation,
            registry=registries.filter(pk=chosen).first() if chosen else None,
            image=str(self["image"].value() or ""),
        )


def usable_registries(application: Application, organisation: Organisation, *, may_use_registries: bool) -> Any:
    """The registries that the choice offers: all, or only the one that is set already."""
    rows = Registry.objects.of(organisation).defer("password", "token", "account")
    return rows if may_use_registries else rows.filter(pk=application.registry_id)


def pull_reference(*, organisation: Organisation, registry: Registry | None, image: str) -> PullReference | None:
    """The line below the image; None while nothing is typed."""
    if not image.strip():
        return None
    return pull_references.describe(organisation=organisation, registry=registry, image=image)
