"""Rules that the tests themselves keep."""

from __future__ import annotations

from fixtures.module_graph import ROOT

PROFILE = ROOT / "tests" / "fixtures" / "hypothesis_profile.py"


def test_property_tests_leave_their_settings_to_the_profile() -> None:
    """Deadlines and health checks are set in one place; a test may only ask for another number of examples."""
    others = [
        path
        for path in (ROOT / "tests").rglob("*.py")
        if path not in {PROFILE, ROOT / "tests/repository/test_suite.py"}
    ]
    found = [
        f"{path.relative_to(ROOT)}: {word}"
        for path in others
        for word in ("deadline=None", "suppress_health_check", "max_examples=")
        if word in path.read_text("utf-8").replace("max_examples=examples(", "")
    ]

    assert found == []
