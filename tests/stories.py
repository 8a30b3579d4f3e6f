"""What the story of a case has to say, worked out from the journal anew: for tests that play worlds."""

import re
from collections import Counter
from collections.abc import Iterable

from events.facts import CaseId
from ledger.entries import Entry
from ledger.money import Currency, format_minor_units
from settlement.explain import Story, explain
from tests.world import World, at

_POSTING = re.compile(r"(Debit|Credit) (\S+) (\S+) ([A-Z]{3}): .+\.")


def story_of(world: World, case: str) -> Story:
    found = world.store.stored_cases["acme", CaseId(case)]
    return explain(world.store, world.registry.contract_histories["acme"], found, at("2026-06-01"))


def sentences(story: Story) -> list[str]:
    return [sentence for told in story.told for sentence in told.sentences]


def posted_in(texts: Iterable[str]) -> Counter[tuple[str, str, str]]:
    """How often the sentences tell of each posting: side, account, amount."""
    found = filter(None, map(_POSTING.fullmatch, texts))
    return Counter((it[1], it[2], f"{it[3]} {it[4]}") for it in found)


def check_story(world: World, case: str) -> None:
    """Every fact and entry is told; the sentences name every posting, and end in what the journal sums to."""
    story = story_of(world, case)
    entries = [it for it in world.entries() if it.id.startswith(f"charge:acme/{case}/")]
    assert [told.fact for told in story.told if told.fact] == list(world.store.stored_cases["acme", CaseId(case)].facts)
    assert {told.recorded.entry.id for told in story.told if told.recorded} == {it.id for it in entries}
    assert posted_in(sentences(story)) == _posted(entries)
    *_, in_all = story.outcome()
    assert in_all.startswith(f"In all, acme pays {_sum(entries, 'client/acme/unbilled', story.currency)} ")
    for expert in world.experts:
        earned = -sum(
            posting.amount.minor_units
            for it in entries
            for posting in it.postings
            if posting.account == f"expert/{expert}/payable"
        )
        told = {paid.amount.currency for paid in story.earned if paid.expert == expert}
        assert bool(told) or not earned
        for code in told:
            assert f"{expert} earns {format_minor_units(earned, code)} {code}" in in_all


def _posted(entries: Iterable[Entry]) -> Counter[tuple[str, str, str]]:
    postings = (posting for entry in entries for posting in entry.postings)
    return Counter(
        (
            "Debit" if it.amount.minor_units > 0 else "Credit",
            str(it.account),
            f"{format_minor_units(abs(it.amount.minor_units), it.amount.currency)} {it.amount.currency}",
        )
        for it in postings
    )


def _sum(entries: Iterable[Entry], account: str, code: Currency) -> str:
    found = (posting for entry in entries for posting in entry.postings if posting.account == account)
    return f"{format_minor_units(sum(posting.amount.minor_units for posting in found), code)} {code}"
