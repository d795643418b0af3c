"""The report of a validation: one web page with tables, and a plot of what hurts most."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from legged_skills.robots import webpage
from legged_skills.robots.console import known
from legged_skills.robots.files import write_text
from legged_skills.tasks.validate_engines import BULLET, EDGES, MENAGERIE, NOMINAL
from legged_skills.tasks.validate_figures import factor_text

_HEAD = (
    "falls [%]",
    "95 % interval [%]",
    "velocity error [m/s]",
    "over nominal",
    "turning error [rad/s]",
    "energy over nominal",
)
_ENGINES = {
    NOMINAL: "our model, the robot's timing, every factor nominal",
    EDGES: "our model, one factor at a time at an end of its range: the worst of them",
    "all": "our model, every factor drawn from its whole range",
    "corners": "our model, every factor at one of its two ends, at random",
    BULLET: "the robot converted from our model, in the Bullet engine",
    MENAGERIE: "the public model of MuJoCo Menagerie, with its own contacts",
}


def write_report(path: Path, figures: Mapping[str, Any], plot: bytes | None) -> None:
    """Writes the page, atomically.

    Args:
        path: the HTML file.
        figures: from ``validate``.
        plot: the tornado plot, a PNG picture, if single factors were tested.

    Raises:
        FileFormatError: it cannot be written.
    """
    body = [*_introduction(figures), *_engines(figures)]
    if EDGES in figures["engines"]:
        body += _factors(figures, plot)
    body += _settings(figures)
    title = f"legged_skills: {figures['task']} policy of {figures['robot']}, validated"
    write_text(path, webpage.page(title, body))


def _introduction(figures: Mapping[str, Any]) -> list[str]:
    test, nominal = figures["test"], figures["engines"][NOMINAL]
    missed = figures["missed"]
    verdict = (
        [webpage.paragraph("All gates were passed.")]
        if not missed
        else [
            webpage.paragraph("Gates were missed:"),
            webpage.pairs([_halves(sentence) for sentence in missed]),
        ]
    )
    return [
        webpage.paragraph(
            "The policy ran as on the robot, from its bundle and through the runtime, in physics "
            f"other than those it was trained in. Every engine gave it the same {test['commands']} "
            f"commands in each of {figures['episodes']} episodes of {test['episode_s']:g} s; the "
            f"velocity is averaged over the last {test['average_s']:g} s of each command. What a "
            "fall cut off is not in the errors."
        ),
        webpage.numbers(
            [
                ("passed" if figures["passed"] else "not passed", "gates"),
                (f"{known(nominal['velocity_error_mps'], '.3f')} m/s", "nominal velocity error"),
                *(
                    (f"{100.0 * engine['fall_rate']:.1f} %", f"falls, {name}")
                    for name, engine in figures["engines"].items()
                ),
            ]
        ),
        *verdict,
    ]


def _engines(figures: Mapping[str, Any]) -> list[str]:
    engines = figures["engines"]
    return [
        webpage.heading("Engines"),
        webpage.table(
            ("engine", *_HEAD), [(name, *_cells(engine)) for name, engine in engines.items()]
        ),
        webpage.pairs(
            [(name, _ENGINES.get(name, "another model, from a file")) for name in engines]
        ),
        webpage.paragraph(
            "Energy is the torque squared, summed over the joints and averaged while the robot is "
            "upright. The interval of the falls is Wilson's."
        ),
        *_models(figures["models"]),
    ]


def _models(models: Mapping[str, Mapping[str, str]]) -> list[str]:
    """What the models are like, side by side, if there are several."""
    if len(models) < 2:
        return []
    properties = list(dict.fromkeys(name for about in models.values() for name in about))
    rows = [(name, *(about.get(name, "") for about in models.values())) for name in properties]
    return [webpage.table(("model", *models), rows)]


def _factors(figures: Mapping[str, Any], plot: bytes | None) -> list[str]:
    factors = figures["engines"][EDGES]["factors"]
    pictures = []
    if plot is not None:
        pictures = [
            webpage.picture(
                plot,
                "What each factor does to velocity error and falls at the ends of its range. Bars "
                "begin at what is measured with every factor nominal.",
            )
        ]
    return [
        webpage.heading("One factor at a time"),
        webpage.paragraph(
            "In order of the rise of the velocity error over the nominal one, where commands that "
            "a fall cut off count as if the robot had stood still. Factors of links, joints or "
            'axes are tested low, high and "mixed": each value at either end, at random.'
        ),
        *pictures,
        webpage.table(
            ("factor", "rise [m/s]", *_HEAD),
            [(factor_text(at), known(at["rise_mps"], "+.3f"), *_cells(at)) for at in factors],
        ),
    ]


def _settings(figures: Mapping[str, Any]) -> list[str]:
    gates = figures["gates"]
    commands = ", ".join(
        f"{c['name']} {c['low']:g} to {c['high']:g} {c['unit']}" for c in figures["command"]
    )
    versions = ", ".join(f"{n} {version}" for n, version in figures["versions"].items())
    return [
        webpage.heading("Settings"),
        webpage.pairs(
            [
                ("bundle", f"{figures['bundle']}, SHA-256 {figures['bundle_sha256']}"),
                ("robot", figures["robot"]),
                ("commands", commands),
                ("seed", str(figures["seed"])),
                (
                    "gates",
                    f"falls {gates['max_factor_falls']:.1%} nominal and for single factors, "
                    f"{gates['max_falls']:.1%} elsewhere; velocity error "
                    f"{gates['max_error_ratio']:g} x nominal, but for single factors; "
                    + ("corners count" if gates["corners"] else "corners do not count"),
                ),
                ("software", versions),
                ("time taken", f"{figures['seconds']:.0f} s"),
            ]
        ),
    ]


def _cells(at: Mapping[str, Any]) -> Sequence[str]:
    low, high = at["falls_ci95"]
    return (
        f"{100.0 * at['fall_rate']:.1f}",
        f"{100.0 * low:.1f} to {100.0 * high:.1f}",
        known(at["velocity_error_mps"], ".3f"),
        known(at["error_ratio"], ".2f"),
        known(at["yaw_error_radps"], ".3f"),
        known(at["energy_ratio"], ".2f"),
    )


def _halves(sentence: str) -> tuple[str, str]:
    """What missed a gate, and how."""
    what, _, how = sentence.partition(": ")
    return what, how
