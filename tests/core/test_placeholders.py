"""Placeholders and references in arguments: what is replaced, and what passes byte for byte."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect_vertex_training.core.placeholders import NAMES, expand_variables, fill, folder_values, has_placeholder

VALUES = folder_values("/gcs/b/run/", "gs://b/run")


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("{model-dir}", "/gcs/b/run/model"),
        ("--out={model-uri}/x", "--out=gs://b/run/model/x"),
        ("{checkpoint-dir}:{log-uri}", "/gcs/b/run/checkpoints:gs://b/run/logs"),
        ("{{model-dir}}", "{model-dir}"),
        ("{model_dir} {MODEL-DIR} { model-dir }", "{model_dir} {MODEL-DIR} { model-dir }"),
        ('{"a": {"b": 1}}', '{"a": {"b": 1}}'),
        ("{epoch:02d}", "{epoch:02d}"),
    ],
)
def test_only_the_names_are_replaced(text: str, filled: str) -> None:
    """JSON, Hydra's dictionaries and format strings keep their braces."""
    assert fill(text, VALUES) == filled


@given(st.text(alphabet="{}model-dir uri$()\"':x"))
def test_a_text_without_a_name_stays(text: str) -> None:
    """Whatever its braces are."""
    if not any(f"{{{name}}}" in text for name in NAMES):
        assert not has_placeholder(text)
        assert fill(text, VALUES) == text


def test_variables_refer_to_those_before_them() -> None:
    """As Kubernetes has it: in order, unknown names stay, and two dollar signs are one."""
    env = expand_variables({"A": "1"}, {"B": "$(A)2", "C": "$(B)$(D)", "D": "$$(A)"})

    assert env == {"A": "1", "B": "12", "C": "12$(D)", "D": "$(A)"}
