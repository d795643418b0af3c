import mujoco
import numpy as np
import pytest

from legged_skills import robots
from legged_skills.robots import lighting
from legged_skills.robots.camera import Camera, project
from legged_skills.robots.render import make_renderer
from legged_skills.robots.scene import add_floor
from legged_skills.robots.sketch import Faces, RobotFaces, Sketcher, balls, discs, sticks

SIZE = (160, 120)
CAMERA = Camera(lookat=(0.0, 0.0, 0.4), distance=3.0, azimuth=90.0, elevation=-15.0)
RED, GREEN = np.array([[0.9, 0.1, 0.1]]), np.array([[0.1, 0.8, 0.1]])
NOTHING = Faces(corners_w=np.zeros((0, 4, 3)), rgb=np.zeros((0, 3)))
SHAPES = {
    "box": "0.2 0.1 0.3",
    "cylinder": "0.2 0.3",
    "capsule": "0.2 0.3",
    "sphere": "0.2",
    "ellipsoid": "0.2 0.1 0.3",
}


def scene(body: str = "") -> mujoco.MjModel:
    spec = mujoco.MjSpec.from_string(f"<mujoco><worldbody>{body}</worldbody></mujoco>")
    add_floor(spec, 1.0)
    return spec.compile()


@pytest.fixture(scope="module")
def sketcher() -> Sketcher:
    return Sketcher(scene(), *SIZE)


def pixel(picture: np.ndarray, point_w: tuple[float, float, float]) -> np.ndarray:
    """The colour where a point of the world is seen."""
    column, row = project(np.array(point_w), CAMERA, *SIZE)
    return picture[int(row), int(column)].astype(int)


def volume(faces: np.ndarray) -> float:
    """What closed faces (N, 4, 3) enclose, by the divergence theorem; negative if inside out."""
    a, b, c, d = np.moveaxis(faces, 1, 0)
    halves = [np.einsum("ni,ni->n", a, np.cross(p, q)) for p, q in ((b, c), (c, d))]
    return float(sum(half.sum() for half in halves)) / 6.0


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [
        ("box", 8 * 0.2 * 0.1 * 0.3),
        ("cylinder", np.pi * 0.2**2 * 0.6),
        ("capsule", np.pi * 0.2**2 * 0.6 + 4 / 3 * np.pi * 0.2**3),
        ("sphere", 4 / 3 * np.pi * 0.2**3),
        ("ellipsoid", 4 / 3 * np.pi * 0.2 * 0.1 * 0.3),
    ],
)
def test_faces_enclose_the_shape_and_look_outside(shape: str, wanted: float) -> None:
    model = scene(f'<geom type="{shape}" size="{SHAPES[shape]}" rgba="1 0 0 1"/>')
    faces = RobotFaces(model).at(np.zeros(0))
    # Round things have 12 sides, which lie within the circle: less by up to 10 %.
    least = 0.9999 if shape == "box" else 0.88
    assert least * wanted < volume(faces.corners_w) < 1.0001 * wanted
    np.testing.assert_array_equal(faces.rgb, np.tile([1.0, 0.0, 0.0], (len(faces.rgb), 1)))


def test_faces_move_with_their_body() -> None:
    model = scene('<body><freejoint/><geom type="box" size="0.1 0.2 0.3"/></body>')
    faces = RobotFaces(model)
    # Turned by 90 degrees about z, x becomes y.
    quarter = np.array([1.0, 2.0, 3.0, np.sqrt(0.5), 0.0, 0.0, np.sqrt(0.5)])
    corners = faces.at(quarter).corners_w
    np.testing.assert_allclose(corners.min(axis=(0, 1)), [0.8, 1.9, 2.7], atol=1e-6)
    np.testing.assert_allclose(corners.max(axis=(0, 1)), [1.2, 2.1, 3.3], atol=1e-6)


def test_collision_shapes_are_not_drawn() -> None:
    model = scene('<geom type="sphere" size="1" group="3"/><geom type="sphere" size="1"/>')
    both = scene('<geom type="sphere" size="1"/><geom type="sphere" size="1"/>')
    assert 2 * len(RobotFaces(model).at(np.zeros(0)).rgb) == len(
        RobotFaces(both).at(np.zeros(0)).rgb
    )


def test_pictures_look_like_those_of_cast_rays() -> None:
    spec = robots.get("anymal_c")
    model = spec.model()
    camera = Camera(distance=2.2, lookat=(0.0, 0.0, 0.35))
    picture = Sketcher(model, *SIZE).picture(RobotFaces(model).at(spec.home_qpos), camera)
    with make_renderer(model, *SIZE, "raycast") as renderer:
        cast = renderer.render(spec.home_qpos, camera)
    off = np.abs(picture.astype(int) - cast).max(axis=2)
    assert np.median(off) <= 2
    # Where things meet, and on round things, a few pixels differ.
    assert np.mean(off > 24) < 0.04
    empty = Sketcher(model, *SIZE).picture(NOTHING, camera)
    assert np.mean(np.abs(empty.astype(int) - cast).max(axis=2) > 24) > 0.1


def test_a_sketch_is_one_of_the_renderers() -> None:
    spec = robots.get("anymal_c")
    model = spec.model()
    camera = Camera(distance=2.2, lookat=(0.0, 0.0, 0.35))
    wanted = Sketcher(model, *SIZE).picture(RobotFaces(model).at(spec.home_qpos), camera)
    with make_renderer(model, *SIZE, "sketch") as renderer:
        np.testing.assert_array_equal(renderer.render(spec.home_qpos, camera), wanted)
        assert (renderer.backend, renderer.width, renderer.height) == ("sketch", *SIZE)


def test_the_nearer_hides_the_farther(sketcher: Sketcher) -> None:
    # The camera looks along +y.
    near, far = np.array([[0.0, -0.5, 0.5]]), np.array([[0.0, 0.5, 0.62]])
    for faces in (
        balls(near, 0.2, RED) + balls(far, 0.2, GREEN),
        balls(far, 0.2, GREEN) + balls(near, 0.2, RED),
    ):
        colour = pixel(sketcher.picture(faces, CAMERA), (0.0, -0.5, 0.5))
        assert colour[0] > 2 * colour[1]
    assert pixel(sketcher.picture(balls(far, 0.2, GREEN), CAMERA), (0.0, -0.5, 0.5))[1] > 100


def test_things_cast_shadows(sketcher: Sketcher) -> None:
    ball = balls(np.array([[0.0, 0.0, 0.8]]), 0.15, RED)
    sun_w = lighting.sun_direction_w(CAMERA)
    shade = tuple(np.array([0.0, 0.0, 0.8]) - 0.8 / sun_w[2] * sun_w)
    bright = pixel(sketcher.picture(NOTHING, CAMERA), shade)
    dark = pixel(sketcher.picture(ball, CAMERA), shade)
    # Without the sun there are left: light from everywhere, and a part of the headlight.
    assert np.all(dark < 0.75 * bright) and np.all(dark > 0.3 * bright)


def test_the_floor_hides_what_is_below_it(sketcher: Sketcher) -> None:
    below = balls(np.array([[0.0, 0.0, -0.5]]), 0.2, RED)
    empty = sketcher.picture(NOTHING, CAMERA)
    picture = sketcher.picture(below, CAMERA)
    assert not np.any(picture[..., 0] > picture[..., 1].astype(int) + 30)
    assert np.mean(picture == empty) > 0.9


def test_discs_are_painted_on_the_floor(sketcher: Sketcher) -> None:
    spot = discs(np.array([[0.3, 0.1, 5.0]]), 0.2, GREEN)
    picture = sketcher.picture(NOTHING, CAMERA, spot)
    np.testing.assert_array_equal(pixel(picture, (0.3, 0.1, 0.0)), [26, 204, 26])
    assert np.all(spot.corners_w[..., 2] < 0.01)
    # A pyramid over the disc with its tip 1 m below: a third of the area of a 24-gon.
    raised = spot.corners_w + np.array([0.0, 0.0, 1.0])
    area = 0.5 * 24 * np.sin(np.radians(15)) * 0.2**2
    np.testing.assert_allclose(3 * volume(raised), area, rtol=0.01)


def test_sticks_go_from_start_to_end(sketcher: Sketcher) -> None:
    starts, ends = np.array([[-0.5, 0.0, 0.3]]), np.array([[0.5, 0.0, 0.9]])
    rod = sticks(starts, ends, 0.05, RED)
    picture = sketcher.picture(rod, CAMERA)
    for share in (0.05, 0.5, 0.95):
        colour = pixel(picture, tuple((1 - share) * starts[0] + share * ends[0]))
        assert colour[0] > 2 * colour[1]
    colour = pixel(picture, (0.62, 0.0, 0.972))
    assert colour[0] < 1.5 * colour[1]
    # All corners are at the radius from the axis.
    along = (ends - starts)[0] / np.linalg.norm(ends - starts)
    away = np.linalg.norm(np.cross(rod.corners_w - starts[0], along), axis=-1)
    np.testing.assert_allclose(away, 0.05)


def test_a_stick_without_length_is_not_seen(sketcher: Sketcher) -> None:
    place = np.array([[0.0, 0.0, 0.5]])
    picture = sketcher.picture(sticks(place, place, 0.05, RED), CAMERA)
    assert np.mean(picture == sketcher.picture(NOTHING, CAMERA)) > 0.99


def test_what_is_behind_the_camera_is_left_out(sketcher: Sketcher) -> None:
    behind = balls(np.array([CAMERA.eye_w() - [0.0, 0.5, 0.0]]), 0.2, RED)
    around = balls(np.array([CAMERA.eye_w()]), 0.2, RED)
    for faces in (behind, around):
        assert sketcher.picture(faces, CAMERA).shape == (120, 160, 3)


def test_the_floor_stays_where_it_is_when_the_camera_moves(sketcher: Sketcher) -> None:
    here = sketcher.picture(NOTHING, CAMERA)
    # Checks of 0.5 m repeat after a metre.
    metre = sketcher.picture(NOTHING, CAMERA.looking_at(np.array([1.0, -2.0, 0.4])))
    assert np.abs(metre.astype(int) - here).max() <= 1
    half = sketcher.picture(NOTHING, CAMERA.looking_at(np.array([0.5, 0.0, 0.4])))
    assert np.abs(half.astype(int) - here).max() > 5
    again = sketcher.picture(NOTHING, CAMERA)
    np.testing.assert_array_equal(again, here)
