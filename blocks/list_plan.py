"""The places at which a job may be tried, in order, from the fall-back list of a project or of a job block."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from ..core.errors import ProjectError, VertexError
from ..core.regional.fallback_entry import FallbackEntry
from ..project.settings.fallback_settings import FallbackSettings
from ..project.settings.job_settings import JobSettings
from ..project.settings.settings import Settings
from ..vertex.fallback.tries import Place as ShownPlace
from ..vertex.preflight.resource_places import accelerator_regions
from ..vertex.pricing.hourly_rate import hourly_rate
from ..vertex.pricing.price_list import PriceList, built_in_prices


class OwnPlace(Protocol):
    """Where the job runs if nothing else is said."""

    @property
    def region(self) -> str:
        """As "europe-west4"."""
        ...

    @property
    def bucket(self) -> str:
        """Name of the bucket for output."""
        ...

    @property
    def local(self) -> bool:
        """Whether the job runs on this machine."""
        ...


@dataclass(frozen=True, slots=True)
class ListedSettings:
    """What decides the places.

    Attributes:
        fallback: The list.
        job: The job at its own place.
        has_data: Whether it reads data sets, which may not leave the allowed regions.
        where: Where the list stands, for error messages.
    """

    fallback: FallbackSettings
    job: JobSettings
    has_data: bool = False
    where: str = "[tool.vertex-training]"


STANDARD_WAIT = 15 * 60.0
"""Seconds in which a job must get machines where nobody has said how many."""

FLEX_START_WAIT = 24 * 3600.0
"""Likewise with FLEX_START, which waits by itself for so long."""


@dataclass(frozen=True, slots=True)
class ListedPlace:
    """One place of the list.

    Attributes:
        region: As "europe-west4".
        bucket: Name of the bucket for output.
        job: The project's job with what this place changes.
        wait: Seconds in which the job must get machines.
        own: Whether it is in the run's own region.
    """

    region: str
    bucket: str
    job: JobSettings
    wait: float
    own: bool

    @property
    def shown(self) -> ShownPlace:
        """For people."""
        return ShownPlace(self.region, str(self.job.machine), self.job.strategy)


def listed_settings(settings: Settings) -> ListedSettings:
    """What decides the places of a project's run."""
    return ListedSettings(settings.fallback, settings.job, has_data=bool(settings.data))


HasQuota = Callable[[str], bool | None]
"""Whether a region has quota for the job; None where that isn't known."""


def list_places(
    settings: ListedSettings,
    place: OwnPlace,
    *,
    ignored: Collection[str] = (),
    has_quota: HasQuota = lambda _: None,
    prices: Sequence[PriceList] = (),
) -> list[ListedPlace]:
    """Every place at which the job may be tried; empty for a run without a list.

    Args:
        settings: The list and the job.
        place: Where the run's block says that the job runs: the first place, unless the list is "auto".
        ignored: Regions that are left out.
        has_quota: For "auto": asked for each allowed region.
        prices: For "auto": where prices are looked up before the built-in table.

    Raises:
        ProjectError: An entry can't be: no bucket is known there, or data would leave the allowed regions.
        VertexError: A region doesn't offer the accelerator, or every place is ignored.
    """
    own = settings.fallback
    if not own.is_set:
        return []
    if own.automatic:
        entries = _automatic(settings, place, has_quota, [*prices, built_in_prices()])
    else:
        entries = [FallbackEntry(), *own.entries]
    made = [_place(settings, place, entry, number) for number, entry in enumerate(entries)]
    for number, each in enumerate(made):
        _check(settings, each, _named(own, number))
    if all(each.region in ignored for each in made):
        raise VertexError(
            "every place of the fall-back list is in a region that is ignored",
            where=", ".join(sorted(ignored)),
            next_step="Ignore fewer regions, or add a place to the list",
        )
    return made


def _named(own: FallbackSettings, number: int) -> str:
    if own.automatic:
        return 'a place of fallback = "auto"'
    return f"entry {number} of the fall-back list" if number else "the job's own place"


def _place(settings: ListedSettings, place: OwnPlace, entry: FallbackEntry, number: int) -> ListedPlace:
    own, job = settings.fallback, settings.job
    region = entry.region or place.region
    strategy = entry.strategy or job.strategy
    waits_itself = strategy == "FLEX_START"
    max_wait = (job.max_wait if entry.max_wait is None else entry.max_wait) if waits_itself else None
    machine = entry.machine(job.machine)
    elsewhere = region != place.region
    changed = replace(job, machine=machine, strategy=strategy, max_wait=max_wait)
    if elsewhere:  # what belongs to a region can't be used in another one
        kept = machine if entry.reservation else replace(machine, reservation=None)
        changed = replace(changed, machine=kept, output=None, tensorboard=None, persistent_resource=None)
    usual = (max_wait or FLEX_START_WAIT) if waits_itself else STANDARD_WAIT
    return ListedPlace(
        region=region,
        bucket=_bucket(settings, place, entry, region, _named(own, number)),
        job=changed,
        wait=entry.wait or own.wait or usual,
        own=not elsewhere,
    )


def _bucket(settings: ListedSettings, place: OwnPlace, entry: FallbackEntry, region: str, named: str) -> str:
    if entry.bucket:
        return entry.bucket
    if region == place.region or place.local:  # buckets of this machine are in every region
        return place.bucket
    if settings.fallback.bucket:
        return settings.fallback.bucket.replace("{region}", region)
    raise ProjectError(
        f"{named} is in {region}, and no bucket is named there: a job writes to a bucket of its own region",
        where=settings.where,
        next_step=f'Add bucket = "NAME" to it, or set fallback-bucket = "NAME-{{region}}"; to make one: '
        f"gcloud storage buckets create gs://NAME --location={region}",
    )


def _check(settings: ListedSettings, each: ListedPlace, named: str) -> None:
    kind = each.job.machine.accelerator_type
    offered = accelerator_regions().get(kind or "")
    if offered and each.region not in offered:
        raise VertexError(
            f"{named}: {kind} is not offered in {each.region} for training",
            where=settings.where,
            next_step=f"Use one of its regions: {', '.join(sorted(offered))}",
            kind="invalid_request",
        )
    if settings.has_data and not each.own and each.region not in settings.fallback.allowed_regions:
        raise ProjectError(
            f"{named} would take the run's data to {each.region}, and allowed-regions doesn't name it",
            where=settings.where,
            next_step=f'Add "{each.region}" to allowed-regions if the data may go there, or remove the place',
        )


def _automatic(
    settings: ListedSettings, place: OwnPlace, has_quota: HasQuota, prices: Sequence[PriceList]
) -> list[FallbackEntry]:
    """The allowed regions that offer the job's accelerator: with quota, then cheap, then near the data."""
    job = settings.job
    offered = accelerator_regions().get(job.machine.accelerator_type or "")
    usable = [region for region in settings.fallback.allowed_regions if not offered or region in offered]
    ranked = list(_ranked(job, usable, place.region, has_quota, prices))
    if not ranked:
        raise VertexError(
            f"no allowed region has machines and quota for {job.machine}",
            where=", ".join(settings.fallback.allowed_regions),
            next_step="Add a region to allowed-regions, or ask for quota there",
            kind="quota",
        )
    return [FallbackEntry(region=region) for _, region in sorted(ranked)]


def _ranked(
    job: JobSettings, regions: Sequence[str], own: str, has_quota: HasQuota, prices: Sequence[PriceList]
) -> Iterator[tuple[tuple[int, float, int], str]]:
    for region in regions:
        quota = has_quota(region)
        if quota is False:
            continue
        usd = hourly_rate(job, region, prices).usd
        yield (0 if quota else 1, float("inf") if usd is None else usd, 0 if region == own else 1), region
