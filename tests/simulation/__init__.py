"""Deterministic simulation of the lane runtime: the production engine, lanes, commit and restore run against a simulated
world of virtual time, in one thread, and everything that can go wrong there is decided by a seed.

`loop.py` is time and processes; `broker.py` and `groups.py` are the log; `clients.py` and `fetching.py` are what a worker
has of it; `stories.py` says what happens, `faults.py` what goes wrong; `store.py` is a sink with its store; `world.py` puts
it together and `judging.py` says whether it came out right.
"""
