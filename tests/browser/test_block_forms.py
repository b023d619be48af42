"""The blocks' forms in Prefect's UI, filled in a browser: Python loads what was saved there."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from fixtures.prefect_api.block_form import open_form, save
from fixtures.prefect_api.browser import Browser
from playwright.sync_api import expect
from prefect_docker.credentials import DockerRegistryCredentials
from prefect_vertex_training.blocks.registry import ContainerRegistry
from prefect_vertex_training.blocks.vertex_ai import VertexAI
from pydantic import SecretStr

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.prefect, pytest.mark.browser, pytest.mark.timeout(300)]


def test_a_vertex_ai_needs_three_answers(browser: Browser, prefect_server: str) -> None:
    """Fields left empty, or emptied again, are None; the form has no tabs to choose a type."""
    name = f"vertex-{uuid4().hex[:6]}"
    fields = {"Project": "my-project", "Region": "europe-west4", "Bucket": "my-models", "Service account": "x"}

    def fill(page: Page) -> int:
        open_form(page, prefect_server, "vertex-ai-training", Name=name, **fields)
        page.get_by_label("Service account").fill("")
        tabs = page.get_by_role("tab").count()
        save(page, f'VertexAI.load("{name}")')
        return tabs

    tabs = browser.do(fill)
    block = VertexAI.load(name)
    assert tabs == 0
    assert (block.project, block.region, block.bucket) == ("my-project", "europe-west4", "my-models")
    optional = {"credentials", "service_account", "network", "tensorboard", "persistent_resource", "endpoint", "token"}
    assert {name for name in optional if getattr(block, name) is not None} == set()
    assert (block.labels, block.settle_seconds) == ({}, None)


def test_a_registry_takes_saved_credentials(browser: Browser, prefect_server: str) -> None:
    """Credentials picked from the list arrive with their password; without a choice they are None."""
    name = f"registry-{uuid4().hex[:6]}"
    login = DockerRegistryCredentials(username="u", password=SecretStr("hush"), registry_url="registry.example.com")
    login.save(f"login-{name}")

    def fill(page: Page) -> None:
        open_form(page, prefect_server, "container-registry-for-training", Name=name, Host="registry.example.com")
        page.get_by_role("button", name="Select a block").click()
        page.get_by_role("option", name=f"login-{name}").click()
        expect(page.get_by_role("option")).to_have_count(0)
        save(page, f'ContainerRegistry.load("{name}")')
        open_form(page, prefect_server, "container-registry-for-training", Name=f"{name}-open", Host="127.0.0.1:5000")
        save(page, f'ContainerRegistry.load("{name}-open")')

    browser.do(fill)
    block = ContainerRegistry.load(name)
    assert isinstance(block.credentials, DockerRegistryCredentials)
    assert block.credentials.password.get_secret_value() == "hush"
    assert ContainerRegistry.load(f"{name}-open").credentials is None
