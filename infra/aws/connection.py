"""The connection to DynamoDB: PynamoDB's, with a client that leaves items as they are on the wire.

For each value that is sent or received botocore looks up its shape; in each write of a transaction it looks for the
account whose endpoint to call; for each call it lists anew what it runs on. That took twice as long as the rest of a
call. All of it is left out here, and no more: signatures, retries, time-outs and errors are botocore's. PynamoDB has
turned off the checks of parameters before; DynamoDB refuses what is wrong.
"""

from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from botocore.config import Config
from botocore.model import OperationModel, Shape
from botocore.parsers import JSONParser, ResponseParserFactory
from botocore.serialize import JSONSerializer
from botocore.session import Session
from pydantic_core import from_json, to_json
from pynamodb.connection import Connection

_SENT_AS_THEY_ARE = {"BatchGetItem", "TransactWriteItems"}


class _Serializer(JSONSerializer):
    """What many items are named or written in is in DynamoDB's own form already; binary values are base64 text."""

    def serialize_to_request(self, parameters: Mapping[str, Any], operation_model: OperationModel) -> dict[str, Any]:
        if operation_model.name not in _SENT_AS_THEY_ARE:
            return super().serialize_to_request(parameters, operation_model)
        return super().serialize_to_request({}, operation_model) | {"body": to_json(parameters)}


class _Parser(JSONParser):
    """Items stay in DynamoDB's own form, but for binary values. No table here nests values in others."""

    def _handle_map(self, shape: Shape, value: dict[str, Any]) -> Any:  # noqa: ANN401  # as botocore has it
        if shape.name == "AttributeMap":
            return {name: {"B": b64decode(it["B"])} if "B" in it else it for name, it in value.items()}
        return super()._handle_map(shape, value)  # type: ignore[misc]  # its stubs leave it out

    def _parse_body_as_json(self, body_contents: bytes) -> Any:  # noqa: ANN401  # as botocore has it
        try:
            return from_json(body_contents)
        except ValueError:
            return super()._parse_body_as_json(body_contents)  # type: ignore[misc]  # see above


class _Parsers(ResponseParserFactory):
    def create_parser(self, protocol_name: str) -> Any:  # noqa: ANN401  # as botocore has it
        return _Parser() if protocol_name == "json" else super().create_parser(protocol_name)


class WireConnection(Connection):
    """It calls the region's endpoint, never one of the account's own."""

    _SERIALIZER = _Serializer()

    @property
    def session(self) -> Session:
        """The session that makes the client."""
        session = super().session
        session.set_default_client_config(Config(user_agent="solvent"))
        session.register_component("response_parser_factory", _Parsers())
        return session

    @property
    def client(self) -> Any:  # noqa: ANN401  # botocore makes its clients at run time
        """The client. PynamoDB makes another one if there were no credentials for the first."""
        client: Any = super().client
        client._serializer, client._ruleset_resolver = self._SERIALIZER, None  # noqa: SLF001  # no other way to say so
        return client
