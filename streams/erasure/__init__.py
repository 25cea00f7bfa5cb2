"""Erasing a lead: which rows are personal and go, how they go, how the request is published, and the proof that it was done."""
