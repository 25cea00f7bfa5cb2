"""Who may read what on a real ClickHouse server. Applied by `baton migrate access`; the embedded store has users of its own."""
