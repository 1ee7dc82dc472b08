"""The application's schedules: when -> job, no logic."""
