"""The embedded stack: AWS emulator, Stripe sandbox and sample world."""
