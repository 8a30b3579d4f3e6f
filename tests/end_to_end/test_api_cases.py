"""Made-up requests against the running API; many more of them are tried over memory, in tests/api/test_cases.py."""

from collections.abc import Iterator

import pytest
import schemathesis
from schemathesis import GenerationMode

from tests.api.made_up import DOCUMENT, OPERATIONS, grant_for, try_out
from tests.end_to_end.api_stack import ApiStack, api_stack

SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiStack]:
    with api_stack(tmp_path_factory.mktemp("api-cases")) as running:
        yield running


@pytest.mark.parametrize(("path", "method", "mode"), OPERATIONS)
def test_every_answer_is_as_the_document_says(api: ApiStack, path: str, method: str, mode: GenerationMode) -> None:
    headers = {"Authorization": f"Bearer {api.token(grant_for(path, method))}"}
    try_out(SCHEMA[path][method], mode, 5, base_url=api.stack.address.api_url, headers=headers)
