"""The application's jobs: one module per subject. Each runs in a worker and may run again after a crash."""
