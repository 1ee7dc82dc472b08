"""Where jobs are kept. `contract` says what a backend does; each package beside it is one."""
