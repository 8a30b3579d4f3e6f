"""The items of cases as a backtest reads them, which looks at less of them and at very many."""

import json

from events.facts import FACTS
from infra.aws.case_documents import texts
from infra.aws.wire import Item, decoded
from settlement.cases import MUTUAL_REVIEWS
from settlement.recorded_facts import SETTLED_CYCLES, PastCase

# What is read of a CaseItem.
PAST_CASE = ("case_id", "facts", "cycles", "packed", "evidence_only", "mutual_reviews")


def past_case(encoded_item: Item) -> PastCase:
    """The case in an item as DynamoDB gives it: a model of each would take longer than its facts."""
    item = decoded(encoded_item)
    facts, cycles = texts(item)
    return PastCase(
        case_id=item["case_id"],
        facts=FACTS.validate_json(facts),
        evidence_only=tuple(json.loads(item["evidence_only"])) if "evidence_only" in item else (),
        cycles=SETTLED_CYCLES.validate_json(cycles),
        mutual_reviews=MUTUAL_REVIEWS.validate_json(item["mutual_reviews"]) if "mutual_reviews" in item else (),
    )
