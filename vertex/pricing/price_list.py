"""Prices of the parts of machines, from any source: the built-in table, the billing catalog, a person's own file."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from ...core.errors import ProjectError

Part = Literal["core", "ram", "accelerator", "disk", "local-ssd", "machine"]
"""A vCPU, a GB of memory, one accelerator, a GB of disk or of local SSD, or a whole machine with its accelerators."""

Basis = Literal["list", "SPOT", "FLEX_START"]
"""What is paid: the list price, or Compute Engine's price of a machine that can be taken away or was waited for."""

BUILT_IN = Path(__file__).with_name("list_prices.csv")
"""Prices that come with the package, with their date in the first lines."""

_COLUMNS = ("kind", "name", "region", "basis", "usd")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


class PartKey(NamedTuple):
    """What a price is for.

    Attributes:
        part: The part.
        name: The series of cores, memory and local SSD ("N1"), the accelerator's or disk's name, or the machine type.
        region: As "us-central1".
        basis: What is paid.
    """

    part: Part
    name: str
    region: str
    basis: Basis


@dataclass(frozen=True, slots=True)
class PriceList:
    """Prices of parts in USD an hour, without Vertex AI's management fee.

    Attributes:
        prices: The price of each part.
        source: Where they come from, as a person reads it: "built-in table", "billing catalog".
        date: The day on which they were true, as 2026-11-29; empty if nobody said.
    """

    prices: Mapping[PartKey, float]
    source: str
    date: str

    def __str__(self) -> str:
        """For example "built-in table of 2026-11-29"."""
        return f"{self.source} of {self.date}" if self.date else self.source


@cache
def built_in_prices() -> PriceList:
    """The prices that come with the package; they cover few regions and machines."""
    return read_prices(BUILT_IN, source="built-in table")


def read_prices(path: Path, *, source: str = "") -> PriceList:
    """Reads a table of prices.

    Args:
        path: A CSV file with the columns kind, name, region, basis and usd, as in the built-in table. Lines that begin
            with `#` are comments; the first date in one is the table's.
        source: What the table is called; default: the file's name.

    Raises:
        ProjectError: The file can't be read, or a line is no price.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ProjectError(f"the prices can't be read: {error}", where=str(path), next_step="Name a CSV file") from None
    comments = " ".join(line for line in lines if line.startswith("#"))
    found = _DATE.search(comments)
    numbered = [(number, line) for number, line in enumerate(lines, 1) if line.strip() and not line.startswith("#")]
    return PriceList(dict(_rows(path, numbered)), source or path.name, found[0] if found else "")


def _rows(path: Path, numbered: list[tuple[int, str]]) -> Iterable[tuple[PartKey, float]]:
    reader = csv.DictReader(line for _, line in numbered)
    if missing := [name for name in _COLUMNS if name not in (reader.fieldnames or ())]:
        raise ProjectError(
            f"the price table has no column {missing[0]!r}",
            where=str(path),
            next_step=f"Begin it with the line: {','.join(_COLUMNS)}",
        )
    for (number, _), row in zip(numbered[1:], reader, strict=False):
        yield _price(path, number, row)


def _price(path: Path, number: int, row: Mapping[str, str | None]) -> tuple[PartKey, float]:
    part, name, region, basis, usd = (str(row[name] or "").strip() for name in _COLUMNS)
    try:
        price = float(usd)
    except ValueError:
        price = -1.0
    known = part in get_args(Part) and basis in get_args(Basis)
    if not known or not name or not region or not 0 <= price < float("inf"):
        raise ProjectError(
            f"this line is no price: {part},{name},{region},{basis},{usd}",
            where=f"{path}, line {number}",
            next_step=f"Use a kind of {', '.join(get_args(Part))}, a basis of {', '.join(get_args(Basis))}, and USD",
        )
    return PartKey(part, name, region, basis), price  # pyright: ignore[reportArgumentType] - both were just looked up
