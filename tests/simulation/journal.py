"""The journal read from its table by plain loops: each entry once, checked as it comes, and added up."""

import hashlib
import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.aws import Cloud

GENESIS = "0" * 64
Line = tuple[str, str]


@dataclass
class Journal:
    """Balances by account and currency, a debit positive; and the same by cycle, and by day of release."""

    balances: Counter[Line] = field(default_factory=Counter)
    cycles: dict[str, Counter[Line]] = field(default_factory=lambda: defaultdict(Counter))
    releases: dict[Line, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    reserved: dict[str, int] = field(default_factory=dict)
    ids: set[str] = field(default_factory=set)
    _ends: dict[str, tuple[int, str]] = field(default_factory=dict)

    def read(self, cloud: Cloud) -> list[str]:
        """Take in what is new in every book; what is wrong with it, in words."""
        problems, entries = [], 0
        for head in cloud.items("books"):
            book = str(head["book"])
            if book.startswith(("entry/", "sums/")):
                continue
            entries += head["seq"]
            seq, chain = self._ends.get(book, (0, GENESIS))
            while seq < head["seq"]:
                seq += 1
                item = cloud.item("ledger", f"{book}#{seq % 8}", str(seq))
                if item is None:
                    problems.append(f"{book}: entry {seq} is missing")
                    break
                chain = self._chain(book, item, chain)
                if item["chain_hash"].hex() != chain:
                    problems.append(f"{book}: entry {seq} ({item['id']}) breaks the chain")
                problems += self._take_in(item)
            if seq > head["seq"] or chain != head["chain_hash"].hex():
                problems.append(f"{book}: the head is at {head['seq']}, the entries end at {seq}")
            self._ends[book] = (seq, chain)
        if entries != cloud.count("ledger"):
            problems.append(f"the heads count {entries} entries, the table holds {cloud.count('ledger')}")
        return problems

    def _chain(self, book: str, item: dict[str, Any], previous: str) -> str:
        lines = json.loads(item["postings"])
        content = [item["id"], book, item["reason"], item["effective_on"], lines, item["evidence"]]
        text = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
        content_hash = hashlib.sha256(text.encode()).hexdigest()
        recorded_at = str(item["recorded_at"]).replace("Z", "+00:00")
        return hashlib.sha256(f"{content_hash}\n{item['seq']}\n{recorded_at}\n{previous}".encode()).hexdigest()

    def _take_in(self, item: dict[str, Any]) -> list[str]:
        problems, sums = [], Counter[str]()
        if item["id"] in self.ids:
            problems.append(f"{item['id']} is posted twice")
        self.ids.add(item["id"])
        release_on = json.loads(item["evidence"]).get("release_on", "")
        for account, code, minor in json.loads(item["postings"]):
            sums[code] += minor
            self.balances[account, code] += minor
            if item["id"].startswith("charge:"):
                self.cycles[item["id"].removeprefix("charge:").rpartition(":")[0]][account, code] += minor
            if account.startswith("expert/") and account.endswith("/payable"):
                self.releases[account.split("/")[1], code][release_on] -= minor
        if item["reason"] == "payout_reserved":
            self.reserved[item["id"].removesuffix(":reserved")] = max(m for _, _, m in json.loads(item["postings"]))
        if any(sums.values()):
            problems.append(f"{item['id']} does not balance: {dict(sums)}")
        return problems

    def matured(self, expert: str, code: str, day: str) -> int:
        """What of an expert's payable is released by a day, reservations taken off."""
        return sum(minor for release_on, minor in self.releases[expert, code].items() if release_on <= day)
