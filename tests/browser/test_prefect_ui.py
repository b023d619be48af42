"""What people do in Prefect's UI, in a browser, with a Prefect server, a worker and jobs in local_vertex."""

from __future__ import annotations

import re
import time
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest
from docker import DockerClient
from fixtures.google.scripted_vertex import Fate, TinyVertex, serve
from fixtures.images.base_image import base_folder, push_base
from fixtures.images.registry_server import running_registry
from fixtures.prefect_api.browser import Browser
from fixtures.prefect_api.worker import Worker, log, until
from fixtures.suite.ports import free_port
from grpc import StatusCode
from playwright.sync_api import expect
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, ArtifactFilterKey
from prefect.runtime import flow_run as current_run
from prefect_vertex_training.blocks.registry import ContainerRegistry
from prefect_vertex_training.core.errors import VertexError
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.tasks.reporting.artifacts import artifacts_of
from prefect_vertex_training.tasks.submit import submit
from prefect_vertex_training.vertex.client.connection import LOCAL, Connection
from prefect_vertex_training.vertex.client.endpoints import LocalEndpoint
from prefect_vertex_training.vertex.job_types import JobRequest

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = [pytest.mark.prefect, pytest.mark.browser, pytest.mark.timeout(300)]

LINKS = """count => {
    const links = [...document.querySelectorAll("a")].filter(link => link.innerText.trim().startsWith("Open "));
    return links.length === count ? links.map(link => link.href) : null;
}"""
"""The addresses of the links to open something, once there are `count` of them. Counted and read in one step: the page
redraws at any moment."""

IMAGE = f"europe-docker.pkg.dev/p/r/tiny@sha256:{'a' * 64}"

EPOCHS = """\
import json
for epoch in range(1, 6):
    print(json.dumps({"epoch": epoch, "loss": 1 / epoch, "accuracy": 1 - 1 / epoch}))
"""

NEEDS_DATA = r"""
import json, os, pathlib, sys, time
folder = pathlib.Path(os.environ["AIP_MODEL_DIR"].replace("gs://", "/gcs/"))
folder.mkdir(parents=True, exist_ok=True)
(folder / "a|b<img src=x onerror=window.__pwn=1>.json").write_text("{}")
if "CLOUD_ML_JOB_ID" in os.environ:
    data = pathlib.Path(sys.argv[1])
    print(json.dumps({"epoch": 1, "![t](http://127.0.0.1:9/track.png)": 1.0, "<img src=x onerror=window.__pwn=2>": 2}))
    print("````\n\n<img src=x onerror=window.__pwn=3>\n\n# Your session expired: [log in](http://evil.example/login)")
    print("http://evil.example/login", flush=True)
    if not data.exists():
        raise FileNotFoundError("no data set | [log in](http://evil.example/login) <img src=x onerror=window.__pwn=4>")
    if data.read_text() == "slow":
        print("working", flush=True)
        time.sleep(600)
"""

PLANTED = """() => [
    window.__pwn,
    ...[...document.querySelectorAll("a, img")].map(found => found.href || found.src).filter(
        address => /evil|9.track|javascript:|\\/x$/.test(address)),
]"""
"""What a training planted in the page: a script's mark, links, pictures."""

DISGUISED = """() => [
    window.__pwn,
    ...[...document.querySelectorAll("a, img")].filter(found =>
        found.src || found.innerText.trim().replace(/[)\\]"',.]+$/, "") !== found.getAttribute("href")
    ).map(found => found.href || found.src).filter(address => /evil|9.track|javascript:|\\/x$/.test(address)),
]"""
"""The same without links whose words are their address: Prefect's log page makes those of every bare address."""


@pytest.fixture
def ui(prefect_server: str) -> str:
    """The UI's address."""
    return prefect_server.removesuffix("/api") + "/v2"


def open_form(page: Page, ui: str, deployment: UUID) -> None:
    """Goes from the deployment's page to its "Custom run" form."""
    page.goto(f"{ui}/deployments/deployment/{deployment}?tab=Runs")  # without a tab it goes to one, also from the form
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Custom run").click()
    page.wait_for_url(re.compile(r"/run(\?|$)"))
    expect(page.get_by_label("Project")).not_to_be_empty()


def send(page: Page, name: str) -> dict[str, str]:
    """Submits the form with a run name of its own; returns the server's response: the run, or why it was refused."""
    page.get_by_label("Run Name").fill(name)
    while True:
        with page.expect_response(lambda answer: answer.url.endswith("/create_flow_run")) as answer:
            page.get_by_role("button", name="Submit").press("Enter")  # an earlier error message may cover it
        if answer.value.status != 503:  # the database is busy; a person would press again
            return answer.value.json()


def choose(page: Page, ui: str, run: UUID, item: str) -> None:
    """Picks an item of the menu on a run's page, and confirms it."""
    while True:
        page.goto(f"{ui}/runs/flow-run/{run}")
        page.get_by_role("button", name="Open menu").first.click()
        page.get_by_role("menuitem", name=item).click()
        with page.expect_response(re.compile("/set_state$")) as answer:
            page.get_by_role("button", name=item).last.click()
        if answer.value.status != 503:  # as above
            break


def ended(run: UUID, *, attempt: int = 1) -> str:
    """Waits for the end of an attempt of a run; returns the name of its final state."""

    def look() -> str | None:
        with get_client(sync_client=True) as client:
            found = client.read_flow_run(run)
        over = found.state is not None and found.state.is_final() and found.run_count >= attempt
        return found.state_name if over else None

    return until(look, 400)


def steps_of(run: UUID) -> list[str]:
    """Each task run as "NAME STATE", oldest first."""
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
    from prefect.client.schemas.sorting import TaskRunSort

    with get_client(sync_client=True) as client:
        found = client.read_task_runs(
            flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run])), sort=TaskRunSort.EXPECTED_START_TIME_ASC
        )
    return [f"{task.task_key.rpartition('.')[2].split('-')[0]} {task.state_name}" for task in found]


def open_artifact(page: Page, ui: str, run: UUID, key: str, *holds: str, clicks: bool = False) -> None:
    """Opens one of a run's artifacts, and waits until it shows all of `holds`.

    With `clicks` it goes there from the run's page, as a person does: to load that page takes seconds of CPU.
    """
    wanted = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run]), key=ArtifactFilterKey(any_=[key]))
    with get_client(sync_client=True) as client:
        (made,) = client.read_artifacts(artifact_filter=wanted)
    if clicks:
        page.goto(f"{ui}/runs/flow-run/{run}?tab=Artifacts")
        page.locator(f"a[href$='/artifacts/artifact/{made.id}']").click()
    else:
        page.goto(f"{ui}/artifacts/artifact/{made.id}")
    for part in holds:  # blocks of text are drawn one by one
        expect(page.locator("body")).to_contain_text(part)


def test_a_run_from_the_form_ends_with_a_model_to_look_at(
    browser: Browser, ui: str, worker: Worker, home: Home, project: Path
) -> None:
    """The form refuses a wrong value; the run completes; its artifacts show the receipt, the job and the metrics."""
    script = project / "train.py"
    script.write_text(EPOCHS + script.read_text())
    name = f"from the form {uuid4().hex[:6]}"
    deployment = worker.deploy({"project": str(project)}, home, name=f"form-{uuid4().hex[:6]}")

    def fill(page: Page) -> UUID:
        open_form(page, ui, deployment)
        page.get_by_label("Machine type").fill("n1 standard 8")
        assert "machine.machine_type" in send(page, name)["detail"]
        expect(page.get_by_text(re.compile("machine.machine_type.*does not match"))).to_be_visible()
        open_form(page, ui, deployment)
        page.get_by_role("button", name="Add item").first.click()  # of the arguments; data sets come later
        page.locator("[data-slot=card]").first.locator("textarea").last.fill("--epochs=4")
        page.get_by_label("Machine type").fill("n1-standard-8")
        return UUID(send(page, name)["id"])

    run = browser.do(fill)
    assert ended(run) == "Completed", worker.log.read_text()[-3000:]

    (job,) = Connection.local(home).jobs.list_custom_jobs(parent=Connection.local(home).parent)
    output = home.vertex / "buckets" / "local" / "tiny" / str(run)
    written = output / "model" / "model.json"
    said = [str(written.parent), str(output / "receipt.json"), written.name, sha256(written.read_bytes()).hexdigest()]

    def look(page: Page) -> dict[str, int]:
        open_artifact(page, ui, run, "tiny-model", *said, clicks=True)
        open_artifact(page, ui, run, "tiny-job", job.name)
        open_artifact(page, ui, run, "tiny-metrics", "accuracy")
        size = "image => image.decode().then(() => ({width: image.naturalWidth, height: image.naturalHeight}))"
        return page.get_by_alt_text("Curves of accuracy, loss").evaluate(size)

    assert browser.do(look) == {"width": 640, "height": 170}
    spec = job.job_spec.worker_pool_specs[0]
    assert (spec.machine_spec.machine_type, list(spec.container_spec.args)) == ("n1-standard-8", ["--epochs=4"])


def test_a_job_in_the_cloud_is_a_click_away_and_a_refused_one_says_why(
    browser: Browser, ui: str, home: Home, tmp_path: Path
) -> None:
    """Links lead from the run to the console's pages of the job and its log, as soon as there is a job."""
    runs: list[UUID] = []

    @flow(name="in the cloud")
    def submitted(target: str) -> None:
        runs.append(UUID(str(current_run.id)))
        place = LocalEndpoint("my-project-123", "europe-west4", "models", target, None, local=False)
        with artifacts_of("tiny"):
            submit(
                Connection(lambda: place, LOCAL),
                JobRequest(display_name="tiny", image=IMAGE, output="gs://models/tiny"),
                "key",
            )

    with serve(f"unix:{tmp_path}/wire") as wire:
        wire.vertex = TinyVertex(time.time)
        submitted(wire.target)
        fate = Fate(made=False, code=StatusCode.INVALID_ARGUMENT, text="no such machine type")
        wire.vertex = TinyVertex(time.time, fates=[fate])
        with pytest.raises(VertexError, match="no such machine type"):
            submitted(wire.target)

    def look(page: Page) -> list[str]:
        open_artifact(page, ui, runs[0], "tiny-job", "customJobs", clicks=True)
        links = page.wait_for_function(LINKS, arg=2).json_value()
        open_artifact(page, ui, runs[1], "tiny-failure", "no such machine type", "invalid_request")
        return links

    job, lines = browser.do(look)
    assert job == ("https://console.cloud.google.com/vertex-ai/locations/here/training/1001?project=my-project-123")
    assert lines.startswith("https://console.cloud.google.com/logs/query;query=resource.type")


def test_a_run_that_failed_at_the_registry_goes_on_from_there_when_retried(
    browser: Browser,
    ui: str,
    worker: Worker,
    home: Home,
    project: Path,
    docker_engine: DockerClient,
    tmp_path: Path,
) -> None:
    """One clear message; with the registry up again, verify and freeze are not run again, and the run completes.

    The base image is in the same registry, so its manifest can't be read either.
    """
    port, kept = free_port(), tmp_path / "registry"
    with running_registry(kept, password=False, port=port) as server:
        base = push_base(server, base_folder())
    (project / "pyproject.toml").write_text(f'[tool.vertex-training]\nbase = "{base.name}"\n')
    block = f"registry-{uuid4().hex[:6]}"
    ContainerRegistry(host=f"127.0.0.1:{port}", project="team").save(block)
    name = f"registry is away {uuid4().hex[:6]}"
    deployment = worker.deploy({"project": str(project)}, home, name=f"retry-{uuid4().hex[:6]}")

    def pick(page: Page) -> UUID:
        open_form(page, ui, deployment)
        page.get_by_role("button", name="Select a block").first.click()
        page.get_by_role("option", name=block).click()
        expect(page.get_by_role("option")).to_have_count(0)
        return UUID(send(page, name)["id"])

    run = browser.do(pick)
    assert ended(run) == "Failed", worker.log.read_text()[-3000:]
    assert [step for step in steps_of(run) if "Failed" in step] == ["build Failed"]

    def read(page: Page) -> None:
        page.goto(f"{ui}/runs/flow-run/{run}?tab=Logs")
        for part in (f"127.0.0.1:{port}", "Check the host's name and your network, then run again"):
            expect(page.locator("body")).to_contain_text(part)

    browser.do(read)
    lines = log(run)
    assert not [line for line in lines if "Traceback" in line or "\n" in line]
    assert len([line for line in lines if "Retry" in line]) == 3

    with running_registry(kept, password=False, port=port):
        browser.do(lambda page: choose(page, ui, run, "Retry"))
        assert ended(run, attempt=2) == "Completed", worker.log.read_text()[-3000:]

    steps = steps_of(run)
    assert [step for step in steps if step.startswith(("verify", "freeze"))] == [
        "verify Completed",
        "freeze Completed",
        "verify Cached",
        "freeze Cached",
    ]
    assert steps[-5:] == [
        "build Completed",
        "push Completed",
        "submit Completed",
        "watch Completed",
        "check_model Completed",
    ]


def scroll_to(page: Page, line: Locator) -> None:
    """Scrolls a run's log until the page draws a line: it draws only those that can be seen."""
    page.get_by_text("Beginning flow run").first.hover()
    until(lambda: page.mouse.wheel(0, 600) or page.wait_for_timeout(100) or line.count() > 0)


@pytest.mark.timeout(600)
def test_retry_helps_where_the_cause_was_outside_of_the_code(
    browser: Browser, ui: str, worker: Worker, home: Home, project: Path, tmp_path: Path
) -> None:
    """The data set is missing, is put there, and Retry makes a new job; cancelled, that run gets another one.

    What the training prints, as a line that asks for a password, stays text on all its pages.
    """
    (project / "train.py").write_text(NEEDS_DATA)
    data = tmp_path / "data.csv"
    name = f"needs data {uuid4().hex[:6]}"
    parameters = {"project": str(project), "args": [str(data)]}
    deployment = worker.deploy(parameters, home, name=f"data-{uuid4().hex[:6]}")

    def begin(page: Page) -> UUID:
        open_form(page, ui, deployment)
        return UUID(send(page, name)["id"])

    run = browser.do(begin)
    assert ended(run) == "Failed", worker.log.read_text()[-3000:]
    assert job_states(home) == ["FAILED"]

    def look(page: Page) -> list[object]:
        page.goto(f"{ui}/runs/flow-run/{run}?tab=Logs")
        scroll_to(page, page.get_by_text("http://evil.example/login"))
        found = page.evaluate(DISGUISED)
        for key, shown in (("tiny-failure", "no data set"), ("tiny-metrics", "track.png"), ("tiny-summary", "watch")):
            open_artifact(page, ui, run, key, shown)
            found += page.evaluate(PLANTED)
        return found

    assert browser.do(look) == [None] * 4

    data.write_text("slow")
    browser.do(lambda page: choose(page, ui, run, "Retry"))
    until(lambda: job_states(home) == ["RUNNING", "FAILED"], 300)
    until(lambda: any("retried by a person: a new job, after 1 failed" in line for line in log(run)))

    browser.do(lambda page: choose(page, ui, run, "Cancel"))
    until(lambda: job_states(home) == ["CANCELLED", "FAILED"])
    assert ended(run, attempt=2) == "Cancelled", worker.log.read_text()[-3000:]

    data.write_text("quick")
    browser.do(lambda page: choose(page, ui, run, "Retry"))
    assert ended(run, attempt=3) == "Completed", worker.log.read_text()[-3000:]
    assert job_states(home) == ["SUCCEEDED", "CANCELLED", "FAILED"]

    def see(page: Page) -> list[object]:
        open_artifact(page, ui, run, "tiny-model", "onerror=window.__pwn=1")
        return page.evaluate(PLANTED)

    assert browser.do(see) == [None]


def job_states(home: Home) -> list[str]:
    """The state of every job of the local service."""
    connection = Connection.local(home)
    jobs = connection.jobs.list_custom_jobs(parent=connection.parent)
    return [job.state.name.removeprefix("JOB_STATE_") for job in jobs]
