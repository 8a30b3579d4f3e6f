"""The journal: money, accounts, posting rules, balanced entries and hash-chained books. Pure."""
