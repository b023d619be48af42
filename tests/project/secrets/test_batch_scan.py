"""Scanning many texts at once finds the same secrets as scanning each by itself."""

from __future__ import annotations

from fixtures.projects.planted import LINES
from hypothesis import given
from hypothesis import strategies as st
from prefect_vertex_training.project.secrets.batch_scan import SecretBatches
from prefect_vertex_training.project.secrets.finding import Finding
from prefect_vertex_training.project.secrets.scan import SecretScan, is_binary
from prefect_vertex_training.project.secrets.search import SecretSearch

SECRETS = [line for _, line in LINES.values()]
PIECES = st.one_of(
    st.sampled_from(SECRETS),
    st.sampled_from(SECRETS).flatmap(lambda line: st.integers(0, len(line)).map(lambda cut: line[:cut])),
    st.sampled_from(SECRETS).flatmap(lambda line: st.integers(0, len(line)).map(lambda cut: line[cut:])),
    st.sampled_from(["", "\n", " ", "x", "_", '"', "x = 1\n", "wandb.init()\n", "machine h login u\n"]),
)
TEXTS = st.builds(
    lambda pieces, encoding: "".join(pieces).encode(encoding),
    st.lists(PIECES, max_size=4),
    st.sampled_from(["utf-8", "utf-8", "utf-16"]),
)


SEARCH = SecretSearch()


def alone(text: bytes) -> list[Finding]:
    """The findings in one text by itself."""
    scan = SecretScan(SEARCH)
    scan.feed(text, last=True)
    return scan.findings


@given(st.lists(TEXTS, max_size=8), st.integers(1, 2000))
def test_neighbours_neither_hide_a_secret_nor_make_one(contents: list[bytes], size: int) -> None:
    """Holds for whole and cut secrets, at the ends of texts and across them, in one batch and in several."""
    texts = {str(number): text for number, text in enumerate(contents) if not is_binary(text)}

    with SecretBatches(size) as batches:
        for path, text in texts.items():
            batches.add(path, text)
        found = batches.finish()

    assert found == {path: findings for path, text in texts.items() if (findings := alone(text))}
