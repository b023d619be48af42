"""Tables of prices: the built-in one, and a person's own."""

from __future__ import annotations

from pathlib import Path

import pytest
from prefect_vertex_training.core.errors import ProjectError
from prefect_vertex_training.vertex.pricing.price_list import PartKey, built_in_prices, read_prices

HEAD = "kind,name,region,basis,usd\n"


def test_the_built_in_table_has_a_date_and_only_prices_above_zero() -> None:
    """Each row was read, with a day that a person is shown."""
    prices = built_in_prices()

    assert str(prices) == "built-in table of 2026-11-29"
    assert len(prices.prices) > 50
    assert min(prices.prices.values()) > 0


def test_a_persons_own_table(tmp_path: Path) -> None:
    """Comments, blank lines, a byte-order mark and further columns are fine."""
    path = tmp_path / "ours.csv"
    path.write_text(f"\ufeff# Our contract of 2026-10-01\n\n{HEAD[:-1]},note\ncore,N1,us-central1,list,0.02,ours\n")

    prices = read_prices(path)

    assert prices.prices == {PartKey("core", "N1", "us-central1", "list"): 0.02}
    assert str(prices) == "ours.csv of 2026-10-01"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kind,name\n", "no column 'region'"),
        (f"{HEAD}core,N1,us-central1,list,cheap\n", "ours.csv, line 2"),
        (f"# x\n{HEAD}\ncores,N1,us-central1,list,1\n", "ours.csv, line 4"),
        (f"{HEAD}core,N1,us-central1,spot,1\n", "no price: core,N1,us-central1,spot,1"),
        (f"{HEAD}core,N1,us-central1,list,-1\n", "no price"),
        (f"{HEAD}core,N1,us-central1,list,nan\n", "no price"),
        (f"{HEAD}core,N1\n", "no price"),
        ("", "no column 'kind'"),
    ],
)
def test_what_is_no_price_is_named_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    """One line: what, where, and what to write."""
    path = tmp_path / "ours.csv"
    path.write_text(text)

    with pytest.raises(ProjectError) as refused:
        read_prices(path)

    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_table_that_is_not_there(tmp_path: Path) -> None:
    """Named, with the next step."""
    with pytest.raises(ProjectError, match="can't be read"):
        read_prices(tmp_path / "none.csv")
