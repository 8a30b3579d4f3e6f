"""Adapters from ticketing systems to facts."""
