"""What is measured upon: the terms of the sample world's client acme, and as many of its cases as are wanted."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random

from billing.contracts import ContractHistory
from cli.terms_files import read_folder
from events.facts import CaseId, Completed, Fact, QaReviewed, Rated, Reopened, Resolver, in_order
from infra.local.sample_month import SAMPLE_WORLD
from payouts.plans import PlanHistory
from settlement.decide import Terms
from settlement.recorded_facts import PastCase

CLIENT = "acme"
_FIRST = datetime(2026, 10, 1, 8, tzinfo=UTC)
_DAYS = 28
_EXPERTS = ("maya", "noah", "omar", "luis", "ines", "yuki", "grace")


def sample_terms() -> Terms:
    """The terms of acme as the sample world has them: graduated and per-unit prices, shares and CSAT bonuses."""
    terms = read_folder(SAMPLE_WORLD).terms
    contract = next(it for it in terms.contracts if it.client == CLIENT)
    plans = {plan.id: PlanHistory(plan.id, (plan,)) for plan in terms.plans}
    return Terms(CLIENT, ContractHistory(CLIENT, (contract,)), {it.id: it for it in terms.experts}, plans)


def cases(number: int, seed: int = 20261001) -> Iterator[PastCase]:
    """That many cases of October 2026, one after the other; the same for the same seed.

    Three in four are rated, one in twenty-five is reopened and solved again, one in fifty has a quality review.
    """
    rng = Random(seed)  # noqa: S311  # sample data, no secret
    for place in range(number):
        facts = sorted(_facts(rng, f"B{place}"), key=in_order)
        yield PastCase(CaseId(f"B{place}"), tuple(facts))


def _facts(rng: Random, case_id: str) -> Iterator[Fact]:
    resolved_at = _FIRST + timedelta(seconds=rng.randrange(_DAYS * 86_400))
    solution = _solution(rng, f"{case_id}.1", resolved_at)
    yield solution
    if rng.randrange(25) == 0:
        reopened_at = resolved_at + timedelta(hours=rng.randint(1, 160))
        yield Reopened(id=f"{case_id}.2", source="helpdesk", time=reopened_at)
        resolved_at = reopened_at + timedelta(hours=3)
        yield _solution(rng, f"{case_id}.3", resolved_at)
    if rng.randrange(4):
        score, rated_at = rng.choices(range(1, 6), (4, 4, 8, 26, 58))[0], resolved_at + timedelta(minutes=40)
        yield Rated(id=f"{case_id}.4", source="helpdesk", time=rated_at, score=score, scale_min=1, scale_max=5)
    if rng.randrange(50) == 0:
        reviewed_at = resolved_at + timedelta(hours=30)
        yield QaReviewed(id=f"{case_id}.5", source="quality-desk", time=reviewed_at, passed=rng.randrange(10) > 0)


def _solution(rng: Random, fact_id: str, resolved_at: datetime) -> Completed:
    expert = rng.choice(_EXPERTS) if rng.randrange(5) else None
    return Completed(
        id=fact_id,
        source="helpdesk",
        time=resolved_at,
        resolver=Resolver.EXPERT if expert else Resolver.AI,
        expert=expert,
        channel=rng.choices(("chat", "email", "phone"), (60, 30, 10))[0],
        language="en",
        skill="orders",
        priority="normal",
        opened_at=resolved_at - timedelta(minutes=50),
        first_response_at=resolved_at - timedelta(minutes=45),
    )
