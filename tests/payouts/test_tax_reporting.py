"""What was paid in a year, and who is reported."""

from datetime import date, datetime

import pytest

from ledger.accounts import (
    BANK_CASH,
    COST_BASE,
    COST_FEES,
    STRIPE_BALANCE,
    TAX_WITHHELD,
    Account,
    expert_in_transit,
    expert_payable,
)
from ledger.entries import Book, Entry, EntryId, RecordedEntry, client_book, evidence, expert_book, postings
from ledger.money import Currency
from ledger.posting_rules import Reason
from payouts.tax_reporting import (
    THRESHOLDS,
    Paid,
    PaidInYear,
    Regime,
    Verdict,
    paid_in,
    regime_of,
    verdict_on,
)
from tests.world import at

USD, EUR = Currency("USD"), Currency("EUR")
MAYAS, PAYABLE, IN_TRANSIT = expert_book("maya"), expert_payable("maya"), expert_in_transit("maya")
Move = tuple[Account, Account, int]


def recorded(id_: str, reason: Reason, move: Move, on: str, book: Book = MAYAS, **told: object) -> RecordedEntry:
    debit, credit, minor = move
    moves = postings(((debit, minor), (credit, -minor)), "USD")
    entry = Entry(EntryId(id_), book, reason, moves, date.fromisoformat(on), evidence(told))
    return RecordedEntry(entry, 1, at(on), "")


def a_payout(run: str, reserved_on: str, sent_on: str | None, minor: int, withheld: int = 0) -> list[RecordedEntry]:
    """What is booked for a payout: `minor` gross, and its transfer if it was sent."""
    id_ = f"payout:maya:USD:{run}"
    found = [recorded(f"{id_}:reserved", Reason.PAYOUT_RESERVED, (PAYABLE, IN_TRANSIT, minor), reserved_on)]
    if sent_on:
        net = minor - withheld
        found.append(recorded(f"{id_}:sent", Reason.PAYOUT_SENT, (IN_TRANSIT, STRIPE_BALANCE, net), sent_on))
    if withheld:
        found.append(
            recorded(f"{id_}:withheld", Reason.WITHHELD, (IN_TRANSIT, TAX_WITHHELD, withheld), sent_on or reserved_on)
        )
    return found


def an_earning(case: str, on: str, release_on: str, minor: int = 60, n: int = 1) -> RecordedEntry:
    reason = Reason.SETTLED if minor > 0 else Reason.REVERSED
    move = (COST_BASE, PAYABLE, minor) if minor > 0 else (PAYABLE, COST_BASE, -minor)
    id_, book = f"charge:acme/{case}/1:{n}", client_book("acme")
    return recorded(id_, reason, move, on, book, case=case, cycle=1, release_on=release_on)


def year_of(found: list[PaidInYear]) -> Paid:
    [paid] = found
    return paid.year


def paid_of(code: Currency = USD, **sums: int) -> list[PaidInYear]:
    return [PaidInYear(code, (Paid(**sums), Paid(), Paid(), Paid()))]


# -- what was paid -----------------------------------------------------------------------------------------------------


def test_money_is_paid_on_the_day_of_its_transfer_and_not_when_it_was_reserved() -> None:
    book = a_payout("2026-W53", "2026-12-31", "2027-01-01", 100)
    assert paid_in("maya", 2026, book) == []
    assert year_of(paid_in("maya", 2027, book)) == Paid(net=100, payments=1)


def test_what_was_never_sent_was_never_paid() -> None:
    assert paid_in("maya", 2026, a_payout("2026-W41", "2026-10-05", None, 100)) == []


@pytest.mark.parametrize(
    ("day", "quarter"),
    [("01-01", 0), ("03-31", 0), ("04-01", 1), ("06-30", 1), ("07-01", 2), ("09-30", 2), ("12-31", 3)],
)
def test_a_payment_falls_into_the_quarter_of_its_day(day: str, quarter: int) -> None:
    [paid] = paid_in("maya", 2026, a_payout("2026-W01", f"2026-{day}", f"2026-{day}", 100))
    assert [it.payments for it in paid.quarters] == [int(place == quarter) for place in range(4)]


def test_gross_is_what_was_paid_with_the_tax_and_the_fee_that_were_kept() -> None:
    fee = recorded("payout:maya:USD:now-1:fee", Reason.PAYOUT_FEE, (IN_TRANSIT, COST_FEES, 50), "2026-10-06")
    book = [*a_payout("now-1", "2026-10-05", "2026-10-05", 10_000, withheld=2_400), fee]
    found = year_of(paid_in("maya", 2026, book))
    assert found == Paid(net=7_600, withheld=2_400, fee=50, payments=1)
    assert found.gross == 10_050


def test_tax_that_was_kept_before_the_transfer_is_paid_with_it() -> None:
    book = a_payout("2026-W53", "2026-12-31", "2027-01-01", 100)
    book.insert(
        1, recorded("payout:maya:USD:2026-W53:withheld", Reason.WITHHELD, (PAYABLE, TAX_WITHHELD, 24), "2026-12-31")
    )
    assert paid_in("maya", 2026, book) == []
    assert year_of(paid_in("maya", 2027, book)).withheld == 24


def test_a_reversed_transfer_counts_on_its_own_day_and_stays_a_payment() -> None:
    back = recorded(
        "payout:maya:USD:2026-W11:reversed:30", Reason.PAYOUT_REVERSED, (STRIPE_BALANCE, PAYABLE, 30), "2026-04-02"
    )
    [paid] = paid_in("maya", 2026, [*a_payout("2026-W11", "2026-03-09", "2026-03-10", 100), back])
    assert paid.quarters[:2] == (Paid(net=100, payments=1), Paid(net=-30, reversed=30))
    assert (paid.year.gross, paid.year.payments) == (70, 1)


def test_what_was_paid_by_hand_counts() -> None:
    by_hand = recorded("manual:1", Reason.MANUAL, (PAYABLE, BANK_CASH, 500), "2026-05-01")
    assert year_of(paid_in("maya", 2026, [by_hand])) == Paid(net=500, payments=1)


def test_later_days_are_not_counted_yet() -> None:
    book = [*a_payout("2026-W10", "2026-03-02", "2026-03-02", 1), *a_payout("2026-W11", "2026-03-09", "2026-03-09", 10)]
    assert year_of(paid_in("maya", 2026, book, date(2026, 3, 8))).net == 1
    assert year_of(paid_in("maya", 2026, book, date(2026, 3, 9))).net == 11


# -- for how many resolutions ------------------------------------------------------------------------------------------


def test_a_payout_pays_for_the_resolutions_that_were_released_by_then_and_not_paid_before() -> None:
    earned = [
        an_earning("C1", "2026-03-01", "2026-03-08"),
        an_earning("C2", "2026-03-02", "2026-03-09"),
        an_earning("C3", "2026-03-03", "2026-03-10"),
        an_earning("C4", "2026-03-20", "2026-07-06"),
    ]
    payouts = [
        *a_payout("2026-W11", "2026-03-09", "2026-03-09", 120),
        *a_payout("2026-W28", "2026-07-06", "2026-07-07", 120),
        *a_payout("2026-W29", "2026-07-13", "2026-07-13", 1),
    ]
    [paid] = paid_in("maya", 2026, [*payouts, *earned])
    assert [it.activities for it in paid.quarters] == [2, 0, 2, 0]


def test_a_payout_that_failed_leaves_its_resolutions_to_the_next() -> None:
    payouts = [
        *a_payout("2026-W11", "2026-03-09", None, 60),
        *a_payout("2026-W27", "2026-06-29", "2026-06-29", 60),
    ]
    [paid] = paid_in("maya", 2026, [*payouts, an_earning("C1", "2026-03-01", "2026-03-08")])
    assert [it.activities for it in paid.quarters] == [0, 1, 0, 0]


def test_a_resolution_that_is_taken_back_counts_only_while_it_is_paid() -> None:
    before = [an_earning("C1", "2026-03-01", "2026-03-08"), an_earning("C1", "2026-03-05", "2026-03-08", -60, 2)]
    after = [an_earning("C2", "2026-03-01", "2026-03-08"), an_earning("C2", "2026-03-20", "2026-03-08", -60, 2)]
    payouts = [
        *a_payout("2026-W11", "2026-03-09", "2026-03-09", 60),
        *a_payout("2026-W27", "2026-06-29", "2026-06-29", 1),
    ]
    [paid] = paid_in("maya", 2026, [*payouts, *before, *after])
    assert [it.activities for it in paid.quarters] == [1, -1, 0, 0]


def test_a_correction_recorded_after_the_run_is_not_paid_by_it() -> None:
    late = an_earning("C1", "2026-03-01", "2026-03-08")
    late = RecordedEntry(late.entry, 1, datetime.fromisoformat("2026-03-09T00:00:01+00:00"), "")
    payouts = [
        *a_payout("2026-W11", "2026-03-09", "2026-03-09", 1),
        *a_payout("2026-W27", "2026-06-29", "2026-06-29", 60),
    ]
    [paid] = paid_in("maya", 2026, [*payouts, late])
    assert [it.activities for it in paid.quarters] == [0, 1, 0, 0]


# -- who is reported ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("year", "cents", "is_reportable"),
    [(2025, 59_999, False), (2025, 60_000, True), (2026, 60_000, False), (2026, 199_999, False), (2026, 200_000, True)],
)
def test_an_expert_in_the_us_is_reported_from_the_threshold_of_the_year_on(
    year: int,
    cents: int,
    is_reportable: bool,  # noqa: FBT001  # a table of cases
) -> None:
    verdict = verdict_on("US", year, paid_of(net=cents, payments=1))
    assert (verdict.regime, verdict.is_reportable) == (Regime.FORM_1099_NEC, is_reportable)


def test_the_threshold_is_compared_with_gross_and_withheld_tax_is_always_reported() -> None:
    assert verdict_on("US", 2026, paid_of(net=199_000, fee=1_000, payments=1)).is_reportable is True
    assert verdict_on("US", 2026, paid_of(net=76, withheld=24, payments=1)).is_reportable is True


def test_money_in_another_currency_is_not_guessed() -> None:
    verdict = verdict_on("US", 2026, paid_of(EUR, net=900_000, payments=1))
    assert verdict.is_reportable is None
    assert "EUR" in verdict.why
    both = [*paid_of(EUR, net=1, payments=1), *paid_of(USD, net=200_000, payments=1)]
    assert verdict_on("US", 2026, both).is_reportable is True


def test_an_expert_in_the_eu_is_reported_from_any_payment_on() -> None:
    assert verdict_on("DE", 2026, paid_of(EUR, net=1, payments=1)).is_reportable is True
    assert verdict_on("DE", 2026, []).is_reportable is False
    assert len([country for country in ("AT", "GR", "PL", "GB", "CH", "NO") if regime_of(country)]) == 3


@pytest.mark.parametrize("country", ["US", "DE"])
@pytest.mark.parametrize("year", [2024, 2027])
def test_a_year_without_a_rule_is_said_and_never_guessed(country: str, year: int) -> None:
    verdict = verdict_on(country, year, paid_of(net=900_000, payments=1))
    assert verdict.is_reportable is None
    assert f"no threshold known for {year}" in verdict.why


def test_a_country_without_a_rule_is_said_and_never_guessed() -> None:
    verdict = verdict_on("JP", 2026, paid_of(net=900_000, payments=1))
    assert (verdict.regime, verdict.is_reportable) == (None, None)
    assert "no reporting rule is known for JP" in verdict.why


def test_the_table_says_what_the_sources_say() -> None:
    said = {(regime, year): str(it) if it else None for (regime, year), it in THRESHOLDS.items()}
    assert said == {
        (Regime.FORM_1099_NEC, 2025): "600.00 USD",
        (Regime.FORM_1099_NEC, 2026): "2000.00 USD",
        (Regime.DAC7, 2025): None,
        (Regime.DAC7, 2026): None,
    }


def test_a_verdict_names_its_regime_its_threshold_and_why() -> None:
    us, eu = Regime.FORM_1099_NEC, Regime.DAC7
    threshold = THRESHOLDS[us, 2026]
    swiss, eur = Currency("CHF"), paid_of(EUR, net=5, payments=1)
    for found, verdict in (
        (verdict_on("DE", 2026, paid_of(EUR, net=1, payments=1)), Verdict(eu, None, True, "any payment is reported")),
        (verdict_on("DE", 2026, []), Verdict(eu, None, False, "nothing was paid")),
        (
            verdict_on("US", 2026, paid_of(net=76, withheld=24, payments=1)),
            Verdict(us, threshold, True, "tax was withheld, which is reported whatever the amount"),
        ),
        (
            verdict_on("US", 2026, paid_of(net=200_000)),
            Verdict(us, threshold, True, "2000.00 USD were paid, at least 2000.00 USD"),
        ),
        (
            verdict_on("US", 2026, paid_of(net=5)),
            Verdict(us, threshold, False, "0.05 USD were paid, less than 2000.00 USD"),
        ),
        (
            verdict_on("US", 2026, [*paid_of(net=5), *eur, *paid_of(swiss, net=1)]),
            Verdict(
                us, threshold, None, "was also paid in CHF, EUR: convert that by the rates of the days and compare"
            ),
        ),
        (
            verdict_on("US", 2024, []),
            Verdict(
                us, None, None, "no threshold known for 2024: 1099-NEC may have another each year; add it to THRESHOLDS"
            ),
        ),
    ):
        assert found == verdict


def test_the_smallest_payment_is_one_and_what_only_comes_back_is_none() -> None:
    assert year_of(paid_in("maya", 2026, a_payout("w", "2026-03-09", "2026-03-09", 1))).payments == 1
    back = recorded("manual:1", Reason.MANUAL, (BANK_CASH, PAYABLE, 40), "2026-05-01")
    assert year_of(paid_in("maya", 2026, [back])) == Paid(net=-40, reversed=40)


def test_activities_are_counted_with_the_transfer_and_not_with_its_tax() -> None:
    payout = a_payout("w", "2026-03-09", "2026-03-09", 120, withheld=20)
    earned = [an_earning("C1", "2026-03-01", "2026-03-08"), an_earning("C2", "2026-03-01", "2026-03-08")]
    assert year_of(paid_in("maya", 2026, [*payout, *earned])) == Paid(net=100, withheld=20, payments=1, activities=2)


def test_a_resolution_counts_once_whatever_its_entries_come_to() -> None:
    payouts = [
        *a_payout("w1", "2026-03-09", "2026-03-09", 61),
        *a_payout("w2", "2026-06-29", "2026-06-29", 1),
        *a_payout("w3", "2026-09-28", "2026-09-28", 1),
    ]
    earned = [
        an_earning("C1", "2026-03-01", "2026-03-08", 1),  # a cent is an earning
        an_earning("C1", "2026-03-02", "2026-03-08", 59, 2),  # so that the cycle came to 60
        an_earning("C1", "2026-06-01", "2026-06-08", -59, 3),  # a cent is left: it still stands
        an_earning("C1", "2026-09-01", "2026-09-08", -1, 4),
    ]
    [paid] = paid_in("maya", 2026, [*payouts, *earned])
    assert [it.activities for it in paid.quarters] == [1, 0, -1, 0]


def test_what_no_payout_took_yet_is_not_counted() -> None:
    payouts = a_payout("w1", "2026-03-09", "2026-03-09", 60)
    earned = [an_earning("C1", "2026-03-01", "2026-03-08"), an_earning("C2", "2026-03-20", "2026-03-27")]
    assert year_of(paid_in("maya", 2026, [*payouts, *earned])).activities == 1


def test_an_earning_without_a_hold_is_released_on_its_own_day() -> None:
    move = (COST_BASE, PAYABLE, 60)
    told: dict[str, object] = {"case": "C1", "cycle": 1}
    plain = recorded("charge:acme/C1/1:1", Reason.SETTLED, move, "2026-03-09", client_book("acme"), **told)
    payouts = [*a_payout("w1", "2026-03-09", "2026-03-09", 60), *a_payout("w2", "2026-06-29", "2026-06-29", 1)]
    [paid] = paid_in("maya", 2026, [plain, *payouts])
    assert [it.activities for it in paid.quarters] == [1, 0, 0, 0]


def test_payouts_of_each_currency_pay_for_the_resolutions_of_that_currency() -> None:
    euros = [
        Entry(
            EntryId(f"payout:maya:EUR:w1:{what}"),
            MAYAS,
            reason,
            postings(((debit, 50), (credit, -50)), "EUR"),
            date(2026, 6, 29),
            evidence({}),
        )
        for what, reason, debit, credit in (
            ("reserved", Reason.PAYOUT_RESERVED, PAYABLE, IN_TRANSIT),
            ("sent", Reason.PAYOUT_SENT, IN_TRANSIT, STRIPE_BALANCE),
        )
    ]
    in_euros = [RecordedEntry(it, 1, at("2026-06-29"), "") for it in euros]
    usd = [an_earning("C1", "2026-03-01", "2026-03-08"), *a_payout("w1", "2026-03-09", "2026-03-09", 60)]
    found = {it.currency: it.year for it in paid_in("maya", 2026, [*in_euros, *usd])}
    assert (found[USD].activities, found[EUR].activities) == (1, 0)


def test_a_payout_takes_what_was_released_when_it_was_reserved_and_not_when_it_was_sent() -> None:
    payouts = [*a_payout("w1", "2026-03-09", "2026-03-12", 60), *a_payout("w2", "2026-06-29", "2026-06-29", 60)]
    [paid] = paid_in("maya", 2026, [*payouts, an_earning("C1", "2026-03-03", "2026-03-10")])
    assert [it.activities for it in paid.quarters] == [0, 1, 0, 0]
