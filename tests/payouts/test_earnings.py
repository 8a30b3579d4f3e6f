"""What one resolution earns: where each bonus begins and ends, how bonuses stack, and that the trace adds up."""

from datetime import timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payouts.earnings import Basis, Earning, PeerReview, Standing, earn
from payouts.plans import PayPlan
from tests.world import a_plan, at

CSAT = {"csat_bonus": [{"at_least_percent": "75", "amount": "0.10"}, {"at_least_percent": "100", "amount": "0.15"}]}
RESPONSE = {"response_bonus": [{"within_seconds": 300, "amount": "0.02"}, {"within_seconds": 60, "amount": "0.05"}]}
LANGUAGE = {"language_bonus": {"languages": ["es", "fr"], "amount": "0.08"}}
PEER_REVIEW = {"peer_review_bonus": {"at_least_percent": "75", "amount": "0.10"}}
SURGE = {"surge": [{"calendar": "evening", "multiplier": "1.5"}, {"calendar": "sunday", "multiplier": "2"}]}
NAMES = ("csat_bonus", "peer_review_bonus", "response_bonus", "language_bonus")
REVIEWED_AT = at("2026-03-31")


def a_basis(**facts: object) -> Basis:
    """A charged resolution of maya's for 0.99 that nobody has rated."""
    known: dict[str, object] = {"standing": Standing.CHARGED, "list_price": Fraction(99), "charged": 99}
    return Basis(**(known | {"rating_basis_points": None, "expert": "maya"} | facts))  # type: ignore[arg-type]


def a_review(reviewer: str = "noah", percent: int = 80, days_since_reviewed_back: object = None) -> PeerReview:
    back = REVIEWED_AT - timedelta(**days_since_reviewed_back) if isinstance(days_since_reviewed_back, dict) else None
    return PeerReview(reviewer, REVIEWED_AT, percent * 100, back)


def line(earning: Earning, name: str) -> tuple[int, str]:
    [found] = [(amount, why) for component, amount, why in earning.trace if component == name]
    return found


# -- the base and its surge --------------------------------------------------------------------------------------------


def test_a_plan_with_nothing_but_a_base_says_nothing_but_the_base() -> None:
    assert earn(a_plan(), a_basis()).trace == (("base", 59, "60% of the list price"),)


def test_a_surge_multiplies_the_base_before_its_one_rounding() -> None:
    earning = earn(a_plan(**SURGE), a_basis(calendars=frozenset({"evening"})))

    assert earning.base == 89  # 0.99 x 0.6 x 1.5 = 0.891; 0.59 x 1.5 would be 0.885, and round to the same
    assert earn(a_plan(**SURGE), a_basis(list_price=Fraction(101), calendars=frozenset({"sunday"}))).base == 121
    assert earning.trace == (
        ("base", 59, "60% of the list price"),
        ("surge", 30, "base times 1.5, resolved in evening"),
    )


def test_of_several_surges_the_highest_multiplier_counts_alone() -> None:
    earning = earn(a_plan(**SURGE), a_basis(calendars=frozenset({"evening", "sunday"})))

    assert (earning.base, line(earning, "surge")) == (119, (60, "base times 2, resolved in sunday"))


def test_of_two_equal_multipliers_the_first_is_named() -> None:
    surge = [{"calendar": name, "multiplier": "1.5"} for name in ("night", "evening")]
    earning = earn(a_plan(surge=surge), a_basis(calendars=frozenset({"evening", "night"})))

    assert line(earning, "surge") == (30, "base times 1.5, resolved in night")


def test_outside_its_calendars_a_surge_adds_nothing_and_says_so() -> None:
    assert line(earn(a_plan(**SURGE), a_basis()), "surge") == (0, "resolved outside evening, sunday")


def test_a_multiplier_below_one_takes_off_the_base() -> None:
    plan = a_plan(base={"kind": "fixed", "amount": "0.60"}, surge=[{"calendar": "quiet", "multiplier": "0.5"}])
    earning = earn(plan, a_basis(calendars=frozenset({"quiet"})))

    assert (earning.base, line(earning, "surge")) == (30, (-30, "base times 0.5, resolved in quiet"))


def test_what_a_plan_pays_for_an_uncharged_resolution_is_a_part_of_the_base_with_its_surge() -> None:
    plan = a_plan(not_charged="percent", not_charged_percent="50", **SURGE)
    earning = earn(plan, a_basis(standing=Standing.NOT_CHARGED, charged=0, calendars=frozenset({"evening"})))

    assert earning.base == 45  # 0.4455
    assert earning.trace == (
        ("base", 30, "the client is not charged; the plan pays percent"),
        ("surge", 15, "base times 1.5, resolved in evening"),
    )


# -- where each bonus begins and ends ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rating", "amount", "why"),
    [
        (None, 0, "nobody rated in time"),
        (7_499, 0, "rated 74.99%, below 75%"),
        (7_500, 10, "rated 75.00%, at least 75%"),
        (9_999, 10, "rated 99.99%, at least 75%"),
        (10_000, 15, "rated 100.00%, at least 100%"),
    ],
)
def test_csat_thresholds_are_inclusive_and_the_highest_reached_pays_alone(
    rating: int | None, amount: int, why: str
) -> None:
    assert line(earn(a_plan(**CSAT), a_basis(rating_basis_points=rating)), "csat_bonus") == (amount, why)


@pytest.mark.parametrize(
    ("seconds", "amount", "why"),
    [
        (None, 0, "when it was opened or first answered is not known"),
        (-1, 0, "the first answer is before the opening"),
        (0, 5, "first answered after 0 s, within 60 s"),
        (60, 5, "first answered after 60 s, within 60 s"),
        (61, 2, "first answered after 61 s, within 300 s"),
        (300, 2, "first answered after 300 s, within 300 s"),
        (301, 0, "first answered after 301 s, not within 300 s"),
    ],
)
def test_response_times_are_inclusive_and_the_fastest_reached_pays_alone(
    seconds: int | None, amount: int, why: str
) -> None:
    earning = earn(a_plan(**RESPONSE), a_basis(first_response_seconds=seconds))

    assert line(earning, "response_bonus") == (amount, why)


@pytest.mark.parametrize(
    ("language", "amount", "why"),
    [
        ("fr", 8, "in fr"),
        ("en", 0, "in en, not in es or fr"),
        (None, 0, "in an unknown language, not in es or fr"),
    ],
)
def test_a_language_bonus_is_for_its_languages(language: str | None, amount: int, why: str) -> None:
    assert line(earn(a_plan(**LANGUAGE), a_basis(language=language)), "language_bonus") == (amount, why)


@pytest.mark.parametrize(
    ("reviews", "amount", "why"),
    [
        ((), 0, "no other expert has reviewed it so far"),
        ((a_review(percent=75),), 10, "noah reviewed it with 75.00%, at least 75%"),
        ((a_review(percent=74),), 0, "noah reviewed it with 74.00%, below 75%"),
        ((a_review("maya"),), 0, "maya reviewed their own work"),
        (
            (a_review(days_since_reviewed_back={"days": 30}),),
            0,
            "noah and maya reviewed each other within 30 days, maya on 2026-03-01",
        ),
        (
            (a_review(days_since_reviewed_back={"days": 30, "microseconds": 1}),),
            10,
            "noah reviewed it with 80.00%, at least 75%",
        ),
    ],
)
def test_peer_reviews_count_unless_they_are_ones_own_or_given_back(
    reviews: tuple[PeerReview, ...], amount: int, why: str
) -> None:
    earning = earn(a_plan(**PEER_REVIEW), a_basis(peer_reviews=reviews))

    assert line(earning, "peer_review_bonus") == (amount, why)


def test_of_several_peer_reviews_the_last_that_counts_decides() -> None:
    good, bad, own = a_review("noah", 100), a_review("lena", 20), a_review("maya", 100)
    last_is_bad = earn(a_plan(**PEER_REVIEW), a_basis(peer_reviews=(good, bad, own)))
    last_is_good = earn(a_plan(**PEER_REVIEW), a_basis(peer_reviews=(bad, good, own)))

    assert line(last_is_bad, "peer_review_bonus") == (0, "lena reviewed it with 20.00%, below 75%")
    assert line(last_is_good, "peer_review_bonus")[0] == 10


def test_many_reviews_that_do_not_count_leave_a_short_trace() -> None:
    reviews = [a_review(f"expert-{n}", days_since_reviewed_back={"days": 1}) for n in range(100)]
    amount, why = line(earn(a_plan(**PEER_REVIEW), a_basis(peer_reviews=(*reviews, reviews[-1]))), "peer_review_bonus")

    assert amount == 0
    assert [name in why for name in ("expert-97 ", "expert-98 ", "expert-99 ")] == [False, True, True]


# -- stacking and cap --------------------------------------------------------------------------------------------------

EVERY_BONUS = CSAT | RESPONSE | LANGUAGE | PEER_REVIEW
EARNED_ALL = a_basis(
    rating_basis_points=10_000, first_response_seconds=10, language="es", peer_reviews=(a_review(percent=100),)
)


def test_all_bonuses_stack_unless_the_plan_says_otherwise() -> None:
    earning = earn(a_plan(**EVERY_BONUS), EARNED_ALL)

    assert [(name, amount) for name, amount, _ in earning.trace[1:]] == list(zip(NAMES, (15, 10, 5, 8), strict=True))
    assert (earning.base, earning.bonus) == (59, 38)


def test_the_highest_alone_is_granted_and_the_others_name_it() -> None:
    earning = earn(a_plan(**EVERY_BONUS, stacking="highest"), EARNED_ALL)

    assert earning.bonus == 15
    assert line(earning, "csat_bonus") == (15, "rated 100.00%, at least 100%")
    why = "first answered after 10 s, within 60 s; the highest bonus alone is granted, which is csat_bonus"
    assert line(earning, "response_bonus") == (0, why)


def test_of_equal_bonuses_the_first_in_the_fixed_order_is_granted() -> None:
    plan = a_plan(stacking="highest", language_bonus={"languages": ["es"], "amount": "0.10"}, **PEER_REVIEW, **RESPONSE)
    granted = {name: amount for name, amount, _ in earn(plan, EARNED_ALL).trace[1:]}

    assert granted == {"peer_review_bonus": 10, "response_bonus": 0, "language_bonus": 0}


def test_a_bonus_that_was_not_earned_keeps_its_own_reason_beside_the_highest() -> None:
    earning = earn(a_plan(**EVERY_BONUS, stacking="highest"), a_basis(language="es"))

    assert earning.bonus == 8
    assert line(earning, "csat_bonus") == (0, "nobody rated in time")


@pytest.mark.parametrize(("cap", "bonus"), [("0.39", 38), ("0.38", 38), ("0.37", 37), ("0", 0)])
def test_the_cap_takes_what_is_beyond_it_and_the_trace_says_how_much(cap: str, bonus: int) -> None:
    earning = earn(a_plan(**EVERY_BONUS, bonus_cap=cap), EARNED_ALL)

    assert earning.bonus == bonus
    taken = [each for each in earning.trace if each[0] == "bonus_cap"]
    why = f"the bonuses of one resolution come to {cap} USD at most"
    assert taken == ([("bonus_cap", bonus - 38, why)] if bonus < 38 else [])


def test_surge_is_base_and_stands_beside_the_highest_bonus() -> None:
    plan = a_plan(**SURGE, **EVERY_BONUS, stacking="highest", bonus_cap="0.12")
    basis = a_basis(calendars=frozenset({"evening"}), language="es", rating_basis_points=10_000)

    assert (earn(plan, basis).base, earn(plan, basis).bonus) == (89, 12)


@pytest.mark.parametrize(
    ("standing", "base", "why"),
    [
        (Standing.NOT_CHARGED, 59, "the client is not charged"),
        (Standing.FORFEITED, 0, "failed quality review or lost dispute"),
    ],
)
def test_bonuses_of_what_is_not_charged_or_forfeited_are_named_and_not_granted(
    standing: Standing, base: int, why: str
) -> None:
    basis = a_basis(
        standing=standing,
        rating_basis_points=10_000,
        first_response_seconds=1,
        language="es",
        peer_reviews=(a_review(),),
    )
    earning = earn(a_plan(**SURGE, **EVERY_BONUS, not_charged="base"), basis)

    assert (earning.base, earning.bonus) == (base, 0)
    assert [each for each in earning.trace if each[0] in NAMES] == [(name, 0, why) for name in NAMES]
    surge = "resolved outside evening, sunday" if standing is Standing.NOT_CHARGED else why
    assert line(earning, "surge") == (0, surge)


# -- whatever the plan and the resolution ------------------------------------------------------------------------------

AMOUNTS = st.integers(0, 500).map(lambda thousandths: f"0.{thousandths:03d}")
PERCENTS = st.integers(0, 100).map(str)


@st.composite
def plans(draw: st.DrawFn) -> PayPlan:
    share = st.fixed_dictionaries(
        {"kind": st.just("share"), "percent": PERCENTS, "of": st.sampled_from(["list_price", "charged"])}
    )
    fixed = st.fixed_dictionaries({"kind": st.just("fixed"), "amount": AMOUNTS})
    multipliers = st.sampled_from(["0.5", "1", "1.5", "2.333"])
    tiers = st.dictionaries(st.sampled_from([30, 60, 300]), AMOUNTS, max_size=3)
    optional: dict[str, st.SearchStrategy[object]] = {
        "surge": st.dictionaries(st.sampled_from(["night", "sunday"]), multipliers).map(
            lambda found: [{"calendar": name, "multiplier": text} for name, text in found.items()]
        ),
        "csat_bonus": st.dictionaries(PERCENTS, AMOUNTS, max_size=3).map(
            lambda found: [{"at_least_percent": name, "amount": text} for name, text in found.items()]
        ),
        "peer_review_bonus": st.fixed_dictionaries({"at_least_percent": PERCENTS, "amount": AMOUNTS}),
        "response_bonus": tiers.map(
            lambda found: [{"within_seconds": name, "amount": text} for name, text in found.items()]
        ),
        "language_bonus": st.fixed_dictionaries({"languages": st.just(["es"]), "amount": AMOUNTS}),
        "bonus_cap": AMOUNTS,
        "stacking": st.sampled_from(["all", "highest"]),
    }
    fields = draw(st.fixed_dictionaries({"base": st.one_of(share, fixed)}, optional=optional))
    not_charged = draw(st.sampled_from(["none", "base", "percent"]))
    percent = {"not_charged_percent": draw(PERCENTS)} if not_charged == "percent" else {}
    return a_plan(**fields, not_charged=not_charged, **percent)


BASES = st.builds(
    Basis,
    standing=st.sampled_from(Standing),
    list_price=st.fractions(0, 1000, max_denominator=1000),
    charged=st.integers(0, 1000),
    rating_basis_points=st.none() | st.integers(0, 10_000),
    expert=st.just("maya"),
    language=st.sampled_from([None, "en", "es"]),
    first_response_seconds=st.none() | st.integers(-5, 400),
    peer_reviews=st.lists(st.builds(a_review, st.sampled_from(["maya", "noah"]), st.integers(0, 100))).map(tuple),
    calendars=st.frozensets(st.sampled_from(["night", "sunday"])),
)


@given(plans(), BASES)
def test_the_trace_names_each_bonus_once_and_sums_to_base_and_bonus_within_the_cap(plan: PayPlan, basis: Basis) -> None:
    earning = earn(plan, basis)
    names = [name for name, _, _ in earning.trace]
    amounts = {name: amount for name, amount, _ in earning.trace}
    considered = ["base", *(name for name in ("surge", *NAMES) if getattr(plan, name))]

    assert [name for name in names if name != "bonus_cap"] == considered
    assert len(amounts) == len(names)
    assert amounts["base"] + amounts.get("surge", 0) == earning.base >= 0
    assert sum(amounts.get(name, 0) for name in (*NAMES, "bonus_cap")) == earning.bonus >= 0
    assert all(why for _, _, why in earning.trace)
    assert all(amounts.get(name, 0) >= 0 for name in NAMES)
    if plan.bonus_cap is not None:
        assert earning.bonus * 10 <= Fraction(plan.bonus_cap) * 1000 + 5  # rounded once
    if plan.stacking == "highest":
        assert sum(amounts.get(name, 0) > 0 for name in NAMES) <= 1
    if basis.standing is not Standing.CHARGED:
        assert earning.bonus == 0
    if basis.standing is Standing.FORFEITED:
        assert earning.total == 0


# -- what plans leave out, and what they say last ----------------------------------------------------------------------


@pytest.mark.parametrize(("fields", "amount"), [({}, 0), ({"not_charged": "none"}, 0), ({"not_charged": "base"}, 59)])
def test_without_a_charge_a_plan_pays_nothing_unless_it_says_so(fields: dict[str, object], amount: int) -> None:
    assert earn(a_plan(**fields), a_basis(standing=Standing.NOT_CHARGED, charged=0)).total == amount


def test_a_share_of_what_is_charged_is_not_one_of_the_list_price() -> None:
    plan = a_plan(base={"kind": "share", "percent": "50", "of": "charged"})
    assert earn(plan, a_basis(charged=40)).trace == (("base", 20, "50% of the charged"),)


def test_the_highest_of_no_bonuses_is_none() -> None:
    assert earn(a_plan(stacking="highest"), a_basis()) == Earning(59, 0, (("base", 59, "60% of the list price"),))


def test_each_kind_of_objection_is_named_once() -> None:
    reviews = (a_review("maya"), a_review("noah", 80, {"days": 3}), a_review("maya"))
    assert line(earn(a_plan(**PEER_REVIEW), a_basis(peer_reviews=reviews)), "peer_review_bonus") == (
        0,
        "maya reviewed their own work; noah and maya reviewed each other within 30 days, maya on 2026-03-28",
    )


def test_a_multiplier_may_be_the_highest_there_is() -> None:
    plan = a_plan(surge=[{"calendar": "evening", "multiplier": "10"}])
    assert earn(plan, a_basis(calendars=frozenset({"evening"}))).base == 594
