"""Bugs put into the engine on purpose, each as one small change of it, to prove that the simulator finds them."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from unittest.mock import patch

from billing import charges
from billing.periods import PeriodState
from infra.aws import store
from infra.aws.tables import BookItem, CaseItem, EntryItem
from infra.stripe.experts import StripeExperts
from payouts.payouts import Payout
from settlement import activity, decide, incentives, plan_payouts, send_payouts, settle
from settlement.due_buckets import due_buckets
from settlement.ports import Changes
from tests.simulation.seeds import play

FAULT_RATE = 60
Change = tuple[Any, str, Any]


@dataclass(frozen=True, slots=True)
class Planted:
    """A bug: what was done to the engine, and the seed and number of resolutions of the simulation that finds it.

    `in_ci`: it is found soon enough to be looked for with every run of the tests.
    """

    name: str
    what: str
    changes: Callable[[], tuple[Change, ...]]
    found_by: tuple[int, int]
    in_ci: bool = False

    @contextmanager
    def installed(self) -> Iterator[None]:
        """The engine with this bug."""
        with ExitStack() as stack:
            for owner, name, changed in self.changes():
                stack.enter_context(patch.object(owner, name, changed))
            yield


def _unconditional(*models: Any) -> tuple[Change, ...]:  # noqa: ANN401  # PynamoDB's models
    """Items of these models are put whatever is there already."""
    original = store._puts  # noqa: SLF001  # planted where the conditions are
    conditional = ("ConditionExpression", "ExpressionAttributeValues")

    def puts(changes: Changes) -> Iterator[dict[str, Any]]:
        tables = {model.Meta.table_name for model in models}
        for write in original(changes):
            ignored = conditional if write["TableName"] in tables else ()
            yield {name: value for name, value in write.items() if name not in ignored}

    return ((store, "_puts", puts),)


def _swapped_sign() -> tuple[Change, ...]:
    original = decide._Draft._add  # noqa: SLF001

    def add(self: Any, account: str, code: str, minor_units: int) -> None:  # noqa: ANN401
        original(self, account, code, -minor_units if account.startswith(("expert/", "cost/")) else minor_units)  # type: ignore[arg-type]

    return ((decide._Draft, "_add", add),)  # noqa: SLF001


def _reversal_repriced() -> tuple[Change, ...]:
    original = decide._Draft._post_charge  # noqa: SLF001

    def post(self: Any, minor_units: int, revenue: Any) -> None:  # noqa: ANN401
        original(self, minor_units + (minor_units < -1), revenue)

    return ((decide._Draft, "_post_charge", post),)  # noqa: SLF001


def _new_key_for_each_call() -> tuple[Change, ...]:
    calls = iter(range(10**9))

    def key(self: Payout) -> str:
        return f"{self.id}:{self.attempt}:{next(calls)}"

    def nothing_found(self: Any, payout_id: str) -> None:  # noqa: ANN401, ARG001
        return None

    return ((Payout, "idempotency_key", property(key)), (StripeExperts, "find_transfer", nothing_found))


def _duplicate_not_known() -> tuple[Change, ...]:
    return ((settle, "known", lambda _facts, _fact: False),)


def _released_hold_ignored() -> tuple[Change, ...]:
    original = store._updates  # noqa: SLF001

    def updates(changes: Changes, released: frozenset[int]) -> Iterator[dict[str, Any]]:
        for write in original(changes, released):
            is_hold = write.get("ConditionExpression") == "attribute_not_exists(released)"
            yield {name: value for name, value in write.items() if not is_hold or name != "ConditionExpression"}

    return ((store, "_updates", updates),)


def _cap_not_counted() -> tuple[Change, ...]:
    original = charges.count_change

    def count(state: PeriodState, rate_id: str, before: Any, after: Any) -> PeriodState:  # noqa: ANN401
        changed = original(state, rate_id, before, after)
        return changed.with_counter(rate_id, replace(changed.counter(rate_id), capped=0))

    return ((decide, "count_change", count),)


def _raised_beyond_cap() -> tuple[Change, ...]:
    """A bug that was there, until a million resolutions had been played."""
    original = decide._Draft._charge  # noqa: SLF001

    def charge(self: Any, price: Any, discount_basis_points: int, contract: Any) -> Any:  # noqa: ANN401
        if self.state.price == price and self.state.charge and not self.state.charge.capped:
            return charges.charge_at(price, discount_basis_points)
        return original(self, price, discount_basis_points, contract)

    return ((decide._Draft, "_charge", charge),)  # noqa: SLF001


def _credited_twice() -> tuple[Change, ...]:
    original = charges.credit_after_close

    def credit(*of: Any) -> tuple[int, PeriodState]:  # noqa: ANN401  # passed on
        given, after = original(*of)
        return 2 * given, after

    return ((decide, "credit_after_close", credit),)


def _payout_planned_twice() -> tuple[Change, ...]:
    original = plan_payouts._reserve  # noqa: SLF001

    def reserve(*arguments: Any) -> Changes:  # noqa: ANN401
        changes: Changes = original(*arguments)
        return replace(changes, availables=(), released=())

    return ((plan_payouts, "_reserve", reserve),)


def _window_excludes_its_last_instant() -> tuple[Change, ...]:
    original = settle._Group._reopen_window  # noqa: SLF001

    def window(self: Any, resolved_at: Any) -> timedelta:  # noqa: ANN401
        found: timedelta = original(self, resolved_at)
        return found - timedelta(microseconds=1)

    return ((settle._Group, "_reopen_window", window),)  # noqa: SLF001


def _weeks_added_only() -> tuple[Change, ...]:
    original = activity.week_changes

    def changes(before: Any, after: Any) -> Iterator[Any]:  # noqa: ANN401
        return (it for it in original(before, after) if it.resolutions >= 0)

    return ((settle, "week_changes", changes),)


def _released_payout_not_given_back() -> tuple[Change, ...]:
    return ((send_payouts, "_given_back", lambda _store, _payout, _minor: ()),)


def _award_not_remembered() -> tuple[Change, ...]:
    original = incentives._Awarding._changes  # noqa: SLF001

    def changes(self: Any, expert: str, due: Any) -> Changes:  # noqa: ANN401
        return replace(original(self, expert, due), holds=())

    return ((incentives._Awarding, "_changes", changes),)  # noqa: SLF001


def _parked_dropped() -> tuple[Change, ...]:
    return ((settle._Group, "_park", lambda _self, _parked: None),)  # noqa: SLF001


def _put_off_and_forgotten() -> tuple[Change, ...]:
    return ((store, "due_buckets", lambda cases: due_buckets([case for case in cases if case.revision == 1])),)


PLANTED = (
    Planted(
        "dropped_conditions_of_journal",
        "entries and heads are put over whatever is there",
        lambda: _unconditional(BookItem, EntryItem),
        (6, 500),
    ),
    Planted(
        "forgotten_revision_check",
        "a case is put over whatever is there",
        lambda: _unconditional(CaseItem),
        (2, 500),
    ),
    Planted("swapped_sign_of_earning", "expert's postings have the other sign", _swapped_sign, (1, 500), in_ci=True),
    Planted("reversal_repriced", "what is taken back is one minor unit less", _reversal_repriced, (1, 500)),
    Planted(
        "retry_with_new_key",
        "each call to Stripe has a key of its own, and nobody looks for a transfer",
        _new_key_for_each_call,
        (6, 500),
    ),
    Planted("duplicate_not_recognised", "a fact that is there is taken in again", _duplicate_not_known, (1, 500)),
    Planted(
        "hold_added_after_release",
        "a hold is added to though its day was released",
        _released_hold_ignored,
        (1, 500),
        in_ci=True,
    ),
    Planted("cap_not_counted", "what the cap took is not counted", _cap_not_counted, (1, 1500)),
    Planted("raised_beyond_cap", "a charge is raised whatever the cap leaves", _raised_beyond_cap, (1, 5000)),
    Planted("credited_twice", "a credit for a closed period is given twice over", _credited_twice, (2, 500)),
    Planted(
        "payout_leaves_available",
        "reserving takes nothing off what is available",
        _payout_planned_twice,
        (1, 500),
        in_ci=True,
    ),
    Planted(
        "window_without_last_instant",
        "the reopen window ends an instant too early",
        _window_excludes_its_last_instant,
        (2, 1500),
    ),
    Planted("weeks_never_lowered", "a reversal stays counted in its week", _weeks_added_only, (1, 500)),
    Planted("refused_payout_is_lost", "a refused payout is not given back", _released_payout_not_given_back, (1, 1500)),
    Planted("award_without_hold", "an incentive is posted and not held", _award_not_remembered, (1, 500), in_ci=True),
    Planted(
        "put_off_in_no_bucket",
        "a case that waits for another time than at first is not looked at then",
        _put_off_and_forgotten,
        (1, 500),
        in_ci=True,
    ),
    Planted("parked_is_dropped", "what cannot be decided is not kept", _parked_dropped, (1, 500)),
)


def find(planted: Planted) -> str:
    """What the simulator says of the engine with this bug; empty if it finds nothing."""
    with planted.installed():
        return play((*planted.found_by, FAULT_RATE)).violation


def main() -> int:
    """Look for every planted bug; 1 if one is not found."""
    missed = 0
    for planted in PLANTED:
        found = find(planted)
        missed += not found
        sys.stdout.write(f"{planted.name:32} {found.splitlines()[0][:150] if found else 'NOT FOUND'}\n")
        sys.stdout.flush()
    sys.stdout.write(f"{len(PLANTED) - missed} of {len(PLANTED)} planted bugs were found\n")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
