"""Lead histories worked out by hand, to be checked against every implementation of the rules."""
