"""The locations that are served: google.cloud.location.Locations."""

from __future__ import annotations

import re

from ...location import Location, Locations
from ..names import Caller, Names
from ..schema import Generated, Schema
from ..status import Violation, denied, invalid


class LocationsApi:
    """The methods.

    Args:
        locations: The projects and regions that are served.
        names: Parses names.
        schema: The message classes.
    """

    def __init__(self, *, locations: Locations, names: Names, schema: Schema) -> None:
        self._locations = locations
        self._names = names
        self._schema = schema

    def list(self, request: Generated, caller: Caller) -> Generated:  # noqa: ARG002 - every method takes the caller
        """Locations.ListLocations: all of them, in one page."""
        found = re.fullmatch(r"projects/([^/]+)", request.name)
        if found is None:
            raise invalid([Violation("name", f"`{request.name}` is not a valid resource name.")])
        project = self._locations.project(found[1])
        if project is None:
            raise denied("aiplatform.locations.list", request.name)
        response = self._schema["google.cloud.location.ListLocationsResponse"]()
        response.locations.extend(
            self._message(self._locations.location(project, region)) for region in self._locations.regions
        )
        return response

    def get(self, request: Generated, caller: Caller) -> Generated:
        """Locations.GetLocation."""
        return self._message(self._names.parent(request.name, caller, "aiplatform.locations.get", "name"))

    def project(self, request: Generated, caller: Caller) -> Generated:  # noqa: ARG002
        """Projects.GetProject of Resource Manager: the SDK asks it whose bucket it found."""
        project = self._locations.project(request.name.removeprefix("projects/"))
        if project is None:
            raise denied("resourcemanager.projects.get", request.name)
        number = self._locations.projects[project]
        return self._schema["google.cloud.resourcemanager.v3.Project"](
            name=f"projects/{number}", project_id=project, display_name=project, state="ACTIVE"
        )

    def _message(self, location: Location) -> Generated:
        message = self._schema["google.cloud.location.Location"](
            name=f"projects/{location.project_id}/locations/{location.region}", location_id=location.region
        )
        message.labels["cloud.googleapis.com/region"] = location.region
        return message
