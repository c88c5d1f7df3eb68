"""How far a pull is, of the daemon's messages: JSON objects `{"status", "id", "progressDetail", "error"}`.

Progress is stored as `{"layers", "layers_done", "bytes", "bytes_total"}`; bytes are those that are downloaded, of the
layers whose size is known by now. The messages: https://docs.docker.com/reference/api/engine/ (ImageCreate), and as
observed with Docker 20.10 and 28.
"""

import re
from dataclasses import dataclass
from typing import Any

_LAYER = re.compile(r"[0-9a-f]{12}", re.ASCII)
_DIGEST = re.compile(r"Digest: (\w+:[0-9a-f]{32,})")
_DONE = frozenset({"Pull complete", "Already exists"})
_DOWNLOADED = frozenset({"Verifying Checksum", "Download complete", "Extracting", "Pull complete"})
# Said many times a second, or of no interest.
_UNSAID = frozenset({"Downloading", "Extracting", "Pulling fs layer", "Waiting", "Verifying Checksum"})
LONGEST_LINE = 300


@dataclass(slots=True)
class _Layer:
    status: str = ""
    current: int = 0
    total: int = 0


class PullProgress:
    """Adds up the messages of one pull."""

    def __init__(self) -> None:
        self._layers: dict[str, _Layer] = {}
        self.digest = ""
        self.error = ""

    def take(self, message: dict[str, Any]) -> str:
        """Count a message; answers the line to show of it, or ""."""
        if error := message.get("error"):
            self.error = str(error)
            return ""
        status, layer_id = str(message.get("status", "")), str(message.get("id", ""))
        if found := _DIGEST.match(status):
            self.digest = found[1]
        if _LAYER.fullmatch(layer_id):
            self._take_layer(self._layers.setdefault(layer_id, _Layer()), status, message.get("progressDetail"))
        if not status or status in _UNSAID:
            return ""
        return f"{layer_id}: {status}"[:LONGEST_LINE] if layer_id else status[:LONGEST_LINE]

    @property
    def facts(self) -> dict[str, int]:
        layers = self._layers.values()
        return {
            "layers": len(layers),
            "layers_done": sum(layer.status in _DONE for layer in layers),
            "bytes": sum(layer.current for layer in layers),
            "bytes_total": sum(layer.total for layer in layers),
        }

    def _take_layer(self, layer: _Layer, status: str, detail: object) -> None:
        layer.status = status
        if status == "Downloading" and isinstance(detail, dict):
            layer.current = _count(detail.get("current"))
            layer.total = max(_count(detail.get("total")), layer.current)
        elif status in _DOWNLOADED:
            layer.current = layer.total


def _count(value: object) -> int:
    return max(value, 0) if isinstance(value, int) else 0
