"""The digital twin: a simulated robot that gives the messages of the real one."""
