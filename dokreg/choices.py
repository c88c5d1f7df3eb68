"""The choice of one row out of any number: a page never has more of them than a person reads.

Of many rows the first stand in the list, or those that a search by name has found; the chosen one always does. The
search is a field beside the list: with JavaScript the list follows it, without it the button Find, or any other of
the form, brings the form back with what was found.
"""

from collections.abc import Iterator
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Model, Q, QuerySet
from django.forms.models import ModelChoiceIterator

MOST = 50
FIND, ASKED = "_find", "_asked"  # behind the name of the field: what is searched for, and the button Find


class FindableSelect(forms.Select):
    """A list, and a search if there is more than fits into it."""

    template_name = "components/findable.html"
    find, is_asked = "", False
    address = ""  # of the form, where it is not that of the page

    def value_from_datadict(self, data: Any, files: Any, name: str) -> Any:
        self.find = str(data.get(f"{name}{FIND}", "")).strip()
        self.is_asked = f"{name}{ASKED}" in data
        return super().value_from_datadict(data, files, name)

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        rows: Rows = self.choices  # type: ignore[assignment]  # set by the field
        chosen = str(value or "")
        found = rows.shown(self.find, chosen)
        if self.find and len(found.rows) == 1:
            chosen = str(found.rows[0].pk)  # seen before it is sent
        self.choices = found.choices
        try:
            context = super().get_context(name, chosen, attrs)
        finally:
            self.choices = rows
        context["widget"] |= {"find": self.find, "address": self.address, "found": found}
        return context


class Found:
    """What stands in the list: the rows that were found, and the choices made of them."""

    def __init__(self, rows: list[Model], choices: list[tuple[Any, Any]], *, is_many: bool, is_cut: bool) -> None:
        self.rows, self.choices, self.is_many, self.is_cut = rows, choices, is_many, is_cut

    def __str__(self) -> str:
        """How many were found, for people."""
        if self.is_cut:
            return f"The first {MOST} are listed. Type a part of a name to find others."
        return f"{len(self.rows)} found: choose one." if self.rows else "Nothing has this in its name."


class Rows(ModelChoiceIterator):  # type: ignore[type-arg]
    """The choices of a field, of which a page shows some."""

    field: "FindableChoice"

    def shown(self, find: str, chosen: str) -> Found:
        every: QuerySet[Any] = self.queryset
        rows = list(self.field.matching(find)[: MOST + 1])
        is_many = len(rows) > MOST or (bool(find) and len(every.order_by().values("pk")[: MOST + 1]) > MOST)
        listed = rows[:MOST]
        if chosen and all(str(row.pk) != chosen for row in listed):
            listed = [*every.filter(pk=chosen), *listed]
        choices: list[tuple[Any, Any]] = [("", self.field.empty_label or ""), *map(self.choice, listed)]
        return Found(rows[:MOST], choices, is_many=is_many, is_cut=len(rows) > MOST)


class FindableChoice(forms.ModelChoiceField):  # type: ignore[type-arg]
    """A choice of a row; `find_in` are the columns that a search looks into."""

    widget = FindableSelect
    iterator = Rows
    find_in: tuple[str, ...] = ("name",)

    def matching(self, find: str) -> QuerySet[Any]:
        """The rows that have it in one of their columns; all for ""."""
        wanted = Q()
        for column in self.find_in:
            wanted |= Q(**{f"{column}__icontains": find})
        rows: QuerySet[Any] = self.queryset  # type: ignore[assignment]  # never None here
        return rows.filter(wanted) if find else rows.all()

    def clean(self, value: Any) -> Any:
        """The chosen row. Where something is searched for it has to be one of those that were found."""
        find, is_asked = self._select.find, self._select.is_asked
        if is_asked:
            raise ValidationError(self._to_do(find))
        row = super().clean(value) if value or not find else None
        if find and (row is None or not self.matching(find).filter(pk=row.pk).exists()):
            raise ValidationError(self._to_do(find))
        return row

    @property
    def _select(self) -> FindableSelect:
        select: Any = self.widget  # which Django makes of the class above
        return select  # type: ignore[no-any-return]

    def _to_do(self, find: str) -> str:
        if not find:
            return "Type a part of the name, and choose one of those that are found."
        if not self.matching(find).exists():
            return f"Nothing has “{find}” in its name. Try another part of it."
        return f"Choose one of those that have “{find}” in their name, or empty the search."


class FindingForm(forms.BaseForm):
    """A form with such choices: while somebody searches, only the search is answered."""

    @property
    def is_finding(self) -> bool:
        """Whether the button Find was pressed; nothing is saved then."""
        return self.is_bound and any(self._asked())

    def full_clean(self) -> None:
        super().full_clean()
        asked = set(self._asked())
        for name in set(self.errors) - asked if asked else ():
            del self.errors[name]

    def _asked(self) -> Iterator[str]:
        for name, field in self.fields.items():
            if isinstance(field.widget, FindableSelect) and f"{self.add_prefix(name)}{ASKED}" in self.data:
                yield name
