"""A world from a seed: clients with contracts of every price model, experts, pay plans and payout policies."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from random import Random

from billing.contracts import Contract
from payouts.plans import PayPlan
from payouts.policy import PayoutPolicy
from settlement.apply import CurrentTerms, NewTerms, plan_changes
from settlement.registry import Client, Expert

STARTS_ON = date(2026, 10, 1)
CHANGES_ON = date(2026, 11, 1)
CHANNELS = ("chat", "email", "phone")
UNSOLD = "fax"
LANGUAGES = ("en", "de", "ja")
SCALES = {"USD": 100, "EUR": 100, "JPY": 1, "BHD": 1000}
_ZONES = ("America/New_York", "Europe/Berlin", "Asia/Tokyo", "UTC", "Pacific/Auckland", "America/Sao_Paulo")
_GATES = dict.fromkeys(("contract_signed", "background_check", "training", "tax_form"), "2026-09-01")
_CALENDARS = [
    {"id": "nights", "kind": "weekly", "windows": [{"days": ["mon", "wed", "sat"], "from": "20:00", "to": "06:00"}]},
    {"id": "campaign", "kind": "between", "from": "2026-10-13T00:00", "to": "2026-10-16T00:00"},
]

Document = dict[str, object]


@dataclass(frozen=True, slots=True)
class Terms:
    """The documents of a world: those of the start, and the contract versions that come in mid-month.

    `missing` is an expert who works before anybody registered them.
    """

    clients: tuple[Client, ...]
    contracts: tuple[Contract, ...]
    later: tuple[Contract, ...]
    plans: tuple[PayPlan, ...]
    experts: tuple[Expert, ...]
    missing: Expert
    policies: tuple[PayoutPolicy, ...]
    credits: Mapping[str, int]

    def new(self) -> NewTerms:
        """Everything that is applied at the start."""
        return NewTerms(self.clients, self.contracts, self.plans, self.experts, self.policies)

    def experts_of(self, client: str) -> list[str]:
        """Who works for a client, the missing expert left out."""
        return [expert.id for expert in self.experts if client in expert.assignments]


def make_terms(rng: Random) -> Terms:
    """A world that the registry accepts."""
    codes = [rng.choice(("USD", "EUR", "JPY", "USD", "BHD")) for _ in range(rng.randint(3, 4))]
    names = [f"client{number}" for number in range(len(codes))]
    contracts = [_contract(rng, name, code, STARTS_ON) for name, code in zip(names, codes, strict=True)]
    later = [_contract(rng, old.client, old.currency, CHANGES_ON, old) for old in contracts if rng.randrange(3)]
    plans = [_plan(rng, number, code) for number, code in enumerate((*dict.fromkeys(codes), "USD", "EUR"))]
    experts = [_expert(rng, f"expert{number}", contracts, plans) for number in range(rng.randint(5, 9))]
    everywhere = {name: _plan_for(rng, code, plans) for name, code in zip(names, codes, strict=True)}
    experts.append(_an_expert("expert-all", everywhere))
    policies = [_policy(rng, code) for code in dict.fromkeys((*codes, "USD", "EUR")) if rng.randrange(4)]
    terms = Terms(
        clients=tuple(Client(id=name, name=name.title(), email=f"{name}@clients.example") for name in names),
        contracts=tuple(contracts),
        later=tuple(later),
        plans=tuple(plans),
        experts=tuple(experts),
        missing=_an_expert("expert-late", everywhere),
        policies=tuple(policies),
        credits={it.client: rng.randint(20, 300) * SCALES[it.currency] for it in contracts if it.prepaid},
    )
    plan_changes(CurrentTerms(), terms.new(), STARTS_ON)
    return terms


def _money(rng: Random, code: str, low: int, high: int, *, finer: int = 1) -> str:
    """An amount of hundredths of the usual unit, scaled to the currency; `finer` parts of a minor unit."""
    scale, hundredths = SCALES[code], rng.randint(low, high)
    if code == "JPY":
        return f"{hundredths}" if finer == 1 else f"{hundredths}.{rng.randrange(10)}"
    digits = {100: 2, 1000: 3}[scale]
    whole, part = divmod(hundredths * (scale // 100), scale)
    fine = "" if finer == 1 else str(rng.randrange(1, 10**finer)).zfill(finer)
    return f"{whole}.{part:0{digits}d}{fine}"


def _price(rng: Random, code: str) -> Document:
    finer = rng.choice((1, 1, 2, 4))
    model = rng.choice(("per_unit", "graduated", "volume", "package"))
    if model == "per_unit":
        return {"model": model, "unit": _money(rng, code, 40, 250, finer=finer)}
    if model == "package":
        return {"model": model, "size": rng.choice((3, 7, 10, 50)), "amount": _money(rng, code, 300, 4000)}
    ends = sorted(rng.sample(range(5, 200), rng.randint(1, 3)))
    tiers: list[Document] = [{"up_to": end, "unit": _money(rng, code, 60, 250, finer=finer)} for end in ends]
    return {"model": model, "tiers": [*tiers, {"unit": _money(rng, code, 20, 90, finer=finer)}]}


def _rates(rng: Random, code: str) -> list[Document]:
    rates: list[Document] = []
    if rng.randrange(2):
        rates.append({"id": "nights", "match": {"calendar": ["nights"]}, "price": _price(rng, code)})
    if rng.randrange(2):
        match = {"resolver": ["ai", "employee"], "channel": list(CHANNELS)}
        rates.append({"id": "machines", "match": match, "price": _price(rng, code)})
    included = rng.choice((0, 0, 5, 40))
    rates.append(
        {"id": "people", "match": {"channel": ["chat", "email"]}, "price": _price(rng, code), "included": included}
    )
    return [*rates, {"id": "phone", "match": {"channel": ["phone"]}, "price": _price(rng, code)}]


def _rating(rng: Random) -> Document | None:
    if rng.randrange(5) == 0:
        return None
    below, unrated = (rng.choice(("charge", "discount", "waive")) for _ in range(2))
    terms: Document = {
        "window_hours": rng.choice((24, 72, 120)),
        "threshold_percent": rng.choice(("50", "60", "75")),
        "below": below,
        "unrated": rng.choice((unrated, "charge")),
    }
    if "discount" in {terms["below"], terms["unrated"]}:
        terms["discount_percent"] = rng.choice(("50", "33.33", "10"))
    return terms


def _contract(rng: Random, client: str, code: str, starts_on: date, old: Contract | None = None) -> Contract:
    document: Document = {
        "client": client,
        "starts_on": starts_on,
        "currency": code,
        "time_zone": old.time_zone if old else rng.choice(_ZONES),
        "reopen_window_hours": rng.choice((24, 72, 168)),
        "confirmation_hours": rng.choice((0, 0, 12, 72)),
        "acceptance_days": rng.choice((10, 30, 30)),
        "close_delay_hours": rng.choice((0, 24, 72)),
        "rating": _rating(rng),
        "tax_percent": rng.choice(("0", "8.875", "19")),
        "net_days": rng.choice((14, 30)),
        "calendars": _CALENDARS,
        "rates": _rates(rng, code),
        "prepaid": old.prepaid if old else rng.randrange(3) == 0,
    }
    if rng.randrange(3) == 0:
        document["minimum"] = _money(rng, code, 5_000, 90_000)
    if rng.randrange(2) == 0:
        action = rng.choice(("waive", "waive", "alert"))
        document["cap"] = {"amount": _money(rng, code, 5_000, 60_000), "action": action}
    if rng.randrange(3) == 0:
        document["commitment"] = {"units": rng.randint(50, 900), "unit": _money(rng, code, 10, 90)}
    return Contract.model_validate(document)


def _plan(rng: Random, number: int, code: str) -> PayPlan:
    share = {"kind": "share", "percent": rng.choice(("60", "62.5")), "of": rng.choice(("list_price", "charged"))}
    fixed = {"kind": "fixed", "amount": _money(rng, code, 20, 90)}
    not_charged = rng.choice(("none", "base", "percent"))
    document: Document = {
        "id": f"plan{number}",
        "starts_on": STARTS_ON,
        "currency": code,
        "base": rng.choice((share, share, fixed)),
        "not_charged": not_charged,
        "not_charged_percent": "40" if not_charged == "percent" else None,
        "hold_days": rng.choice((0, 3, 7, 14)),
        "minimum_payout": _money(rng, code, 0, 900),
        "payout_schedule": rng.choice(("daily", "weekly", "weekly", "monthly")),
        "stacking": rng.choice(("all", "highest")),
    }
    if rng.randrange(2):
        tiers = [{"at_least_percent": at, "amount": _money(rng, code, 5, 30)} for at in ("75", "100")]
        document |= {"csat_bonus": tiers, "bonus_cap": _money(rng, code, 10, 40)}
    if rng.randrange(2):
        document["surge"] = [{"calendar": "nights", "multiplier": "1.25"}, {"calendar": "campaign", "multiplier": "2"}]
    if rng.randrange(2):
        document["response_bonus"] = [{"within_seconds": 60, "amount": _money(rng, code, 2, 9)}]
        document["language_bonus"] = {"languages": ["de", "ja"], "amount": _money(rng, code, 2, 9)}
    if rng.randrange(2):
        document["peer_review_bonus"] = {"at_least_percent": "75", "amount": _money(rng, code, 2, 20)}
    return PayPlan.model_validate(document | {"incentives": _incentives(rng, code)})


def _incentives(rng: Random, code: str) -> list[Document]:
    amount = _money(rng, code, 300, 3000)
    return rng.sample(
        [
            {"kind": "quest", "id": "busy", "resolutions": 20, "average_percent": "50", "amount": amount},
            {"kind": "streak", "id": "steady", "resolutions": 5, "weeks": 2, "amount": amount},
            {"kind": "top", "id": "best", "places": 2, "budget": amount},
            {"kind": "referral", "id": "friends", "resolutions": 30, "final_after_days": 14, "amount": amount},
        ],
        rng.randint(0, 3),
    )


def _plan_for(rng: Random, code: str, plans: list[PayPlan]) -> str:
    """A plan that a client of that currency may be assigned: a share only of the same."""
    return rng.choice([plan.id for plan in plans if plan.currency == code or plan.base.kind == "fixed"])


def _expert(rng: Random, name: str, contracts: list[Contract], plans: list[PayPlan]) -> Expert:
    works_for = rng.sample(contracts, rng.randint(1, len(contracts)))
    assignments = {contract.client: _plan_for(rng, contract.currency, plans) for contract in works_for}
    referred_by = "expert-all" if rng.randrange(3) == 0 else None
    withheld = rng.choice(("0", "0", "24"))
    return _an_expert(name, assignments, referred_by=referred_by, withholding_percent=withheld)


def _an_expert(name: str, assignments: Mapping[str, str], **fields: object) -> Expert:
    document = {"id": name, "country": "US", "email": f"{name}@experts.example", "gates": _GATES}
    return Expert.model_validate(document | {"assignments": assignments} | fields)


def _policy(rng: Random, code: str) -> PayoutPolicy:
    document: Document = {"id": code, "cooling_off_days": rng.choice((0, 3))}
    for name, low, high in (("per_expert", 5_000, 50_000), ("per_run", 30_000, 200_000), ("per_day", 30_000, 300_000)):
        if rng.randrange(3) == 0:
            document[name] = _money(rng, code, low, high)
    if rng.randrange(3) == 0:
        document["approve_above"] = _money(rng, code, 500, 20_000)
    return PayoutPolicy.model_validate(document)


def at(day: date, hour: int = 0, minute: int = 0) -> datetime:
    """A time of a day in UTC."""
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC)
