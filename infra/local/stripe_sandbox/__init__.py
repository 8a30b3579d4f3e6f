"""A stateful double of Stripe on loopback, against which the real SDK runs.

`StripeSandbox` serves it inside a process; `python -m infra.local.stripe_sandbox` serves it on its own. What it models
is the table in `routes.py`; whatever it doesn't model is refused by name, never silently accepted. Money is in integer
minor units, times are UTC epoch seconds (v1) or RFC 3339 (v2), and ids are counted, so equal runs give equal ids.
"""

from infra.local.stripe_sandbox.server import StripeSandbox
from infra.local.stripe_sandbox.world import Settings

__all__ = ["Settings", "StripeSandbox"]
