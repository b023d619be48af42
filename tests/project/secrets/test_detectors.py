"""detect-secrets still has the detectors that we load by name, and each finds what it is there for."""

from __future__ import annotations

import pytest
from fixtures.projects.planted import HEX, LINES, text
from prefect_vertex_training.project.secrets.detectors import PLUGINS, Detectors

SAMPLES = {
    "AWS key": LINES["AWS key id"][1],
    "password in an address": LINES["address"][1],
    "Discord token": f'"M{text(23)}.{text(6)}.{text(27)}"',
    "GitHub token": LINES["GitHub token"][1],
    "GitLab token": LINES["GitLab token"][1],
    "JSON web token": LINES["web token"][1],
    "Mailchimp key": f'"{text(32, HEX)}-us12"',
    "npm token": LINES["npm"][1],
    "OpenAI key": f'"{"s" + "k-" + text(20) + "T3Blbk" + "FJ" + text(20)}"',
    "PyPI token": LINES["PyPI"][1],
    "SendGrid key": LINES["SendGrid"][1],
    "Slack token": LINES["Slack token"][1],
    "Square secret": f'"{"sq0" + "csp-" + text(43)}"',
    "Stripe key": LINES["Stripe"][1],
    "Telegram token": LINES["Telegram"][1].strip('"'),
    "Twilio key": f'"{"A" + "C" + text(32, HEX)}"',
}


@pytest.fixture(scope="module")
def detectors() -> Detectors:
    """All detectors, loaded from detect-secrets."""
    return Detectors()


@pytest.mark.parametrize("kind", PLUGINS.values())
def test_each_detector_finds_its_kind(detectors: Detectors, kind: str) -> None:
    """The module, the class and its `analyze_string` are where they were, and the found text is part of the sample."""
    found = [(whole, part) for found_kind, whole, part in detectors.secrets(SAMPLES[kind]) if found_kind == kind]

    assert found
    assert all(part in whole and whole in SAMPLES[kind] for whole, part in found)


def test_no_detector_sees_a_secret_in_plain_code(detectors: Detectors) -> None:
    """A line of ordinary code passes all of them."""
    assert list(detectors.secrets("model = train(load(path), epochs=3)")) == []
