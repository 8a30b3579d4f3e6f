"""What an expert earns and when it is paid: pay plans, earnings, holds and payout states. Pure."""
