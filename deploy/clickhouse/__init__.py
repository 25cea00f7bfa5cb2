"""What a ClickHouse needs for Baton: numbered migrations. Data, no code."""
