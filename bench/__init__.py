"""Measurements: how long the work at a month's end takes, each figure beside a baseline of the same run."""
