"""The part of `[tool.vertex-training]` that says where else a job may run: `fallback` and `allowed-regions`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...core.errors import ProjectError
from ...core.job_fields import ALLOWED_REGIONS, FALLBACK, FALLBACK_BUCKET, FALLBACK_ROUNDS, WAIT
from ...core.regional.fallback_entry import FallbackEntry
from ...core.regional.regions import REGIONS
from ...core.security.parsed_text import parse_json
from .job_settings import JOB_KEYS
from .readers import Keys, count, duration, matching, read_table, text

BUCKET = r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]"
ENTRY = FALLBACK.key


@dataclass(frozen=True, slots=True, kw_only=True)
class FallbackSettings:
    """Where else a job may run.

    Attributes:
        entries: The places after the job's own, in order.
        automatic: Whether the places are chosen: the allowed regions, the cheapest that has quota first.
        allowed_regions: Regions to which the job's data may go; empty where nobody has said.
        wait: Seconds in which a job must get machines, at each place that names no time of its own.
        rounds: How often the list is gone through.
        bucket: Name of the bucket in another region, with `{region}` in it; None where each entry names its own.
    """

    entries: tuple[FallbackEntry, ...] = ()
    automatic: bool = False
    allowed_regions: tuple[str, ...] = ()
    wait: float | None = WAIT.default
    rounds: int = FALLBACK_ROUNDS.default
    bucket: str | None = FALLBACK_BUCKET.default

    @property
    def is_set(self) -> bool:
        """Whether there is a list."""
        return self.automatic or bool(self.entries)


def _seconds(value: object) -> float:
    if (found := duration(value)) <= 0:
        raise ValueError
    return found


def _region(value: object) -> str:
    return matching(r"[a-z]+-[a-z]+\d+")(value)


def _regions(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError
    return tuple(dict.fromkeys(map(_region, value)))


def _bucket(value: object) -> str:
    return matching(BUCKET)(text(value).removeprefix("gs://").rstrip("/"))


def _template(value: object) -> str:
    found = text(value).removeprefix("gs://").rstrip("/")
    if "{region}" not in found or not re.fullmatch(BUCKET, found.replace("{region}", "r")):
        raise ValueError
    return found


def _list(value: object) -> object:
    if value == "auto" or (isinstance(value, list) and value and all(isinstance(each, dict) for each in value)):
        return value
    raise TypeError


def _rounds(value: object) -> int:
    if not FALLBACK_ROUNDS.minimum <= (found := count(value)) <= FALLBACK_ROUNDS.maximum:
        raise ValueError
    return found


_TAKEN = ("machine-type", "accelerator-type", "accelerator-count", "reservation", "strategy", "max-wait")

_ENTRY_KEYS: Keys = {
    **{key: JOB_KEYS[key] for key in _TAKEN},
    "region": ('a region, as "europe-west4"', _region),
    "bucket": ("the name of a bucket in that region", _bucket),
    WAIT.key: (WAIT.rule, _seconds),
}

FALLBACK_KEYS: Keys = {
    ENTRY: (FALLBACK.expected, _list),
    ALLOWED_REGIONS.key: (ALLOWED_REGIONS.rule, _regions),
    WAIT.key: (WAIT.rule, _seconds),
    FALLBACK_ROUNDS.key: (FALLBACK_ROUNDS.rule, _rounds),
    FALLBACK_BUCKET.key: (FALLBACK_BUCKET.rule, _template),
}
"""The keys of `[tool.vertex-training]` that belong to the list."""


def fallback_settings(values: dict[str, Any], table: str, file: Path) -> FallbackSettings:
    """Takes the list out of a project's settings.

    Args:
        values: Values as `read_table` returned them; those of the list are removed.
        table: Name of the table, for error messages.
        file: The file that holds it, for error messages.

    Raises:
        ProjectError: An entry is wrong, or can't be.
    """
    given = values.pop(ENTRY, [])
    made = FallbackSettings(
        allowed_regions=values.pop("allowed_regions", ()),
        wait=values.pop("wait", None),
        rounds=values.pop("fallback_rounds", FALLBACK_ROUNDS.default),
        bucket=values.pop("fallback_bucket", None),
    )
    return checked(_with_list(made, given, f"{table}.{ENTRY}", file), str(file))


def _with_list(made: FallbackSettings, given: object, table: str, file: Path) -> FallbackSettings:
    if given == "auto":
        return replace(made, entries=(), automatic=True)
    tables: Sequence[Mapping[str, Any]] = given if isinstance(given, list) else []
    entries = tuple(FallbackEntry(**read_table(each, _ENTRY_KEYS, table, file)) for each in tables)
    return replace(made, entries=entries, automatic=False)


def with_given(own: FallbackSettings, lines: Sequence[str], allowed: Sequence[str]) -> FallbackSettings:
    """The settings with a run's choices in place of its own.

    Args:
        own: Those of the project.
        lines: "auto" alone, or entries, each as `region=europe-west4,strategy=SPOT` or JSON; empty for the project's.
        allowed: Regions to which data may go; empty for the project's.

    Raises:
        ProjectError: A line has another form, or an entry can't be.
    """
    place = "--fallback"
    made = _with_lines(own, lines, place) if lines else own
    if allowed:
        values = read_table({"allowed-regions": list(allowed)}, FALLBACK_KEYS, "the run", Path("--allowed-region"))
        made = replace(made, allowed_regions=values["allowed_regions"])
    return checked(made, place) if lines or allowed else made


def settings_of_block(
    lines: Sequence[str], allowed: Sequence[str], *, wait: float | None, rounds: int, bucket: str | None
) -> FallbackSettings:
    """The settings that the fields of a job block have.

    Args:
        lines: As for `with_given`; empty for no list.
        allowed: The allowed regions.
        wait: Seconds in which a job must get machines.
        rounds: How often the list is gone through.
        bucket: Name of the bucket in another region.

    Raises:
        ProjectError: A line has another form, a value is wrong, or an entry can't be.
    """
    place = "the job block"
    given = {
        ALLOWED_REGIONS.key: list(allowed),
        WAIT.key: wait,
        FALLBACK_ROUNDS.key: rounds,
        FALLBACK_BUCKET.key: bucket,
    }
    values = read_table({key: value for key, value in given.items() if value}, FALLBACK_KEYS, "block", Path(place))
    made = fallback_settings(values, "block", Path(place))
    return checked(_with_lines(made, lines, place), place) if lines else made


def _with_lines(own: FallbackSettings, lines: Sequence[str], place: str) -> FallbackSettings:
    given = "auto" if list(lines) == ["auto"] else [_parsed(line, place) for line in lines]
    return _with_list(own, given, ENTRY, Path(place))


def _parsed(line: str, place: str) -> dict[str, Any]:
    try:
        if line.lstrip().startswith("{"):
            return dict(parse_json(line))
        pairs = [part.partition("=") for part in line.split(",")]
        if not all(equals and name.strip() for name, equals, _ in pairs):
            raise ValueError(line)
    except (ValueError, TypeError):
        raise ProjectError(
            f"{line!r} is no entry of a fall-back list",
            where=place,
            next_step='Write it as region=europe-west4,strategy=SPOT,wait=10m, as JSON, or as "auto"',
        ) from None
    return {name.strip(): int(value) if value.strip().isdecimal() else value.strip() for name, _, value in pairs}


def checked(made: FallbackSettings, where: str) -> FallbackSettings:
    """The settings, if every region exists and every entry can be.

    Raises:
        ProjectError: One can't.
    """
    regions = [*made.allowed_regions, *(entry.region for entry in made.entries if entry.region)]
    if unknown := next((region for region in regions if region not in REGIONS), None):
        raise ProjectError(f"there is no region {unknown} for training", where=where, next_step=_nearest(unknown))
    if made.automatic and not made.allowed_regions:
        raise ProjectError(
            'fallback = "auto" needs the regions that it may choose',
            where=where,
            next_step='Set allowed-regions, as ["us-central1", "europe-west4"] (--allowed-region REGION)',
        )
    for number, entry in enumerate(made.entries, 1):
        if problem := _problem(made, entry):
            what, step = problem
            raise ProjectError(f"entry {number} of the fall-back list {what}", where=where, next_step=step)
    return made


def _problem(made: FallbackSettings, entry: FallbackEntry) -> tuple[str, str] | None:
    if not entry.changes_something:
        return "is no other place than the job's own", "Name a region, machine-type, accelerator-type or strategy in it"
    if made.allowed_regions and entry.region and entry.region not in made.allowed_regions:
        return (
            f"is in {entry.region}, which allowed-regions doesn't name",
            f"Add {entry.region} to allowed-regions, or remove the entry",
        )
    if entry.max_wait is not None and entry.strategy not in {None, "FLEX_START"}:
        return f"has max-wait with strategy {entry.strategy}", "Use max-wait with FLEX_START; wait is for all"
    return None


def _nearest(region: str, known: Iterable[str] = REGIONS) -> str:
    near = difflib.get_close_matches(region, list(known), n=1, cutoff=0.5)
    return f"Did you mean {near[0]}?" if near else "Use one of Google's regions, as europe-west4"
