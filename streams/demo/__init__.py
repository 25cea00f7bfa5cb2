"""The demonstration: a simulated stream of leads through the whole pipeline on one machine, shown in the terminal."""
