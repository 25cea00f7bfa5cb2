"""Throughput side by side: run with `make bench`. Not a test: nothing fails for being slow."""
