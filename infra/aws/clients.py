"""Clients of AWS's services by botocore: what boto3 adds to them nobody here uses, and it takes long to import."""

from functools import cache
from typing import Any

from botocore.session import Session, get_session


def client(service: str) -> Any:  # noqa: ANN401  # botocore makes its clients at run time
    """A new client, of the region and with the credentials that the environment says."""
    return _session().create_client(service)


@cache
def _session() -> Session:
    """Made once per process: it keeps the descriptions of services that it has read."""
    return get_session()
