"""The short forms of registries: where to test, and what people paste; and what they share with the long one."""

from typing import Any

from django import forms
from django.urls import reverse

from dokreg.choices import FindableChoice, FindingForm
from dokreg.widgets import SecretTextarea
from organisations.models import Organisation
from registries import references
from registries.models import Registry
from servers import docker
from servers.forms import FOUND_IN
from servers.models import Server

MAX_PASTED = 256 * 1024


class ServerChoice(FindableChoice):
    """A server of the organisation, or dokreg's own host."""

    find_in = FOUND_IN

    def __init__(self, organisation: Organisation, **options: Any) -> None:
        own = docker.OWN_HOST if docker.own_host_has_docker() else f"{docker.OWN_HOST} (has no Docker)"
        super().__init__(Server.objects.of(organisation), required=False, empty_label=own, **options)


class SavedTestForm(FindingForm, forms.Form):
    """Where to test a saved registry, and with which image."""

    image = forms.CharField(label="Image", required=False, max_length=512, help_text="Optional: may it be pulled?")

    field_order = ["server", "image"]

    def __init__(self, *args: Any, registry: Registry, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.registry = registry
        self.fields["server"] = ServerChoice(registry.organisation, label="Server", initial=registry.server_id)
        self.fields["server"].widget.address = reverse(
            "registries:test", kwargs={"organisation": registry.organisation.slug, "registry_id": registry.pk}
        )
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
