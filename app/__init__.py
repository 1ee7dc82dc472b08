"""The reference application: a small to-do and download service whose background work runs on Nephew."""
