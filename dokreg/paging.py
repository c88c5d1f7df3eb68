"""Pages of what grows for ever."""

from functools import cached_property
from typing import Any

from django.core.paginator import Paginator


class BoundedPaginator(Paginator[Any]):
    """Counts no further than `MOST` rows: who looks for something older than that narrows the list down.

    A database counts rows by reading them, and finds the millionth by reading all before it. Addresses are those of
    every other list: `?page=3`.
    """

    MOST = 10_000

    @cached_property
    def count(self) -> int:
        """How many rows can be reached."""
        return min(self._counted, self.MOST)

    @property
    def is_cut(self) -> bool:
        """Whether there are more rows than can be reached."""
        return self._counted > self.MOST

    @cached_property
    def _counted(self) -> int:
        rows: Any = self.object_list
        return int(rows[: self.MOST + 1].count())
