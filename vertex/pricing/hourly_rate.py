"""What an hour of a job costs: the sum over its replicas of machine, accelerators and disk.

Vertex AI charges Compute Engine's list price plus a management fee of 15 % of it. For SPOT and FLEX_START two bills
come: Compute Engine's own price, and the fee, which stays 15 % of the list price. Checked against bills and published
prices in tests/vertex/pricing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ...core.job_options import JobOptions, Machine
from ...core.machine_types import MACHINE_SHAPES, MachineShape, default_disk
from .price_list import Basis, Part, PartKey, PriceList

MANAGEMENT_FEE = 0.15
"""Vertex AI's fee as a part of the list price."""

_SHARED_SERIES = {"a3-megagpu": "A3PLUS", "a3-ultragpu": "A3ULTRA"}
"""Machine types that are billed under another name than their series."""


class UnknownPriceError(Exception):
    """A part has no price in any of the lists; the text names it."""


@dataclass(frozen=True, slots=True)
class HourlyRate:
    """The price of an hour of a job.

    Attributes:
        usd: In USD an hour, fee included; None if a part's price is not known.
        unknown: The parts without a price, as a person reads them; empty if all are known.
        source: The price list or lists, with their dates.
    """

    usd: float | None
    unknown: Sequence[str]
    source: str

    def __str__(self) -> str:
        """For example "0.44 USD an hour (built-in table of 2026-11-29)"."""
        if self.usd is None:
            return f"unknown: no price of {', '.join(self.unknown)}"
        return f"{self.usd:.2f} USD an hour ({self.source})"


class _Amount(NamedTuple):
    """So many units of a part, by the names under which it may be priced."""

    part: Part
    name: str
    units: float


def hourly_rate(job: JobOptions, region: str, lists: Sequence[PriceList]) -> HourlyRate:
    """The price of an hour of this job.

    Args:
        job: Machines, pools and strategy.
        region: As "us-central1".
        lists: Where prices are looked up; each part is taken from the first list that has it.
    """
    basis: Basis = job.strategy if job.strategy != "STANDARD" else "list"
    total, unknown, sources = 0.0, dict[str, None](), dict[str, None]()
    lookup = _Lookup(lists, region)
    for machine, replicas in _machines(job):
        try:
            total += replicas * (_machine_rate(lookup, machine, basis) + _disk_rate(lookup, machine))
        except UnknownPriceError as error:
            unknown[str(error)] = None
    sources |= dict.fromkeys(lookup.used)
    return HourlyRate(None if unknown else total, list(unknown), ", ".join(sources))


def _machines(job: JobOptions) -> Iterator[tuple[Machine, int]]:
    yield job.machine, job.replicas
    for pool in job.pools.values():
        yield pool.machine or job.machine, pool.replicas


class _Lookup:
    """Finds prices in a region, and remembers which lists had them."""

    def __init__(self, lists: Sequence[PriceList], region: str) -> None:
        self.used: dict[str, None] = {}
        self._lists = lists
        self._region = region

    def find(self, part: Part, name: str, basis: Basis) -> float | None:
        key = PartKey(part, name, self._region, basis)
        for prices in self._lists:
            if (price := prices.prices.get(key)) is not None:
                self.used[str(prices)] = None
                return price
        return None

    def sum(self, amounts: Sequence[_Amount], basis: Basis) -> float:
        found = [(amount, self.find(amount.part, amount.name, basis)) for amount in amounts]
        if missing := next((amount for amount, price in found if price is None), None):
            how = "" if basis == "list" else f" with {basis}"
            raise UnknownPriceError(f"{missing.name} ({missing.part}){how} in {self._region}")
        return sum(amount.units * (price or 0.0) for amount, price in found)


def _machine_rate(lookup: _Lookup, machine: Machine, basis: Basis) -> float:
    """A machine with its accelerators, fee included, without its disk."""
    listed = _price_of(lookup, machine, "list")
    if basis == "list":
        return listed * (1 + MANAGEMENT_FEE)
    return _price_of(lookup, machine, basis) + MANAGEMENT_FEE * listed


def _price_of(lookup: _Lookup, machine: Machine, basis: Basis) -> float:
    whole = lookup.find("machine", machine.machine_type, basis)
    return whole if whole is not None else lookup.sum(_parts(lookup, machine, basis), basis)


def _parts(lookup: _Lookup, machine: Machine, basis: Basis) -> list[_Amount]:
    shape = MACHINE_SHAPES.get(machine.machine_type)
    if shape is None or not shape.vcpus or machine.machine_type.startswith(("ct", "tpu")):
        raise UnknownPriceError(machine.machine_type)
    series = series_of(machine.machine_type)
    parts = [_Amount("core", series, shape.vcpus), _Amount("ram", series, shape.memory_gb)]
    if machine.accelerator_type:
        parts.append(_Amount("accelerator", machine.accelerator_type, machine.accelerator_count))
    parts.extend(_local_ssd(lookup, shape, series, basis))
    return parts


def _local_ssd(lookup: _Lookup, shape: MachineShape, series: str, basis: Basis) -> Iterator[_Amount]:
    """Local SSD where it has a price of its own: a bill of an A3 on demand shows none."""
    if shape.local_ssd_gb and lookup.find("local-ssd", series, basis) is not None:
        yield _Amount("local-ssd", series, shape.local_ssd_gb)


def _disk_rate(lookup: _Lookup, machine: Machine) -> float:
    kind = machine.boot_disk_type or default_disk(machine.machine_type)
    return lookup.sum([_Amount("disk", kind, machine.boot_disk_gb)], "list") * (1 + MANAGEMENT_FEE)


def series_of(machine_type: str) -> str:
    """The series under which a machine type's cores and memory are priced: "N1" for n1-highmem-4."""
    family = machine_type.rpartition("-")[0]
    return _SHARED_SERIES.get(family) or machine_type.partition("-")[0].upper()
