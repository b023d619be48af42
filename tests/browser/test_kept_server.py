"""The kept server's pages in a browser: its password opens them, and its forms work although it starts so light."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from fixtures.prefect_api.block_form import open_form, save
from fixtures.prefect_api.browser import Browser
from fixtures.prefect_api.kept_server import prepare
from fixtures.prefect_api.worker import until
from playwright.sync_api import expect
from prefect import flow, settings
from prefect.client.orchestration import get_client
from prefect_docker.credentials import DockerRegistryCredentials
from prefect_vertex_training.blocks.registry import ContainerRegistry
from prefect_vertex_training.cli.prefect_server import lifecycle
from prefect_vertex_training.core.home import Home
from pydantic import SecretStr

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page

pytestmark = [pytest.mark.prefect, pytest.mark.browser, pytest.mark.timeout(300)]


@flow(name="seen")
def seen() -> None:
    """A flow whose run the test looks at."""


def test_the_password_opens_pages_and_forms(browser: Browser, tmp_path: Path) -> None:
    """A run's link leads to the login page, and from there to the run. A block that is filled in there is saved.

    Block types are registered apart from the server's start, those of other packages too.
    """
    home = Home(tmp_path / "home")
    prepare(home, registered=False)
    server, _ = lifecycle.ensure_running(home)
    changes = {settings.PREFECT_API_URL: server.api, settings.PREFECT_API_AUTH_STRING: server.auth_string}
    name = f"kept-{uuid4().hex[:6]}"
    try:
        with settings.temporary_settings(changes):  # pyright: ignore[reportArgumentType]
            with get_client(sync_client=True) as client:
                run = client.create_flow_run(seen, name=name)
            until((home.prefect / "block-types").exists)
            login = DockerRegistryCredentials(
                username="u", password=SecretStr("hush"), registry_url="registry.example.com"
            )
            login.save(f"login-{name}")

            def look(page: Page) -> None:
                page.goto(f"{server.pages}/runs/flow-run/{run.id}")
                page.get_by_placeholder("admin:pass").fill("training:wrong")
                page.get_by_role("button", name="Login").click()
                expect(page.get_by_text("Invalid credentials")).to_be_visible()
                page.get_by_placeholder("admin:pass").fill(server.auth_string)
                page.get_by_role("button", name="Login").click()
                page.wait_for_url(f"**/v2/runs/flow-run/{run.id}*")
                expect(page.get_by_text(name).first).to_be_visible()
                open_form(page, server.api, "container-registry-for-training", Name=name, Host="registry.example.com")
                page.get_by_role("button", name="Select a block").click()
                page.get_by_role("option", name=f"login-{name}").click()
                expect(page.get_by_role("option")).to_have_count(0)
                save(page, f'ContainerRegistry.load("{name}")')
                page.goto(f"{server.pages}/blocks/catalog/slack-webhook")
                expect(page.get_by_text("Slack Webhook").first).to_be_visible()

            browser.do(look)
            block = ContainerRegistry.load(name)
        assert isinstance(block, ContainerRegistry)
        assert isinstance(block.credentials, DockerRegistryCredentials)
        assert block.credentials.password.get_secret_value() == "hush"
    finally:
        lifecycle.stop(home)
