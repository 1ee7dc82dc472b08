"""The tests. Whatever is started here is real: servers, consumers, processes."""
