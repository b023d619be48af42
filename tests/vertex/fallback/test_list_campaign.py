"""Random histories of a list over three regions, with a virtual clock; the benchmark of that name runs thousands."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
from fixtures.suite.hypothesis_profile import examples
from hypothesis import given, settings
from hypothesis import strategies as st

SCRIPT = Path(__file__).resolve().parents[3] / "benchmarks" / "vertex" / "fallback_campaign.py"


def load() -> ModuleType:
    """The benchmark as a module."""
    spec = importlib.util.spec_from_file_location("fallback_campaign", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


campaign = load()


@settings(max_examples=examples(150))
@given(seed=st.integers(10_000, 10_000_000))
def test_no_history_breaks_a_rule(seed: int) -> None:
    """Lost and late creates, quota, stock-outs, silence, kills, retries: one live job, no orphan, an end."""
    campaign.history(seed)


@pytest.mark.parametrize("name", ["doesn't hold for silent regions", "moves on after preemption", "never gives up"])
def test_a_changed_rule_is_found_out(name: str) -> None:
    """The campaign can fail: of a rule that was changed it says which promise is broken."""
    old, new = next((old, new) for mutant, old, new in campaign.MUTANTS if mutant == name)

    assert campaign.found_out(campaign.mutated(old, new), 300, 1)[0] > 0
