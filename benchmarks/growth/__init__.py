"""What a drain costs per job when something grows beside it: `python -m benchmarks --growth`.

The jobs that wait behind, the rows of finished ones, the queues, the arguments, the consumers. The stores of one
comparison are there at the same time and take turns; in each turn the stock consumer is started on what waits.
"""
