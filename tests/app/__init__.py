"""The reference application."""
