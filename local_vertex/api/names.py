"""Resource names in requests: what they name, and the errors for those that aren't served."""

from __future__ import annotations

import re
from typing import NamedTuple

from ..faults import Faults
from ..location import Location, Locations
from .status import ApiError, Code, Violation, denied, invalid, invalid_name

_LOCATION = re.compile(r"projects/(?P<project>[^/]+)/locations/(?P<location>[^/]+)")
_NUMBER = r"[0-9]{1,19}"

KINDS = {
    "customJobs": ("CustomJob", _NUMBER),
    "hyperparameterTuningJobs": ("HyperparameterTuningJob", _NUMBER),
    "trainingPipelines": ("TrainingPipeline", _NUMBER),
    "persistentResources": ("PersistentResource", r"[^/]+"),
    "models": ("Model", r"[A-Za-z0-9_-]{1,63}"),
}
"""The type and the form of the ids of each collection."""


class Caller(NamedTuple):
    """Where a call came in.

    Attributes:
        region: The region of the endpoint, such as that of us-central1-aiplatform.googleapis.com; empty for an
            endpoint of all regions.
        version: The API's version, "v1" or "v1beta1".
    """

    region: str = ""
    version: str = "v1"


class Name(NamedTuple):
    """A resource that a request names: its location, and the last part of its name."""

    location: Location
    id: str


class Names:
    """Parses resource names.

    Args:
        locations: The projects and regions that are served.
        faults: May limit the endpoint to one region.
    """

    def __init__(self, locations: Locations, faults: Faults) -> None:
        self.locations = locations
        self._faults = faults

    def parent(self, name: str, caller: Caller, permission: str, field: str = "parent") -> Location:
        """The location that a request names.

        Args:
            name: `projects/PROJECT/locations/REGION`, the project by id or number.
            caller: Where the call came in.
            permission: The permission that a caller would need for it, for the error's text.
            field: The request's field, for the error's text.

        Raises:
            ApiError: INVALID_ARGUMENT or PERMISSION_DENIED.
        """
        found = _LOCATION.fullmatch(name)
        if found is None:
            raise invalid([Violation(field, f"`{name}` is not a valid resource name.")])
        return self._served(found, caller, permission, field)

    def resource(self, kind: str, name: str, caller: Caller, permission: str) -> Name:
        """The resource that a request names.

        Args:
            kind: Its collection, a key of `KINDS`.
            name: `projects/PROJECT/locations/REGION/COLLECTION/ID`.
            caller: Where the call came in.
            permission: The permission that a caller would need for it, for the error's text.

        Raises:
            ApiError: INVALID_ARGUMENT or PERMISSION_DENIED.
        """
        type_name, form = KINDS[kind]
        found = re.fullmatch(rf"{_LOCATION.pattern}/{kind}/(?P<id>{form})", name)
        if found is None:
            raise invalid_name(type_name)
        return Name(self._served(found, caller, permission, "name"), found["id"])

    def _served(self, found: re.Match[str], caller: Caller, permission: str, field: str) -> Location:
        only = self._faults.endpoint_region or caller.region
        regions = [only] if only else self.locations.regions
        if found["location"] not in regions:
            valid = "`, `".join(regions)
            text = f"The provided location ID doesn't match the endpoint. The valid location ID is `{valid}`."
            raise invalid([Violation(field, text)])
        project = self.locations.project(found["project"])
        if project is None:
            resource = f"projects/{found['project']}/locations/{found['location']}"
            raise denied(permission, resource)
        if found["location"] not in self.locations.regions:
            raise ApiError(
                Code.UNIMPLEMENTED,
                f"The region {found['location']} is not served: start local_vertex with"
                f" `--region {found['location']}`, too.",
            )
        return self.locations.location(project, found["location"])


def place_of(name: str) -> tuple[str, str]:
    """The project and the region in a resource name, as they stand there; empty if it names none."""
    found = re.match(r"projects/([^/]+)(?:/locations/([^/]+))?", name)
    return (found[1], found[2] or "") if found else ("", "")


_REGIONAL_HOSTS = re.compile(
    r"(?:(?P<old>[a-z]+-[a-z]+\d+)-aiplatform\.googleapis\.com|aiplatform\.(?P<new>[a-z]+-[a-z]+\d+)\.rep\.googleapis\.com)"
    r"(?::\d+)?"
)


def region_of_host(host: str) -> str:
    """The region of Google's regional endpoint of that name; empty for every other host.

    Args:
        host: For example "us-central1-aiplatform.googleapis.com", with or without a port.
    """
    found = _REGIONAL_HOSTS.fullmatch(host.lower())
    return (found["old"] or found["new"]) if found else ""
