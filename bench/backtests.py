"""A backtest of 100,000 cases, old terms against new: seconds, and memory that does not grow with the cases."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from itertools import cycle, islice
from time import process_time
from typing import Any

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from urllib3 import HTTPResponse

from bench.timing import peak_mib, spread
from bench.world import CLIENT, cases, sample_terms
from billing.periods import Period, PeriodState
from events.facts import FACTS
from infra.aws.items import case_item
from infra.aws.past_cases import PAST_CASE
from infra.aws.store import DynamoStore
from infra.aws.tables import bind
from infra.aws.wire import encoded
from settlement.assess import Due, timing
from settlement.backtest import backtest
from settlement.cases import Case, CycleState, split_cycles
from settlement.decide import Terms, decide_cycle
from settlement.recorded_facts import PastCase
from settlement.tried_terms import Months, put_contract

RUNS = 3
_MONTHS = Months(Period("2026-10"), Period("2026-11"))
_AS_OF = datetime(2026, 12, 20, tzinfo=UTC)
# As many different items are decoded, over and over: all of them at once would be what is measured.
_ITEMS = 2_000
_PER_PAGE = 1_000
_KEY = '{"client_shard": {"S": "acme#00"}, "case_id": {"S": "B0"}}'


def measure(number: int) -> dict[str, Any]:
    """CPU seconds of one core for `number` cases: made, made and backtested, read and backtested.

    The baselines are of the same run: making the cases alone, and parsing the JSON of their facts alone. First of all
    the growth of the process's peak memory between 10,000 cases and the last, in MiB.
    """
    grown = _memory_growth(number)
    texts = [FACTS.dump_json(case.facts, exclude_none=True) for case in cases(_ITEMS)]
    items = _items()
    work: dict[str, Callable[[], object]] = {
        "cases_made": lambda: _exhaust(cases(number)),
        "facts_parsed": lambda: _exhaust(FACTS.validate_json(text) for text in islice(cycle(texts), number)),
        "items_decoded": lambda: _exhaust(_decoded(items, number)),
        "backtest_of_made_cases": lambda: _backtest(cases(number), number),
        "backtest_of_decoded_items": lambda: _backtest(_decoded(items, number), number),
    }
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(RUNS):
        for name, run in work.items():
            started = process_time()
            run()
            seconds[name].append(process_time() - started)
    figures: dict[str, Any] = {name: spread(all_runs).in_seconds() for name, all_runs in seconds.items()}
    engine = spread([full - made for full, made in _pairs(seconds, "backtest_of_made_cases", "cases_made")])
    return {
        "cases": number,
        "sides": 2,
        "runs": RUNS,
        "peak_memory_growth_mib_after_10000": grown,
        **figures,
        "backtest_alone": engine.in_seconds() | {"cases_per_second": round(number / engine.median)},
        "backtest_alone_to_facts_parsed": round(engine.median / spread(seconds["facts_parsed"]).median, 1),
    }


def _pairs(seconds: dict[str, list[float]], one: str, other: str) -> Iterable[tuple[float, float]]:
    return zip(seconds[one], seconds[other], strict=True)


def _exhaust(made: Iterable[object]) -> None:
    for _ in made:
        pass


def _terms() -> tuple[Terms, Terms]:
    """Those of acme, and the same with other prices, a lower threshold and no minimum."""
    old = sample_terms()
    contract = old.contracts.versions[0]
    rating = contract.rating.model_copy(update={"threshold_percent": "40"}) if contract.rating else None
    new = contract.model_copy(update={"minimum": "0", "rating": rating})
    return old, replace(old, contracts=put_contract(old.contracts, new, _MONTHS))


def _backtest(made: Iterator[PastCase], number: int) -> None:
    compared = backtest(made, *_terms(), _MONTHS, _AS_OF)
    if compared.cases != number or compared.new.undecided or compared.new.elsewhere:
        raise AssertionError(f"not all of {number} cases were assessed: {compared.cases}, {compared.new}")


@dataclass(slots=True)
class _Memory:
    """The process's peak memory after so many cases, in MiB."""

    at: int
    peak: float = 0

    def watched(self, made: Iterator[PastCase]) -> Iterator[PastCase]:
        for number, case in enumerate(made, 1):
            if number == self.at:
                self.peak = peak_mib()
            yield case


def _memory_growth(number: int) -> float:
    memory = _Memory(at=min(10_000, number))
    _backtest(memory.watched(cases(number)), number)
    return round(peak_mib() - memory.peak, 1)


# -- cases as the table holds them -------------------------------------------------------------------------------------


def _items() -> list[str]:
    """Settled cases as the JSON in which DynamoDB answers: the attributes that the store asks for."""
    terms = sample_terms()
    items = (encoded(case_item(_settled(case, terms))) for case in cases(_ITEMS))
    asked = ({name: item[name] for name in PAST_CASE if name in item} for item in items)
    return [json.dumps(item) for item in asked]


def _settled(case: PastCase, terms: Terms) -> Case:
    contract = terms.contracts.versions[0]
    states = []
    for found in split_cycles(case.facts, lambda _: timedelta(hours=contract.reopen_window_hours)):
        due = timing(found, terms.contract_at, _AS_OF)
        if isinstance(due, Due):
            empty = {period: PeriodState(terms.client, period) for period in (Period("2026-10"), Period("2026-11"))}
            states.append(decide_cycle(case.case_id, CycleState(found.number), due, terms, empty, _AS_OF).state)
    return Case(CLIENT, case.case_id, case.facts, cycles=tuple(states), revision=1)


@dataclass(frozen=True, slots=True)
class _Pages:
    """What DynamoDB answers to queries: the next thousand items, about 1 MB, and whether more may follow."""

    items: Iterator[str]

    def answer(self, request: AWSPreparedRequest, **_: Any) -> Any:  # noqa: ANN401  # botocore's hooks are typed to return nothing
        """In the place of sending the request."""
        page = list(islice(self.items, _PER_PAGE))
        last = f', "LastEvaluatedKey": {_KEY}' if len(page) == _PER_PAGE else ""
        body = f'{{"Items": [{", ".join(page)}], "Count": {len(page)}, "ScannedCount": {len(page)}{last}}}'
        return AWSResponse(request.url, 200, HTTPHeaders(), HTTPResponse(BytesIO(body.encode()), preload_content=False))


def _decoded(items: list[str], number: int) -> Iterator[PastCase]:
    """What the store reads for a backtest, where DynamoDB has that many cases: all but the network."""
    connection = bind("bench", region="eu-central-1", host="http://bench.invalid")
    connection.session.set_credentials("bench", "bench")
    events = connection.client.meta.events
    events.register("before-send.dynamodb.Query", _Pages(islice(cycle(items), number)).answer)
    return DynamoStore(connection).past_cases(CLIENT)
