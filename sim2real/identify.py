"""Fits the drives of a robot that hangs or is held by its base to a recording of it.

For each joint: position gain, viscous damping, Coulomb friction and armature; for the robot: the
delay of its commands. The recorded commands drive a simulated robot of the same links, and the
parameters are those whose motion is nearest to the measured one (output-error method, Ljung 1999,
"System Identification", 2nd edition, section 7.2), by damped Gauss-Newton steps.

Positions alone do not tell torques: gain, damping, friction and armature times the same number move
a weightless joint in the same way. The scale comes from the weight and inertia of the links, which
the fit takes from the robot's model: an error there is an error of the gains. So the unknowns are
a joint's scale, and ratios of the others to it. Where the links are too light, or gravity is along
the joint's axis, the scale stays at its nominal value, and the recording tells only the ratios.

Letters in the shape comments: T rows of the recording, J joints, P unknowns (4 J and the delay),
S simulations side by side.
"""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from legged_skills.robots.errors import ClipError
from legged_skills.robots.spec import RobotSpec
from legged_skills.sim2real.fit_problem import LEAST_VARIANCE, FitSettings, Problem, Unknowns
from legged_skills.sim2real.identified import PARAMETERS, UNITS, Identified
from legged_skills.sim2real.joint_log import JointLog

__all__ = ["FitSettings", "Identified", "identify", "simulated_positions", "table_rows"]

Array = NDArray[np.floating]

_PRIOR = np.array([0.5, 1.0, 10.0, 1.0])
"""Standard deviations of a weak pull to the nominal values, which keeps what the recording does
not tell from running away. Far wider than what passes for fitted, so it biases nothing."""
_DELAY_PRIOR_S = 0.05
_DAMPINGS = np.array([0.0, 0.01, 0.1, 1.0, 10.0])
"""Of Gauss-Newton steps (Levenberg-Marquardt), tried at once."""
_COARSE_STEP_S = 0.004
"""Physics step of the fit to the start of the recording, which is only a guess [s]."""
_BLOCK_S = 0.25
"""Residuals are taken for independent when this far apart [s]."""


def identify(log: JointLog, spec: RobotSpec, settings: FitSettings | None = None) -> Identified:
    """Fits the drives of a held robot to a recording.

    Args:
        log: the recording. The base does not move, and nothing is touched.
        spec: the robot; its links' masses and inertias are taken as they are.
        settings: how.

    Returns:
        The drives, with standard errors. They hold if the robot's links are those of the model.

    Raises:
        ClipError: the recording is of another robot, or nothing in it moves.
    """
    settings = FitSettings() if settings is None else settings
    problem = Problem(log, spec, settings)
    if not problem.moves.any():
        raise ClipError(f"{log.source}: no joint moves, expected an excitation.")
    coarse = dataclasses.replace(settings, step_s=max(settings.step_s, _COARSE_STEP_S))
    start = Problem(log, spec, coarse, settings.coarse_s)
    at = _descend(start, _first_guess(start, problem.moves))
    at, covariance, residual = _finish(problem, at)
    return _result(log, problem, at, covariance, residual)


def simulated_positions(
    log: JointLog, spec: RobotSpec, found: Identified
) -> tuple[Array, Array, Array]:
    """What the fitted robot does with the recorded commands.

    Args:
        log: the recording.
        spec: the robot.
        found: its drives.

    Returns:
        Times (T,) from the start of the recording, without the first, uncompared second [s];
        measured (T, J) and simulated (T, J) positions [rad].
    """
    problem = Problem(log, spec, FitSettings())
    table = np.stack([getattr(found, name) for name in PARAMETERS], axis=1)
    ratios = table / problem.nominal
    ratios[:, 1:] /= ratios[:, :1]
    simulated = problem.simulate(ratios[None], np.array([found.command_delay_s]))[0]
    return problem.compared_s, problem.measured, simulated


def _first_guess(problem: Problem, moves: NDArray[np.bool_]) -> Unknowns:
    """Nominal drives, with the delay that suits them best."""
    ratios = np.ones_like(problem.nominal)
    delays_s = np.arange(0.0, problem.settings.most_delay_s + 1e-9, 0.005)
    errors = problem.residuals(np.repeat(ratios[None], len(delays_s), axis=0), delays_s)
    cost = np.log(np.mean(errors**2, axis=1) + LEAST_VARIANCE).sum(axis=1)
    free = np.repeat(moves[:, None], ratios.shape[1], axis=1)
    return Unknowns(ratios, float(delays_s[cost.argmin()]), free)


def _prior(at: Unknowns) -> tuple[Array, Array]:
    """(P,) weights of the pull to nominal, and (P,) how far each unknown is from there."""
    weight = np.append(np.tile(1.0 / _PRIOR**2, len(at.ratios)), 1.0 / _DELAY_PRIOR_S**2)
    away = np.append((at.ratios - 1.0).ravel(), 0.0)
    return weight, away


def _descend(problem: Problem, at: Unknowns) -> Unknowns:
    """Gauss-Newton steps until they are small."""
    most_s = problem.settings.most_delay_s
    for _ in range(problem.settings.most_steps):
        residual, normal, gradient = problem.linearised(at)
        weight, away = _prior(at)
        moving = np.append(at.free.ravel(), True)
        curvature = normal + np.diag(weight)
        pull = gradient - weight * away
        steps = np.zeros((len(_DAMPINGS), len(pull)))
        for step, damping in zip(steps, _DAMPINGS, strict=True):
            damped = curvature + damping * np.diag(np.diag(curvature))
            step[moving] = np.linalg.solve(damped[np.ix_(moving, moving)], pull[moving])
        tries = [at.moved(step, most_s) for step in steps]
        ratios = np.stack([at.ratios, *(one.ratios for one in tries)])
        delays_s = np.array([at.delay_s, *(one.delay_s for one in tries)])
        scale = np.maximum(np.mean(residual**2, axis=0), LEAST_VARIANCE)
        errors = problem.residuals(ratios, delays_s)
        cost = (errors**2 / scale).sum(axis=(1, 2))
        cost += (_PRIOR**-2 * (ratios - 1.0) ** 2).sum(axis=(1, 2))
        best = int(np.where(np.isfinite(cost), cost, np.inf).argmin())
        if best == 0:
            return at
        after = tries[best - 1]
        change = np.append((after.ratios - at.ratios).ravel(), after.delay_s - at.delay_s)
        at = after
        error = 1.0 / np.sqrt(np.diag(curvature))
        share = np.append(np.ones(at.ratios.size), 0.01) * problem.settings.tolerance
        if np.all(np.abs(change[moving]) <= np.maximum(share, 0.1 * error)[moving]):
            return at
    return at


def _finish(problem: Problem, at: Unknowns) -> tuple[Unknowns, Array, Array]:
    """Fits what the recording tells, and puts the rest at nominal: scales first, then ratios.

    Returns:
        The unknowns, their covariance (P, P), and the residual (T, J) [rad].
    """
    while True:
        at = _descend(problem, at)
        residual, normal, _ = problem.linearised(at)
        covariance = _covariance(problem, at, residual, normal)
        error = np.sqrt(np.diag(covariance))[:-1].reshape(at.ratios.shape)
        untold = at.free & (error > problem.settings.told * np.maximum(at.ratios, 1.0))
        if not untold.any():
            return at, covariance, residual
        if untold[:, 0].any():
            untold[:, 1:] = False
        free = at.free & ~untold
        at = Unknowns(np.where(untold, 1.0, at.ratios), at.delay_s, free)


def _covariance(problem: Problem, at: Unknowns, residual: Array, normal: Array) -> Array:
    """(P, P) covariance of the unknowns, 0 for those that are not free."""
    moving = np.append(at.free.ravel(), True)
    weight, _ = _prior(at)
    covariance = np.zeros_like(normal)
    inverse = np.linalg.inv((normal + np.diag(weight))[np.ix_(moving, moving)])
    covariance[np.ix_(moving, moving)] = inverse
    # Errors of the model last longer than a row: each joint counts as many rows as are independent.
    grow = np.append(np.repeat(_correlation(problem.compared_s, residual), 4), 1.0)
    grow[-1] = grow[:-1].max()
    return covariance * np.sqrt(np.outer(grow, grow))


def _correlation(times_s: Array, residual: Array) -> Array:
    """(J,) rows for each independent one: variance of block means over that of white noise."""
    block = ((times_s - times_s[0]) / _BLOCK_S).astype(int)
    count = np.bincount(block)
    sums = np.stack([np.bincount(block, weights=column) for column in residual.T], axis=1)
    variance = np.maximum(np.mean(residual**2, axis=0), LEAST_VARIANCE)
    inflation = np.mean(sums**2 / np.maximum(count, 1)[:, None], axis=0) / variance
    return np.maximum(inflation, 1.0)


def _result(
    log: JointLog, problem: Problem, at: Unknowns, covariance: Array, residual: Array
) -> Identified:
    """Values and errors in units, and sentences about the rest."""
    table = problem.table(at.ratios)
    errors = np.zeros_like(table)
    for joint in range(len(table)):
        part = slice(4 * joint, 4 * joint + 4)
        # d table / d unknowns: the scale multiplies everything, a ratio its own value.
        slope = np.diag(problem.nominal[joint] * np.append(1.0, np.full(3, at.ratios[joint, 0])))
        slope[:, 0] = table[joint] / at.ratios[joint, 0]
        errors[joint] = np.sqrt(np.diag(slope @ covariance[part, part] @ slope.T))
    spec = problem.spec
    columns = dict(zip(PARAMETERS, table.T, strict=True))
    columns |= {f"{name}_error": error for name, error in zip(PARAMETERS, errors.T, strict=True)}
    return Identified(
        robot=spec.name,
        joint_names=spec.joint_names,
        command_delay_s=at.delay_s,
        command_delay_error_s=float(np.sqrt(covariance[-1, -1])),
        fitted=at.free,
        residual_rms_rad=np.sqrt(np.mean(residual**2, axis=0)),
        seconds=float(log.time_s[-1] - log.time_s[0]),
        notes=(*_notes(problem, at, residual), *_ends(problem, at)),
        **columns,
    )


def _ends(problem: Problem, at: Unknowns) -> list[str]:
    """What is as far as it may be, so that nothing in the fit can be trusted."""
    notes = []
    if at.delay_s >= problem.settings.most_delay_s:
        notes.append(
            f"the delay is as long as it may be, {1e3 * at.delay_s:g} ms: times of commands and "
            "positions do not belong together, and no value can be trusted."
        )
    elif at.delay_s <= 0.0:
        notes.append(
            "the delay is 0 ms, as short as it may be: either drives obey at once, or commands "
            "are stamped later than positions, and no value can be trusted."
        )
    for name, ended in zip(problem.spec.joint_names, at.at_end, strict=True):
        lost = [one for one, there in zip(PARAMETERS, ended, strict=True) if there]
        if lost:
            notes.append(
                f"{name} has its {', '.join(lost)} at an end of what may be: it does not move as "
                "its commands ask."
            )
    return notes


def _notes(problem: Problem, at: Unknowns, residual: Array) -> list[str]:
    """What the recording does not tell, joint by joint."""
    notes, off_rad = [], np.sqrt(np.mean(residual**2, axis=0))
    for joint, (name, told) in enumerate(zip(problem.spec.joint_names, at.free, strict=True)):
        if not problem.recorded[joint]:
            notes.append(f"{name} is not in the recording: all nominal.")
        elif not problem.moves[joint]:
            notes.append(f"{name} moves too little: all nominal.")
        elif not told.any():
            notes.append(
                f"{name} moves, but not as its commands ask ({off_rad[joint]:.2g} rad off): all "
                "nominal; are its sign, its place in the order and its times right?"
            )
        elif not told[0]:
            rest = [one for one, known in zip(PARAMETERS, told, strict=True) if known]
            notes.append(
                f"{name} carries too little weight or inertia to tell its gain, which is nominal; "
                f"{', '.join(rest)} are right relative to it."
            )
        elif not told.all():
            lost = [one for one, known in zip(PARAMETERS, told, strict=True) if not known]
            notes.append(f"{name} does not tell its {', '.join(lost)}: nominal relative to kp.")
    return notes


def table_rows(found: Identified) -> list[dict[str, str]]:
    """A row of text for each joint: value and standard error, with units in the names."""
    rows = []
    for joint, name in enumerate(found.joint_names):
        row = {"joint": name}
        for column, (parameter, unit) in enumerate(zip(PARAMETERS, UNITS, strict=True)):
            value = getattr(found, parameter)[joint]
            error = getattr(found, f"{parameter}_error")[joint]
            known = found.fitted[joint, column]
            row[f"{parameter} [{unit}]"] = (
                f"{value:.4g} ± {error:.1g}" if known else f"{value:.4g} (not told)"
            )
        row["residual [rad]"] = f"{found.residual_rms_rad[joint]:.2g}"
        rows.append(row)
    return rows
