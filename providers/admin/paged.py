"""Rows of a page that may be many: a form for each of a thousand takes seconds to be drawn."""

from __future__ import annotations

from typing import Any, ClassVar

from unfold.forms import PaginationInlineFormSet

PER_PAGE = 100


class PagedFormSet(PaginationInlineFormSet):
    """`unique` is the field in which no two rows of one parent may be the same."""

    unique: ClassVar[str]
    taken: ClassVar[str]  # what is said of one that another page has

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if self.is_bound:  # a row that was on this page when it was opened may be on another by now
            self._queryset = self.queryset

    def get_page_num(self) -> int:
        try:
            return int(super().get_page_num())
        except ValueError:  # of "²", which the theme takes for a number
            return 1

    def clean(self) -> None:
        """Django compares the rows of this page alone."""
        super().clean()
        here = [row.instance.pk for row in self.initial_forms]
        elsewhere = set(self.queryset.exclude(pk__in=here).values_list(self.unique, flat=True))
        for row in self.forms:
            value = row.cleaned_data.get(self.unique) if not self._should_delete_form(row) else None
            if getattr(value, "pk", value) in elsewhere:
                row.add_error(self.unique, self.taken)
