"""Nephew beside its peers, measured on one machine in one run: `python -m benchmarks`.

The driver starts the servers and, round by round, one session for each runner. A session is a process of its own;
it asks one adapter of `benchmarks.runners` and takes all measures of `benchmarks.measures`.
"""
