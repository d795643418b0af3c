import re
from xml.etree import ElementTree

from legged_skills.mocap.segment import Cut
from legged_skills.mocap.timeline import timeline

CUTS = [Cut(start_s=4.0, stop_s=10.0, reason='sitting & "<b>"')]


def bars(svg: str) -> list[tuple[float, float, str]]:
    """Left end, width and colour of each part."""
    found = re.findall(r'<rect x="([\d.]+)" y="0" width="([\d.]+)" .*? fill="(#\w+)"', svg)
    return [(float(x), float(width), colour) for x, width, colour in found]


def test_parts_are_in_proportion() -> None:
    svg = timeline(10.0, [(0.0, 4.0)], CUTS)
    # The drawing is 900 wide.
    assert bars(svg) == [(0.0, 360.0, "#0072B2"), (360.0, 540.0, "#c9ced3")]


def test_reasons_are_escaped_and_named_for_those_who_cannot_see() -> None:
    svg = timeline(10.0, [(0.0, 4.0)], CUTS)
    root = ElementTree.fromstring(svg)  # which also checks that it is balanced
    label = next(root.iter("svg")).attrib["aria-label"]
    assert '4.00 to 10.00 s cut: sitting & "<b>"' in label
    assert "0.00 to 4.00 s clip 0" in label
    titles = [title.text for title in root.iter("title")]
    assert titles == ["clip 0, 0.00 to 4.00 s", 'cut, 4.00 to 10.00 s: sitting & "<b>"']


def test_marks_are_round_and_few() -> None:
    for duration_s, wanted in (
        (1.44, ["0", "0.2", "0.4", "0.6", "0.8", "1", "1.2", "1.4"]),
        (24.6, ["0", "5", "10", "15", "20"]),
        (6.0, ["0", "0.5", "1", "1.5", "2", "2.5", "3", "3.5", "4", "4.5", "5", "5.5", "6"]),
    ):
        root = ElementTree.fromstring(timeline(duration_s, [], []))
        assert [text.text for text in root.iter("text")] == wanted


def test_texts_that_do_not_fit_are_left_out() -> None:
    narrow = [Cut(start_s=0.0, stop_s=0.1, reason="a long reason")]
    root = ElementTree.fromstring(timeline(10.0, [], narrow))
    assert "a long reason" not in [text.text for text in root.iter("text")]
    # A thin part can still be seen.
    assert bars(timeline(10.0, [], [Cut(start_s=0.0, stop_s=1e-3, reason="x")]))[0][1] == 1.5
