"""The batch way: a file of history through the whole pipeline, event time as the clock."""
