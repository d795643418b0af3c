"""What moves a real robot, without ROS: states, guards, controller, settings, log.

Nothing here imports ROS or MuJoCo, and but for the thread of ``loop`` nothing reads a clock: times
are arguments, in seconds of a steady clock that all of them share.
"""
