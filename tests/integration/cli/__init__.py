"""The command `nephew` as a user runs it: real processes on a real database."""
