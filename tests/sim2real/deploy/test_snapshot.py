import numpy as np

from legged_skills.sim2real.deploy.snapshot import (
    IMU_CAPACITY,
    IMU_ORIENTATION,
    IMU_TIME,
    NEVER,
    CommandSnapshot,
    SensorSnapshot,
)


def _add(snapshot: SensorSnapshot, time_s: float) -> None:
    snapshot.add_imu(time_s, np.full(3, time_s), np.zeros(3))


def test_at_first_nothing_is_known():
    snapshot = SensorSnapshot(3)
    assert np.isnan(snapshot.joint_pos).all() and np.isnan(snapshot.battery_v)
    assert (snapshot.joint_time_s == NEVER).all()
    assert CommandSnapshot(3).time_s == NEVER
    np.testing.assert_array_equal(CommandSnapshot(3).values, np.zeros(3))


def test_what_is_taken_does_not_change_any_more():
    live, taken = SensorSnapshot(2), SensorSnapshot(2)
    live.joint_pos[:] = 1.0
    live.joint_vel[:] = 2.0
    live.joint_time_s[:] = 3.0
    live.others, live.owner, live.battery_v = 1, "me.", 11.5
    live.reject("first.")
    live.reject("second.")
    _add(live, 5.0)
    live.take(taken)
    live.joint_pos[:] = live.joint_vel[:] = live.joint_time_s[:] = -1.0
    _add(live, 6.0)
    np.testing.assert_array_equal(taken.joint_pos, [1.0, 1.0])
    np.testing.assert_array_equal(taken.joint_vel, [2.0, 2.0])
    np.testing.assert_array_equal(taken.joint_time_s, [3.0, 3.0])
    assert (taken.others, taken.owner, taken.battery_v) == (1, "me.", 11.5)
    assert (taken.rejected, taken.rejection) == (2, "second.")
    assert (taken.num_imu, taken.imu[0, IMU_TIME]) == (1, 5.0)
    live.take(taken)
    assert (taken.rejected, taken.num_imu, taken.imu[0, IMU_TIME]) == (0, 1, 6.0)
    assert (taken.joint_pos == -1.0).all()
    live.take(taken)
    assert taken.num_imu == 0


def test_of_too_many_samples_the_newest_are_kept():
    live, taken = SensorSnapshot(2), SensorSnapshot(2)
    for time in range(IMU_CAPACITY + 3):
        _add(live, float(time))
    live.take(taken)
    np.testing.assert_array_equal(taken.imu[:, IMU_TIME], np.arange(3.0, IMU_CAPACITY + 3))
    assert np.isnan(taken.imu[:, IMU_ORIENTATION]).all()
