"""Changed terms that wait for a second person: what waits, approving it, withdrawing it."""

from datetime import date

from rich.console import Console

from billing.contracts import Contract
from cli.printing import DONE, FAILED, REFUSED, say
from cli.versions import changed_fields, in_words, name_of
from payouts.policy import PayoutPolicy
from settlement.apply import CurrentTerms, TermsRefused
from settlement.ports import Contention
from settlement.price_changes import (
    PriceChangeRefused,
    PriceRegistry,
    Proposal,
    Version,
    Versions,
    approve,
    find_proposal,
    versions_of,
)


def waiting(registry: PriceRegistry, console: Console) -> int:
    """Print every proposal that waits, with each field that it changes."""
    proposals = sorted(registry.proposals(), key=lambda it: (it.proposed_on, it.id))
    current = registry.current_terms()
    for proposal in proposals:
        say(f"{proposal.id}, proposed by {proposal.proposed_by} on {proposal.proposed_on}", console)
        _print_proposal(proposal, current, console)
    say(f"{len(proposals)} waiting", console)
    return DONE


def _print_proposal(proposal: Proposal, current: CurrentTerms, console: Console) -> None:
    for change in proposal.changes:
        known = versions_of(current, change.kind, change.id)
        for version in change.versions:
            before = _before(known, version)
            if before != version:
                say(f"  {_title(version, before)}", console)
                for field, was, now in changed_fields(before, version):
                    say(f"    {in_words(field, was, now)}", console)


def _title(version: Version, before: Version | None) -> str:
    if isinstance(version, PayoutPolicy) or isinstance(before, PayoutPolicy):
        return f"payout policy {name_of(version)}"
    mark = f" against {before.version}" if before else ""
    return f"{name_of(version)}, version from {version.version}{mark}"


def _before(known: Versions, version: Version) -> Version | None:
    """What is in force on a version's first day without it; a policy has no first day."""
    if isinstance(version, PayoutPolicy):
        return known[-1] if known else None
    dated = [it for it in known if not isinstance(it, PayoutPolicy)]
    begun = [it for it in dated if it.starts_on <= version.starts_on]
    last = begun[-1] if begun else None
    has_ended = isinstance(last, Contract) and last.ends_on is not None and last.ends_on <= version.starts_on
    return None if has_ended else last


def approve_proposal(proposal_id: str, registry: PriceRegistry, by: str | None, as_of: date, console: Console) -> int:
    """Apply exactly what somebody else proposed. 2 if that may not be; 1 if somebody changed it at the same time."""
    if by is None:
        say("Say who approves this with --by NAME. Nothing was written.", console)
        return REFUSED
    try:
        written = approve(registry, proposal_id, by, as_of)
    except (PriceChangeRefused, TermsRefused) as refused:
        say(f"{refused}. Nothing was written.", console)
        return REFUSED
    except Contention as contention:
        say(f"{contention}. Approve it again.", console)
        return FAILED
    for change in written:
        signature = change.applied[-1]
        say(f"{change.id}: {change.what}, proposed by {signature.proposed_by}, approved by {by}", console)
    say(f"{len(written)} changed.", console)
    return DONE


def withdraw(proposal_id: str, registry: PriceRegistry, console: Console) -> int:
    """Forget a proposal; 2 if nothing waits under that hash."""
    if find_proposal(registry, proposal_id) is None:
        say(f"nothing waits under {proposal_id}; see `solvent contract waiting`", console)
        return REFUSED
    registry.remove_proposal(proposal_id)
    say(f"{proposal_id} is withdrawn; nothing of it was applied.", console)
    return DONE
