"""Options of `vertex-training local start|env|exec` about Google's hosts on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from cyclopts import Parameter

Projects = Annotated[
    tuple[str, ...],
    Parameter(help="A project id that the service answers for; may be given several times. Default: local."),
]
Regions = Annotated[
    tuple[str, ...],
    Parameter(
        help="A region that it answers for; may be given several times. Default: us-central1; as a cloud, every region."
    ),
]
OtherHosts = Annotated[
    Literal["refuse", "pass"],
    Parameter(help="What becomes of connections to hosts that are not served: refused, or passed on."),
]
OwnHosts = Annotated[
    tuple[str, ...],
    Parameter(help="A further host to serve, as HOST=127.0.0.1:PORT; may be given several times."),
]


def cloud_options(*, other_hosts: str, host: Sequence[str]) -> dict[str, Any]:
    """These options as fields of the service's options."""
    from ...local_vertex.cloud import hosts

    own: dict[str, str] = {}
    for setting in host:
        name, _, address = setting.partition("=")
        own[name] = address
    hosts.parse(own)  # reports an invalid one before anything is started
    return {"as_cloud": True, "other_hosts": other_hosts, "hosts": own}
