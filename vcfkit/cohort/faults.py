"""What is wrong with a cohort: one `Fault` each, all of them in one `CohortError`."""

from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong: which sample, which field, what is required, what was found, what to do
    next."""

    sample: str
    field: str
    required: str
    found: str
    next_step: str

    def __str__(self) -> str:
        return f"{self.sample}: {self.field} {self.found}; {self.required} required. Next: {self.next_step}"


class CohortError(ValueError):
    """All faults of a cohort; prints as one plain-text table, a line per fault."""

    def __init__(self, faults: Iterable[Fault]):
        self.faults = tuple(faults)
        super().__init__(self.faults)

    def __str__(self) -> str:
        return self.told("nothing was run")

    def told(self, consequence: str = "") -> str:
        """The count, what follows from the faults, and the table."""
        header = tuple(field.name.replace("_", " ") for field in fields(Fault))
        # A stray line break inside a cell would break the table.
        rows = [tuple(" ".join(cell.split()) for cell in astuple(fault)) for fault in self.faults]
        widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
        lines = [header, tuple("-" * width for width in widths), *rows]
        table = "\n".join(
            " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
        )
        count = len(self.faults)
        follows = f"; {consequence}" if consequence else ""
        return f"{count} {'fault' if count == 1 else 'faults'} in the cohort{follows}.\n{table}"
