import pytest
@pytest.mark.parametrize("n", range(40))
def test_start(n, sqlite_bench):
    sqlite_bench.consumer("thread", 2)
