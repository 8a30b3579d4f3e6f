"""What should stand, worked out a second time in the plainest way from documents and facts as JSON.

Nothing of the engine is imported here: DESIGN.md sections 2, 5 and 6 are what this follows.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

Json = Mapping[str, Any]
DECIMALS = {"JPY": 0, "BHD": 3}
LEAST_CHARGE = {"USD": 50, "EUR": 50, "JPY": 50}
_RANKS = {
    "resolution.completed": 0,
    "resolution.rated": 1,
    "resolution.peer_reviewed": 1,
    "resolution.qa_reviewed": 1,
    "resolution.disputed": 2,
    "dispute.decided": 2,
    "resolution.reopened": 3,
}
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def instant(text: str) -> datetime:
    """An RFC 3339 time."""
    return datetime.fromisoformat(text)


def minor(amount: str, code: str) -> Fraction:
    """Exact minor units of a decimal text."""
    scale: int = 10 ** DECIMALS.get(code, 2)
    return Fraction(amount) * scale


def half_away(exact: Fraction) -> int:
    """Rounded to the nearest whole number, halves away from zero."""
    doubled = abs(exact) * 2 + 1
    whole = doubled.numerator // doubled.denominator // 2
    return whole if exact >= 0 else -whole


def month_of(moment: datetime, zone: str) -> str:
    """The period of an instant."""
    return moment.astimezone(ZoneInfo(zone)).strftime("%Y-%m")


def version_for(versions: Sequence[Json], period: str) -> Json:
    """The last version that starts in or before a period."""
    return [it for it in versions if str(it["starts_on"])[:7] <= period][-1]


# -- cycles ------------------------------------------------------------------------------------------------------------


@dataclass
class Cycle:
    """One cycle: its completion while it stands, and what was said about that."""

    completed: Json
    stands: bool = True
    ended: bool = False
    said: list[Json] = field(default_factory=list)

    def of(self, kind: str) -> list[Json]:
        """What was said of one kind."""
        return [fact for fact in self.said if fact["type"] == kind]


def key_of(fact: Json) -> str:
    """The name of a fact in its case."""
    return f"{fact['source']}#{fact['id']}"


def cycles_of(facts: Sequence[Json], ignored: Sequence[str], versions: Sequence[Json]) -> list[Cycle]:
    """The cycles of a case, in order."""
    cycles: list[Cycle] = []
    order = sorted(facts, key=lambda it: (instant(it["time"]), _RANKS[it["type"]], it["source"], it["id"]))
    for fact in order:
        now = cycles[-1] if cycles else None
        if key_of(fact) in ignored or fact["type"] == "dispute.decided":
            continue
        if fact["type"] == "resolution.completed":
            if now is None or now.ended:
                cycles.append(Cycle(fact))
            elif not now.stands:
                cycles[-1] = Cycle(fact)
        elif now is None or not now.stands:
            continue
        elif fact["type"] != "resolution.reopened":
            now.said.append(fact)
        elif not now.ended:
            resolved_at = instant(now.completed["time"])
            contract = version_for(versions, month_of(resolved_at, versions[0]["time_zone"]))
            inside = instant(fact["time"]) <= resolved_at + timedelta(hours=contract["reopen_window_hours"])
            now.stands, now.ended = not inside, not inside
    return cycles


def basis_points(score: Json) -> int:
    """The place on the scale, 0 to 10,000, rounded down."""
    return int((score["score"] - score["scale_min"]) * 10_000 // (score["scale_max"] - score["scale_min"]))


def rating_of(cycle: Cycle, contract: Json) -> int | None:
    """The rating that counts: the last one inside the window of the contract at resolved_at."""
    rated = cycle.of("resolution.rated")
    if contract.get("rating"):
        end = instant(cycle.completed["time"]) + timedelta(hours=contract["rating"]["window_hours"])
        rated = [fact for fact in rated if instant(fact["time"]) <= end]
    return basis_points(rated[-1]) if rated else None


def settles_at(cycle: Cycle, contract: Json, facts: Sequence[Json]) -> set[datetime]:
    """When it may have settled: at any timely rating, or at the end of the window; not before it is confirmed.

    That instant stays, also if facts that came late show that the rating was of another solution of the case.
    """
    resolved_at = instant(cycle.completed["time"])
    decided = {resolved_at}
    if contract.get("rating"):
        end = resolved_at + timedelta(hours=contract["rating"]["window_hours"])
        rated = [instant(fact["time"]) for fact in facts if fact["type"] == "resolution.rated"]
        decided = {end, *(time for time in rated if resolved_at <= time <= end)}
    return {max(time, resolved_at + timedelta(hours=contract["confirmation_hours"])) for time in decided}


@dataclass(frozen=True)
class Verdict:
    """Whether it is charged, at what discount in basis points, and whether the expert earns all, a part or nothing."""

    charged: bool
    discount: int
    standing: str


def judge(cycle: Cycle, decisions: Mapping[str, Json], rating: int | None, contract: Json) -> Verdict:
    """The verdict under a contract version."""
    upheld = {
        dispute["by"]
        for dispute in cycle.of("resolution.disputed")
        if decisions.get(dispute["dispute"], {}).get("upheld")
    }
    reviews = cycle.of("resolution.qa_reviewed")
    if "client" in upheld or (reviews and not reviews[-1]["passed"]):
        return Verdict(charged=False, discount=0, standing="charged" if "expert" in upheld else "forfeited")
    terms = contract.get("rating")
    outcome = "charge"
    if terms and rating is None:
        outcome = terms["unrated"]
    elif terms and rating is not None and rating < Fraction(terms["threshold_percent"]) * 100:
        outcome = terms["below"]
    if outcome == "waive":
        return Verdict(charged=False, discount=0, standing="charged" if "expert" in upheld else "not_charged")
    discount = Fraction(terms["discount_percent"]) * 100 if terms and outcome == "discount" else Fraction(0)
    return Verdict(charged=True, discount=int(discount), standing="charged")


# -- prices ------------------------------------------------------------------------------------------------------------


def calendars_at(contract: Json, moment: datetime) -> set[str]:
    """The calendars in which an instant falls."""
    zone = ZoneInfo(contract["time_zone"])
    return {it["id"] for it in contract["calendars"] if _falls_in(it, moment.astimezone(zone), zone)}


def _falls_in(calendar: Json, local: datetime, zone: ZoneInfo) -> bool:
    if calendar["kind"] == "between":
        begins, ends = (datetime.fromisoformat(calendar[name]).replace(tzinfo=zone) for name in ("from", "to"))
        return begins.timestamp() <= local.timestamp() < ends.timestamp()
    clock = local.strftime("%H:%M")
    for window in calendar["windows"]:  # all of them pass midnight
        started_today = clock >= window["from"] and _DAYS[local.weekday()] in window["days"]
        started_before = clock < window["to"] and _DAYS[local.weekday() - 1] in window["days"]
        if started_today or started_before:
            return True
    return False


def rate_for(contract: Json, completed: Json) -> Json | None:
    """The first rate that matches a completion."""
    inside = calendars_at(contract, instant(completed["time"]))
    for rate in contract["rates"]:
        match = dict(rate["match"])
        wanted = match.pop("calendar", None)
        if all(completed.get(name) in values for name, values in match.items()) and (
            wanted is None or inside & set(wanted)
        ):
            return dict(rate)
    return None


def unit_price(price: Json, unit: int, code: str) -> Fraction:
    """The exact list price of the unit with this number, from 1."""
    if price["model"] == "per_unit":
        return minor(price["unit"], code)
    if price["model"] == "package":
        return minor(price["amount"], code) / int(price["size"])
    return next(minor(it["unit"], code) for it in price["tiers"] if it.get("up_to") is None or unit <= it["up_to"])


def list_price(rate: Json, ordinal: int, code: str) -> Fraction:
    """The list price of an ordinal; included units have that of the first unit behind them."""
    return unit_price(rate["price"], max(1, ordinal - rate["included"]), code)


def accrued(rate: Json, ordinal: int, code: str) -> int:
    """What an ordinal accrues: the rounded sum up to it less the rounded sum before it."""
    last, before = (_through(rate, number, code) for number in (ordinal, ordinal - 1))
    return half_away(last) - half_away(before)


def _through(rate: Json, ordinal: int, code: str) -> Fraction:
    """The sum of the list prices up to an ordinal; each is added once in a process, there being many ordinals."""
    sums = _sums(json.dumps(rate["price"], sort_keys=True), code)
    units = max(0, ordinal - int(rate["included"]))
    while len(sums) <= units:
        sums.append(sums[-1] + unit_price(rate["price"], len(sums), code))
    return sums[units]


@lru_cache(maxsize=256)
def _sums(_price: str, _code: str) -> list[Fraction]:
    return [Fraction(0)]


def usage(rate: Json, count: int, code: str) -> int:
    """f(max(0, N - included)) in minor units."""
    price, units = rate["price"], max(0, count - rate["included"])
    if price["model"] == "package":
        return half_away(-(-units // price["size"]) * minor(price["amount"], code))
    if price["model"] == "volume":
        return half_away(units * unit_price(price, units, code)) if units else 0
    return half_away(_through(rate, count, code))


# -- invoices ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bill:
    """What an invoice comes to, in minor units: `carried` is left for the next one, `prepaid` taken from credits."""

    total: int
    tax: int
    carried: int
    prepaid: int


def bill(contract: Json, counters: Mapping[str, Json], given_back: int, carried_in: int, prepaid: int) -> Bill:
    """DESIGN.md section 5: usage - discounts, cap, commitment, minimum, credits, carried, tax, prepaid."""
    code = contract["currency"]
    rates = {rate["id"]: rate for rate in contract["rates"]}
    used = {name: usage(rates[name], counter["net"], code) for name, counter in counters.items()}
    after_discounts = sum(used[name] - min(used[name], counters[name]["discount"]) for name in used)
    cap = contract.get("cap")
    if cap and cap["action"] == "waive":
        after_discounts = min(after_discounts, half_away(minor(cap["amount"], code)))
    if promised := contract.get("commitment"):
        missing = max(0, promised["units"] - sum(counter["net"] for counter in counters.values()))
        after_discounts += half_away(missing * minor(promised["unit"], code))
    before_tax = max(after_discounts, half_away(minor(contract["minimum"], code))) - given_back + carried_in
    tax = half_away(max(0, before_tax) * Fraction(contract["tax_percent"]) / 100)
    least = LEAST_CHARGE.get(code, 1)
    if before_tax <= 0 or (before_tax < least and before_tax + tax > prepaid):
        return Bill(0, 0, before_tax, 0)
    left = (before_tax + tax) % 10 if code == "BHD" else 0
    due = before_tax + tax - left
    applied = due if due <= prepaid else max(0, min(prepaid, due - least))
    return Bill(due - applied, tax, left, applied)


# -- earnings ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Work:
    """What an earning is worked out from."""

    cycle: Cycle
    standing: str
    list_price: Fraction
    charged: int
    rating: int | None
    calendars: set[str]
    mutual: Mapping[str, str]


def earning(plan: Json, work: Work) -> tuple[int, int]:
    """Base with its surge, and bonuses, in minor units."""
    code, base = plan["currency"], plan["base"]
    whole = minor(base["amount"], code) if base["kind"] == "fixed" else Fraction(base["percent"]) / 100
    if base["kind"] == "share":
        whole *= work.list_price if base["of"] == "list_price" else work.charged
    parts = {"none": "0", "base": "100", "percent": plan.get("not_charged_percent") or "0"}
    part = {"charged": "100", "not_charged": parts[plan["not_charged"]], "forfeited": "0"}[work.standing]
    surge = [Fraction(it["multiplier"]) for it in plan["surge"] if it["calendar"] in work.calendars]
    base_pay = half_away(whole * Fraction(part) / 100 * max(surge, default=Fraction(1)))
    if work.standing != "charged":
        return base_pay, 0
    bonuses = [half_away(minor(amount, code)) for amount in _bonuses(plan, work)]
    bonus = sum(bonuses) if plan["stacking"] == "all" else max(bonuses, default=0)
    if plan.get("bonus_cap") is not None:
        bonus = min(bonus, half_away(minor(plan["bonus_cap"], code)))
    return base_pay, bonus


def _bonuses(plan: Json, work: Work) -> Iterator[str]:
    completed = work.cycle.completed
    reached = [it for it in plan["csat_bonus"] if work.rating is not None and work.rating >= _points(it)]
    if reached:
        yield max(reached, key=_points)["amount"]
    peer = plan.get("peer_review_bonus")
    counting = [it for it in work.cycle.of("resolution.peer_reviewed") if peer and _counts(it, peer, work)]
    if peer and counting and basis_points(counting[-1]) >= _points(peer):
        yield peer["amount"]
    if "opened_at" in completed and "first_response_at" in completed:
        waited = (instant(completed["first_response_at"]) - instant(completed["opened_at"])).total_seconds()
        fast = [it for it in plan["response_bonus"] if 0 <= waited <= it["within_seconds"]]
        if fast:
            yield min(fast, key=lambda it: int(it["within_seconds"]))["amount"]
    language = plan.get("language_bonus")
    if language and completed.get("language") in language["languages"]:
        yield language["amount"]


def _points(terms: Json) -> Fraction:
    return Fraction(terms["at_least_percent"]) * 100


def _counts(review: Json, terms: Json, work: Work) -> bool:
    if review["reviewer"] == work.cycle.completed["expert"]:
        return False
    back = work.mutual.get(key_of(review))
    span = timedelta(days=terms["not_mutual_within_days"])
    return back is None or instant(review["time"]) - instant(back) > span


def week_of(day: date) -> str:
    """An ISO 8601 week."""
    year, week, _ = day.isocalendar()
    return f"{year}-W{week:02d}"


def counts_in_week(plan: Json, day: date) -> bool:
    """Whether a plan counts what settles on a day: it has incentives, and was in force on that week's Monday."""
    monday = day - timedelta(days=day.weekday())
    return any(it["kind"] != "training" for it in plan["incentives"]) and str(plan["starts_on"]) <= monday.isoformat()


def utc_day(moment: datetime) -> date:
    """The day of an instant in UTC."""
    return moment.astimezone(UTC).date()
