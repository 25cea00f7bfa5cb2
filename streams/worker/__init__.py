"""The worker: a Faust app whose message is a partition's whole fetch, and lanes that fold what it hands over.

In the order the data flows: driver (Faust and aiokafka), engine (which lanes are ours), lane (queue, clock, outputs),
intake (bytes to facts or dead letters), processors.lane (the fold), commit (the transaction), restore (taking over).
"""
