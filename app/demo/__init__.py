"""The demonstration: a real consumer doing real work, watched from outside. Run with `python -m app.demo`."""

#: How the names of the folders begin that demonstrations make, use and remove.
WORKSPACE_PREFIX = "nephew-demo-"
