"""Takes the pictures in docs/images from Prefect's real UI: `make screenshots`.

It starts a Prefect server, a worker, registries and a browser, all on loopback addresses, and writes only to a
temporary folder and docs/images. Like the tests it needs chromium, Debian's docker-registry and a Docker engine.
`python docs/screenshots.py blocks retry` takes only the pictures of those topics.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from fixtures.images.base_image import base_folder, push_base
from fixtures.images.registry_server import free_port, running_registry
from fixtures.prefect_api.browser import window
from fixtures.prefect_api.prefect_server import served
from PIL import Image
from playwright.sync_api import Locator, Page, expect

ROOT = Path(__file__).parents[1]
IMAGES = Path(__file__).with_name("images")
FOLDER = Path("/tmp/training")
"""Visible in the pictures, so it must be the same on every machine."""
PROJECT = FOLDER / "digits"
SEARCHED = FOLDER / "digits-search"
BIN = FOLDER / "venv" / "bin"
"""This environment's programs, under a path that may be visible."""
POOL = "training"
WIDTH = 1280
EMPTY_IMAGE: Any = {"content_type": "image/svg+xml", "body": '<svg xmlns="http://www.w3.org/2000/svg"/>'}
"""Replaces logos from other hosts, which would be shown as broken images."""
TIMEOUT = 180.0
"""Seconds to wait for anything."""


class PrefectUI:
    """The running Prefect server and the browser that shows its UI.

    Attributes:
        page: The browser's page.
    """

    def __init__(self, api: str, page: Page) -> None:
        self.page = page
        page.route(lambda url: "//127.0.0.1:" not in url, lambda route: route.fulfill(**EMPTY_IMAGE))
        self._api = api
        self._ui = api.removesuffix("/api") + "/v2"

    def request(self, path: str, body: dict[str, Any] | None = None) -> Any:  # noqa: ANN401 - any JSON
        """Response of Prefect's API."""
        data = None if body is None else json.dumps(body).encode()
        call = urllib.request.Request(f"{self._api}/{path}", data, {"Content-Type": "application/json"})
        while True:
            try:
                with urllib.request.urlopen(call, timeout=30) as answer:
                    return json.load(answer)
            except urllib.error.HTTPError as error:
                if error.code != 503:  # the database is busy
                    raise

    def show(self, path: str, height: int = 900) -> None:
        """Opens a page of the UI."""
        self.page.set_viewport_size({"width": WIDTH, "height": height})
        self.page.goto(f"{self._ui}/{path}")

    def take(self, name: str, *seen: Locator) -> None:
        """Saves a picture as soon as everything that it should show is visible."""
        for locator in seen:
            expect(locator.first).to_be_visible()
        self.page.mouse.move(0, 0)
        self.page.wait_for_timeout(1500)  # pages fade in, and tables are filled last
        path = IMAGES / f"{name}.png"
        self.page.screenshot(path=path)
        with Image.open(path) as picture:  # few colors are enough, in a quarter of the bytes
            picture.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)
        print(f"{path.relative_to(ROOT)}  {path.stat().st_size:,} bytes", flush=True)

    def text(self, words: str | re.Pattern[str]) -> Locator:
        """Text on the page."""
        return self.page.get_by_text(words)

    def menu(self, button: str, item: str) -> None:
        """Opens a menu and clicks one of its items."""
        self.page.get_by_role("button", name=button, exact=True).first.click()
        self.page.get_by_role("menuitem", name=item).click()

    def deployment(self, name: str) -> str:
        """ID of a deployment of the flow `train`."""
        return self.request(f"deployments/name/train/{name}")["id"]

    def run(self, deployment: str) -> str:
        """Creates a flow run and returns its ID."""
        return self.request(f"deployments/{deployment}/create_flow_run", {})["id"]

    def until(self, run: str, *states: str, attempt: int = 1) -> None:
        """Waits until a flow run is in one of these states."""

        def reached() -> bool:
            found = self.request(f"flow_runs/{run}")
            return found["state_name"] in states and found["run_count"] >= attempt

        wait(reached, f"run {run} is {states}")


def wait(condition: Callable[[], bool], what: str) -> None:
    """Waits until a condition holds, and ends the program if it takes too long."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"timed out after {TIMEOUT} s: {what}")
        time.sleep(0.2)


def command(*args: object) -> list[str]:
    """A command of this environment, run with the Python that its output should name."""
    program, *rest = map(str, args)
    return [str(BIN / "python"), str(BIN / program), *rest]


def run_command(*args: object) -> None:
    """Runs a command of this environment, without input."""
    subprocess.run(command(*args), check=True, stdin=subprocess.DEVNULL)


def deploy() -> None:
    """Creates a nightly deployment, and one whose image goes to a registry."""
    words = ("vertex-training", "deploy", PROJECT, "--work-pool", POOL)
    run_command(*words, "--name", "digits-nightly", "--cron", "0 2 * * *", "--", "--epochs", 300)
    run_command(*words, "--name", "digits-cloud", "--registry", "training", "--", "--epochs", 20)


def deployments(ui: PrefectUI) -> None:
    """Pictures of a deployment with its schedule, and of the run form."""
    nightly = ui.deployment("digits-nightly")
    ui.show(f"deployments/deployment/{nightly}?tab=Runs")
    ui.take("deployment", ui.text("At 02:00 AM"))

    page = ui.page
    ui.show(f"deployments/deployment/{ui.deployment('digits-cloud')}?tab=Runs", height=2200)
    ui.menu("Run", "Custom run")
    page.wait_for_url(re.compile(r"/run(\?|$)"))
    expect(page.get_by_label("Project")).not_to_be_empty()
    page.get_by_label("Run Name").fill("digits, a larger machine")
    page.get_by_label("Machine type").fill("n1-standard-8")
    ui.take("form")


def artifact(ui: PrefectUI, run: str, key: str, name: str, seen: str) -> None:
    """Picture of one artifact of a flow run."""
    wanted = {"flow_run_id": {"any_": [run]}, "key": {"any_": [key]}}
    (found,) = ui.request("artifacts/filter", {"artifacts": wanted})
    ui.show(f"artifacts/artifact/{found['id']}")
    ui.take(name, ui.text(seen))


def a_sweep(ui: PrefectUI) -> None:
    """Picture of the page that grows with the trials of a sweep, when it has ended."""
    run_command("vertex-training", "sweep", SEARCHED, "--trials", 12)
    (found,) = ui.request("artifacts/filter", {"artifacts": {"key": {"any_": ["digits-search-sweep"]}}})
    ui.show(f"artifacts/artifact/{found['id']}", height=1480)
    ui.take("sweep", ui.text("12 trials"), ui.page.get_by_role("img", name="over the trials"))


def newest_first(ui: PrefectUI) -> None:
    """Sorts the log; the page renders only the lines that fit on it."""
    ui.page.get_by_role("combobox", name="log sort order").click()
    ui.page.get_by_role("option", name="Newest to oldest").click()


def a_run(ui: PrefectUI) -> None:
    """Pictures of a run while it trains, of its steps when it has ended, and of its artifacts."""
    run = ui.run(ui.deployment("digits-nightly"))
    ui.until(run, "Running")
    ui.show(f"runs/flow-run/{run}?tab=Logs")
    newest_first(ui)
    expect(ui.text('"epochs": 300').first).to_be_visible(timeout=1000 * TIMEOUT)
    ui.show(f"runs/flow-run/{run}?tab=Logs")  # loaded again, because the graph gets the steps later
    ui.take("run-running", ui.text('"epochs": 300'), ui.text(re.compile(r"\d Task run")))
    ui.until(run, "Completed")
    ui.show(f"runs/flow-run/{run}?tab=TaskRuns")
    ui.take("run-steps", ui.text("watch digits"))
    artifact(ui, run, "digits-image-build", "image", "scikit-learn")
    artifact(ui, run, "digits-model", "model", "model.joblib")
    artifact(ui, run, "digits-summary", "summary", "watch")
    artifact(ui, run, "digits-metrics", "metrics", "accuracy")


def retry(ui: PrefectUI, registry: Callable[[], Any]) -> None:
    """Pictures of a run that failed at build while the registry was down, and of its retry."""
    run = ui.run(ui.deployment("digits-cloud"))
    ui.until(run, "Failed")
    ui.show(f"runs/flow-run/{run}?tab=Logs")
    newest_first(ui)
    ui.take("failed", ui.text("then run again"))
    with registry():
        ui.page.get_by_role("button", name="Open menu").first.click()
        ui.page.get_by_role("menuitem", name="Retry").click()
        ui.take("retry", ui.page.get_by_role("button", name="Retry"))
        ui.page.get_by_role("button", name="Retry").click()
        ui.until(run, "Completed", attempt=2)
        ui.show(f"runs/flow-run/{run}?tab=TaskRuns", height=1330)
        ui.take("retried", ui.text("receipt digits"))


def blocks(ui: PrefectUI) -> None:
    """Pictures of the block types and of each one's form, filled in and saved."""
    page = ui.page
    ui.show("blocks/catalog", height=540)
    page.get_by_placeholder("Search").fill("training")
    ui.take("blocks", ui.text("Vertex AI Training"))
    ui.show("blocks/catalog/container-registry-for-training", height=620)
    ui.take("block-type", ui.text("Example"))
    registry = {"Host": "europe-west4-docker.pkg.dev", "Project": "my-project-123", "Repository": "training"}
    block(ui, "container-registry-for-training", "block-registry", registry, height=720)
    vertex = {"Project": "my-project-123", "Region": "europe-west4", "Bucket": "my-models"}
    block(ui, "vertex-ai-training", "block-vertex", vertex, height=1520)


def block(ui: PrefectUI, slug: str, picture: str, fields: dict[str, str], *, height: int) -> None:
    """Picture of the form of a new block, which is then saved to prove that it is valid."""
    ui.show(f"blocks/catalog/{slug}/create", height)
    for label, value in {"Name": "cloud", **fields}.items():
        ui.page.get_by_label(re.compile(rf"^{label}( \(Optional\))?$")).fill(value)
    ui.take(picture)
    ui.page.get_by_role("button", name="Save").click()
    ui.page.wait_for_url(re.compile(r"/blocks/block/"))


@contextmanager
def worker() -> Iterator[None]:
    """A process work pool and a worker of it."""
    run_command("prefect", "work-pool", "create", POOL, "--type", "process")
    words = command("prefect", "worker", "start", "--pool", POOL, "--name", "trainer")
    with (FOLDER / "worker.log").open("wb") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)


def main() -> None:
    """Starts everything, takes the pictures, and stops everything."""
    FOLDER.mkdir()  # fails if the folder exists: it belongs to somebody else
    os.environ |= {
        "VERTEX_TRAINING_HOME": str(FOLDER / "home"),
        "PREFECT_HOME": str(FOLDER / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_WORKER_QUERY_SECONDS": "1",
    }
    (FOLDER / "venv").symlink_to(sys.prefix)
    for example, folder in (("digits", PROJECT), ("sweep", SEARCHED)):
        shutil.copytree(ROOT / "examples" / example, folder, ignore=shutil.ignore_patterns("__pycache__", "model"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, FOLDER)
        stack.callback(run_command, "vertex-training", "local", "stop")
        api = stack.enter_context(served(FOLDER))
        os.environ["PREFECT_API_URL"] = api
        bases = stack.enter_context(running_registry(FOLDER / "bases", password=False))
        base = push_base(bases, base_folder())
        settings = f'[tool.vertex-training]\nbase = "{base.name}"\n'
        (PROJECT / "pyproject.toml").write_text(settings)
        search = SEARCHED / "pyproject.toml"
        search.write_text(settings + search.read_text())
        port = free_port()
        registry = partial(running_registry, FOLDER / "registry", password=False, port=port)
        with registry():
            run_command("vertex-training", "setup", "--name", "training", "--registry", f"127.0.0.1:{port}/team")
        stack.enter_context(worker())
        deploy()
        topics = {
            "blocks": blocks,
            "deployments": deployments,
            "run": a_run,
            "retry": partial(retry, registry=registry),
            "sweep": a_sweep,
        }
        browser = stack.enter_context(window())
        for name in sys.argv[1:] or topics:
            browser.do(lambda page, topic=topics[name]: topic(PrefectUI(api, page)))


if __name__ == "__main__":
    main()
