"""What a client owes: contracts, rate cards, charges, periods and invoices. Pure."""
