"""Static files under names that tell their content, compressed; each is there whole or not at all."""

from pathlib import Path
from typing import Any

from whitenoise.storage import CompressedManifestStaticFilesStorage


class StaticFiles(CompressedManifestStaticFilesStorage):  # type: ignore[misc]  # the package has no types
    """A collection that breaks off, as on a full disk, leaves no file that the next one would take for good."""

    def _save(self, name: str, content: Any) -> str:
        draft = Path(self.path(super()._save(f"{name}.part", content)))
        draft.replace(self.path(name))
        return name
