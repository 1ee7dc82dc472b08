"""The version, told once: packaging, the command line and the consumer's start line read it here."""

__version__ = "0.1.0"
