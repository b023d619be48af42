"""Where calls go, with what proof, and what happens when a service on this machine is lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from fixtures.google.scripted_vertex import TinyVertex, Wire
from prefect_vertex_training.core.errors import LocalServiceError, VertexError
from prefect_vertex_training.vertex.client.calls import get
from prefect_vertex_training.vertex.client.connection import CLOUD, LOCAL, Connection
from prefect_vertex_training.vertex.client.endpoints import LocalEndpoint


def test_a_token_is_sent_to_a_server_that_asks_for_one(wire: Wire, vertex: TinyVertex) -> None:
    """With it calls pass, without it the message says where it comes from."""
    vertex.token = "hush"
    name = vertex.add().name
    with_token = Connection.google("p", "r", "b", endpoint=wire.target, token="hush")
    without = Connection.google("p", "r", "b", endpoint=wire.target)

    assert get(with_token, name).name == name
    with pytest.raises(VertexError, match="use the token it prints") as caught:
        get(without, name)
    assert not caught.value.transient


def test_a_proxy_setting_does_not_lead_a_local_call_away(
    connection: Connection, vertex: TinyVertex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GRPC obeys http_proxy even for this machine."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("grpc_proxy", "http://127.0.0.1:9")

    assert get(connection, vertex.add().name)


def test_a_lost_service_is_looked_for_again(wire: Wire, vertex: TinyVertex, tmp_path: Path) -> None:
    """The call that finds nobody is transient; the next one asks anew where the service is."""
    targets = [f"unix:{tmp_path}/nobody", wire.target]
    connection = Connection(lambda: LocalEndpoint("p", "r", "b", targets.pop(0), None), LOCAL)
    name = vertex.add().name

    with pytest.raises(LocalServiceError) as caught:
        get(connection, name)

    assert caught.value.transient
    assert get(connection, name).name == name
    assert targets == []


def test_clients_are_made_once_and_only_when_needed(wire: Wire, vertex: TinyVertex) -> None:
    """Making a connection opens nothing; its clients stay."""
    opened: list[int] = []

    def open_endpoint() -> LocalEndpoint:
        opened.append(1)
        return LocalEndpoint("p", "r", "b", wire.target, None)

    connection = Connection(open_endpoint, LOCAL)
    assert opened == []
    assert connection.jobs is connection.jobs
    assert connection.parent == "projects/p/locations/r"
    assert opened == [1]


def test_the_console_is_linked_in_the_cloud_only() -> None:
    """A person can open a cloud job in a browser; a local one has no page."""
    cloud = Connection.google("my-project", "europe-west4", "b")
    local = Connection.google("p", "r", "b", endpoint="127.0.0.1:1")

    assert cloud.console("projects/1/locations/europe-west4/customJobs/42") == (
        "https://console.cloud.google.com/vertex-ai/locations/europe-west4/training/42?project=my-project"
    )
    assert not local.console("projects/1/locations/r/customJobs/42")
    assert (cloud.pace, local.pace) == (CLOUD, LOCAL)


def test_no_credentials_on_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One line says how to log in; nothing is sent."""
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")

    with pytest.raises(VertexError, match="gcloud auth application-default login"):
        _ = Connection.google("my-project", "europe-west4", "b").jobs
