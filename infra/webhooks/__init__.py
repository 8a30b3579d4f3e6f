"""Webhooks on their way out: queued in order, sent safely, and what became of each."""
