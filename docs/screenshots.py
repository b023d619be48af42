"""Takes the pictures of docs/images from Prefect's real UI: `make screenshots`.

A Prefect server, a worker, registries and a browser are started for it, all on the loopback; nothing outside a
temporary folder and docs/images is touched. It needs chromium, Debian's docker-registry and a Docker engine, as the
tests do. `python docs/screenshots.py blocks retry` takes only those scenes.
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

from fixtures.base_image import base_folder, push_base
from fixtures.browser import window
from fixtures.prefect_server import served
from fixtures.registry_server import free_port, running_registry
from PIL import Image
from playwright.sync_api import Locator, Page, expect

ROOT = Path(__file__).parents[1]
IMAGES = Path(__file__).with_name("images")
PLACE = Path("/tmp/training")
"""Seen in the pictures, so it is the same on every machine."""
PROJECT = PLACE / "digits"
BIN = PLACE / "venv" / "bin"
"""This environment's programs, by a name that may be seen."""
POOL = "training"
WIDTH = 1280
NO_LOGO: Any = {"content_type": "image/svg+xml", "body": '<svg xmlns="http://www.w3.org/2000/svg"/>'}
"""Logos lie elsewhere, and a page shows their absence as broken."""
PATIENCE = 180.0
"""Seconds that anything may take."""


class Stage:
    """Everything that the pictures show, running.

    Attributes:
        page: The browser's window.
    """

    def __init__(self, api: str, page: Page) -> None:
        self.page = page
        page.route(lambda url: "//127.0.0.1:" not in url, lambda route: route.fulfill(**NO_LOGO))
        self._api = api
        self._ui = api.removesuffix("/api") + "/v2"

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:  # noqa: ANN401 - whatever the API answers
        """What Prefect's API answers."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self._api}/{path}", data, {"Content-Type": "application/json"})
        while True:
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    return json.load(answer)
            except urllib.error.HTTPError as error:
                if error.code != 503:  # a database that is busy
                    raise

    def show(self, path: str, height: int = 900) -> None:
        """Opens a page of the UI."""
        self.page.set_viewport_size({"width": WIDTH, "height": height})
        self.page.goto(f"{self._ui}/{path}")

    def take(self, name: str, *seen: Locator) -> None:
        """Saves a picture once everything that it is about can be seen."""
        for locator in seen:
            expect(locator.first).to_be_visible()
        self.page.mouse.move(0, 0)
        self.page.wait_for_timeout(1500)  # pages fade in, and tables are filled after their frames
        path = IMAGES / f"{name}.png"
        self.page.screenshot(path=path)
        with Image.open(path) as picture:  # a page has few colours: a quarter of the bytes
            picture.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)
        print(f"{path.relative_to(ROOT)}  {path.stat().st_size:,} bytes", flush=True)

    def text(self, words: str | re.Pattern[str]) -> Locator:
        """What can be read on the page."""
        return self.page.get_by_text(words)

    def menu(self, button: str, item: str) -> None:
        """Opens a menu and picks from it."""
        self.page.get_by_role("button", name=button, exact=True).first.click()
        self.page.get_by_role("menuitem", name=item).click()

    def deployment(self, name: str) -> str:
        """The id of a deployment of the flow `train`."""
        return self.ask(f"deployments/name/train/{name}")["id"]

    def run(self, deployment: str) -> str:
        """Makes a run; its id."""
        return self.ask(f"deployments/{deployment}/create_flow_run", {})["id"]

    def until(self, run: str, *states: str, attempt: int = 1) -> None:
        """Waits until a run's state is one of these."""

        def there() -> bool:
            found = self.ask(f"flow_runs/{run}")
            return found["state_name"] in states and found["run_count"] >= attempt

        wait(there, f"run {run} is {states}")


def wait(condition: Callable[[], bool], what: str) -> None:
    """Waits until something is so."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"not within {PATIENCE} s: {what}")
        time.sleep(0.2)


def command(*words: object) -> list[str]:
    """A command of this environment, run by the Python that it is to name in what it prints."""
    program, *rest = map(str, words)
    return [str(BIN / "python"), str(BIN / program), *rest]


def typed(*words: object) -> None:
    """Runs such a command, as a person types it."""
    subprocess.run(command(*words), check=True, stdin=subprocess.DEVNULL)


def deploy() -> None:
    """A nightly training, and one whose image goes to a registry."""
    words = ("vertex-training", "deploy", PROJECT, "--work-pool", POOL)
    typed(*words, "--name", "nightly", "--cron", "0 2 * * *", "--", "--epochs", 300)
    typed(*words, "--name", "cloud", "--registry", "training", "--", "--epochs", 20)


def deployments(stage: Stage) -> None:
    """A deployment with its schedule, and the form of a run."""
    nightly = stage.deployment("nightly")
    stage.show(f"deployments/deployment/{nightly}?tab=Runs")
    stage.take("deployment", stage.text("At 02:00 AM"))

    page = stage.page
    stage.show(f"deployments/deployment/{stage.deployment('cloud')}?tab=Runs", height=2200)
    stage.menu("Run", "Custom run")
    page.wait_for_url(re.compile(r"/run(\?|$)"))
    expect(page.get_by_label("Project")).not_to_be_empty()
    page.get_by_label("Run Name").fill("digits, a larger machine")
    page.get_by_label("Machine type").fill("n1-standard-8")
    stage.take("form")


def artifact(stage: Stage, run: str, key: str, name: str, seen: str) -> None:
    """The picture of one artifact of a run."""
    wanted = {"flow_run_id": {"any_": [run]}, "key": {"any_": [key]}}
    (found,) = stage.ask("artifacts/filter", {"artifacts": wanted})
    stage.show(f"artifacts/artifact/{found['id']}")
    stage.take(name, stage.text(seen))


def newest_first(stage: Stage) -> None:
    """A page holds only the lines that fit on it."""
    stage.page.get_by_role("combobox", name="log sort order").click()
    stage.page.get_by_role("option", name="Newest to oldest").click()


def a_run(stage: Stage) -> None:
    """A run that trains, its steps when it has ended, and its artifacts."""
    run = stage.run(stage.deployment("nightly"))
    stage.until(run, "Running")
    stage.show(f"runs/flow-run/{run}?tab=Logs")
    newest_first(stage)
    expect(stage.text('"epochs": 300').first).to_be_visible()
    stage.show(f"runs/flow-run/{run}?tab=Logs")  # again, for the graph learns of its steps later
    stage.take("run-running", stage.text('"epochs": 300'), stage.text(re.compile(r"\d Task run")))
    stage.until(run, "Completed")
    stage.show(f"runs/flow-run/{run}?tab=TaskRuns")
    stage.take("run-steps", stage.text("watch digits"))
    artifact(stage, run, "digits-image-build", "image", "scikit-learn")
    artifact(stage, run, "digits-model", "model", "model.joblib")
    artifact(stage, run, "digits-summary", "summary", "watch")
    artifact(stage, run, "digits-metrics", "metrics", "accuracy")


def retry(stage: Stage, registry: Callable[[], Any]) -> None:
    """A run that failed at build, because the registry was down, retried when it is up."""
    run = stage.run(stage.deployment("cloud"))
    stage.until(run, "Failed")
    stage.show(f"runs/flow-run/{run}?tab=Logs")
    newest_first(stage)
    stage.take("failed", stage.text("then run again"))
    with registry():
        stage.page.get_by_role("button", name="Open menu").first.click()
        stage.page.get_by_role("menuitem", name="Retry").click()
        stage.take("retry", stage.page.get_by_role("button", name="Retry"))
        stage.page.get_by_role("button", name="Retry").click()
        stage.until(run, "Completed", attempt=2)
        stage.show(f"runs/flow-run/{run}?tab=TaskRuns", height=1330)
        stage.take("retried", stage.text("receipt digits"))


def blocks(stage: Stage) -> None:
    """The types of blocks; each one's form, filled and saved."""
    page = stage.page
    stage.show("blocks/catalog", height=540)
    page.get_by_placeholder("Search").fill("training")
    stage.take("blocks", stage.text("Vertex AI Training"))
    stage.show("blocks/catalog/container-registry-for-training", height=620)
    stage.take("block-type", stage.text("Example"))
    registry = {"Host": "europe-west4-docker.pkg.dev", "Project": "my-project-123", "Repository": "training"}
    block(stage, "container-registry-for-training", "block-registry", registry, height=720)
    place = {"Project": "my-project-123", "Region": "europe-west4", "Bucket": "my-models"}
    block(stage, "vertex-ai-training", "block-vertex", place, height=1520)


def block(stage: Stage, slug: str, picture: str, fields: dict[str, str], *, height: int) -> None:
    """The form of a new block, and proof that it can be sent."""
    stage.show(f"blocks/catalog/{slug}/create", height)
    for label, value in {"Name": "cloud", **fields}.items():
        stage.page.get_by_label(re.compile(rf"^{label}( \(Optional\))?$")).fill(value)
    stage.take(picture)
    stage.page.get_by_role("button", name="Save").click()
    stage.page.wait_for_url(re.compile(r"/blocks/block/"))


@contextmanager
def worker() -> Iterator[None]:
    """A worker of a process pool."""
    typed("prefect", "work-pool", "create", POOL, "--type", "process")
    words = command("prefect", "worker", "start", "--pool", POOL, "--name", "trainer")
    with (PLACE / "worker.log").open("wb") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)


def main() -> None:
    """Starts everything, takes the pictures, ends everything."""
    PLACE.mkdir()  # never somebody else's
    os.environ |= {
        "VERTEX_TRAINING_HOME": str(PLACE / "home"),
        "PREFECT_HOME": str(PLACE / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_WORKER_QUERY_SECONDS": "1",
    }
    (PLACE / "venv").symlink_to(sys.prefix)
    shutil.copytree(ROOT / "examples" / "digits", PROJECT, ignore=shutil.ignore_patterns("__pycache__", "model"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, PLACE)
        stack.callback(typed, "vertex-training", "local", "stop")
        api = stack.enter_context(served(PLACE))
        os.environ["PREFECT_API_URL"] = api
        bases = stack.enter_context(running_registry(PLACE / "bases", password=False))
        base = push_base(bases, base_folder())
        (PROJECT / "pyproject.toml").write_text(f'[tool.vertex-training]\nbase = "{base.name}"\n')
        port = free_port()
        registry = partial(running_registry, PLACE / "registry", password=False, port=port)
        with registry():
            typed("vertex-training", "setup", "--name", "training", "--registry", f"127.0.0.1:{port}/team")
        stack.enter_context(worker())
        deploy()
        scenes = {
            "blocks": blocks,
            "deployments": deployments,
            "run": a_run,
            "retry": partial(retry, registry=registry),
        }
        browser = stack.enter_context(window())
        for name in sys.argv[1:] or scenes:
            browser.do(lambda page, scene=scenes[name]: scene(Stage(api, page)))


if __name__ == "__main__":
    main()
