"""Dead letters: what was set aside, found by reason, topic and time, and published again exactly once, mended or not."""
