"""The HTTP API under /v1: who may ask what, and what each role is shown."""
