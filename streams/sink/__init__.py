"""The sink: committed records of the output topics become rows of the store, each exactly once in effect.

How it holds, whatever is killed and whenever:
1. Only committed records are read (read_committed).
2. A row names its record: the topic's own id, partition, offset. Where to go on is asked of the store itself, per table:
   after the highest offset it holds. There is no position beside the data that could say otherwise.
3. A batch of a table is one insert of one block and becomes one part: all of it or nothing. Rows of a partition stand in it
   in the order of their offsets, so what the store holds of a partition never has a gap.
4. An insert whose answer was lost is sent again with the same deduplication token, which the store takes once.
5. What still comes twice (two sinks for a moment, a window that ran out) has the same key and version: the tables are
   ReplacingMergeTree and every view reads FINAL.
"""
