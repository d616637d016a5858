"""Moves and makes events: records, codecs, sources, sinks, late labels, worlds. No torch."""
