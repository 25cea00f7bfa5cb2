"""Pure meaning: what a lead's events say about its state and its clocks.

Nothing in this package may import a log, a store, a clock, randomness or the environment: time, state and outputs are
arguments and return values. The way of an event: facts -> lane (all leads of a partition, deadlines) -> lead (order,
identity) -> lifecycle and moves (stages) -> sla (clocks) -> outputs -> rows.
"""
