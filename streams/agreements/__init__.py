"""The agreement's versions: read from files, published to the topic `agreements`, followed by the workers.

In that order: holidays (dates of a country's holidays), files, topic (publish, read), source (what a worker judges by);
show (for people), schema (for editors). What a version means is in processors.agreement.
"""

from streams.agreements.files import read
from streams.agreements.source import Given, Source, open_source, read_agreement
from streams.agreements.topic import AgreementsReader, publish, published

__all__ = ["AgreementsReader", "Given", "Source", "open_source", "publish", "published", "read", "read_agreement"]
