"""Find named entities in speech and say when they were spoken."""

__version__ = "0.1.0"
