"""Whole processes: the consumer, the command line, the package."""
