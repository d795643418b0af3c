# MuJoCo comes without types: nearly all of it is compiled. Without this file pyright takes every
# name in it for missing. With it they may be anything; mujoco.batch and other modules written in
# Python keep the types they have.
def __getattr__(name: str): ...
