"""NNNN_name.up.sql and, where it can be undone, NNNN_name.down.sql. Applied by `baton migrate`; never edited once applied."""
