"""Form widgets that take a secret and never give it back."""

from typing import Any

from django import forms


class SecretTextarea(forms.Textarea):
    """A text area that never shows what was typed into it: a secret goes in, and not back to a browser."""

    def format_value(self, value: Any) -> None:  # noqa: ARG002 - Django's signature
        return None
