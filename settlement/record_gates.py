"""Dated facts of outside systems about an expert's gates, kept once however often they are told."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from settlement.expert_status import GatePassed, with_gate
from settlement.ports import WritableRegistry, Writer
from settlement.writing import until_written


def record_gates(
    store: Writer, registry: WritableRegistry, passed: Mapping[str, Iterable[GatePassed]]
) -> Mapping[str, int]:
    """How many of the facts about each expert were new, and are kept now; who does not exist is not in it.

    Safe to repeat. Raises Contention if others kept writing about one of them; those before it are kept.
    """
    known = registry.experts(list(passed))
    return {expert: _record(store, registry, expert, tuple(passed[expert])) for expert in passed if expert in known}


def _record(store: Writer, registry: WritableRegistry, expert: str, passed: tuple[GatePassed, ...]) -> int:
    def attempt() -> int:
        before = registry.statuses([expert])[expert]
        after = before
        for fact in passed:
            after = with_gate(after, fact)
        if after != before:
            registry.set_status(replace(after, revision=before.revision + 1))
        return len(set(after.gates) - set(before.gates))

    return until_written(store, f"the gates of {expert}", attempt)
