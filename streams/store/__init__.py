"""The store: an embedded ClickHouse behind ClickHouse's own HTTP interface, and what every client of a store needs.

client, migrations, query   for any ClickHouse: a server or `baton store`
server, http, execution, …  the embedded store itself; the engine is imported by engine.py alone
"""
