"""Files of other systems, and of our own, as events in the order of their arrival."""

from streams.importers.source import Imported, Source, open_source

__all__ = ["Imported", "Source", "open_source"]
