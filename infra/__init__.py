"""The outside world behind the ports: AWS, Stripe and the embedded stack."""
