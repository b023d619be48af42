"""The pictures of a sweep."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from prefect_vertex_training.flows.trials.sweep_charts import Dot, as_svg


def test_every_trial_is_a_dot_in_the_panel_of_each_of_its_parameters() -> None:
    """One panel for the trials, one for each parameter; texts are escaped, and equal values are no fault."""
    dots = [
        Dot(0, "completed", 0.5, {}),
        Dot(1, "completed", 0.5, {"lr": 0.001, "kind": "<a>"}),
        Dot(2, "pruned", 0.1, {"lr": 1.0, "kind": "b"}),
    ]

    found = ET.fromstring(as_svg(dots, "score", "max", frozenset({"lr"})))

    space = "{http://www.w3.org/2000/svg}"
    assert len(found.findall(f"{space}g")) == 3
    assert len(list(found.iter(f"{space}circle"))) == 3 + 2 + 2
    assert "<a>" in {element.text for element in found.iter(f"{space}text")}


def test_the_numbers_at_the_ends_of_an_axis_stay_in_the_picture() -> None:
    """The first begins and the last ends at its place; a name in the middle is centred."""
    dots = [Dot(number, "completed", 0.5, {"lr": lr, "kind": "a"}) for number, lr in enumerate((0.0001138, 0.008663))]

    found = ET.fromstring(as_svg(dots, "score", "max", frozenset({"lr"})))

    anchors = {text.text: text.get("text-anchor") for text in found.iter("{http://www.w3.org/2000/svg}text")}
    assert (anchors["0.0001138"], anchors["0.008663"], anchors["a"]) == ("start", "end", "middle")
