"""Helpdesks that have to be asked."""
