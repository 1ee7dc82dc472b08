"""A mixed load with faults at random, for as long as you like."""
