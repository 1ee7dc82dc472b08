"""What every backend has to do, told once and run against each of them."""
