"""Signatures: published vectors, what is signed, and what may not be changed."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from events.adapters.payloads import Refusal, Unreadable
from events.adapters.signatures import SCHEMES, Request, SchemeName, authenticate

VECTORS = Path(__file__).parents[3] / "shared" / "samples" / "ticketing" / "signature_vectors.json"
NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
BODY = b'{"say": "hello"}'
SECRET = "s3cret"  # noqa: S105  # made up


def sent(
    headers: dict[str, str], body: bytes = BODY, url: str = "https://api.example.com/h", method: str = "POST"
) -> Request:
    return Request(method=method, url=url, headers=headers, body=body)


def refusal(scheme: SchemeName, request: Request, secret: str = SECRET, header: str | None = None) -> Refusal:
    with pytest.raises(Unreadable) as unreadable:
        authenticate(SCHEMES[scheme], [secret], request, NOW, header)
    return unreadable.value.code


def mac(algorithm: str, content: bytes, secret: str = SECRET) -> bytes:
    return hmac.new(secret.encode(), content, algorithm).digest()


def zendesk(stamp: str, signed: bytes) -> dict[str, str]:
    signature = base64.b64encode(mac("sha256", signed)).decode()
    return {"x-zendesk-webhook-signature": signature, "x-zendesk-webhook-signature-timestamp": stamp}


def hubspot(stamp: str, method: str = "POST", url: str = "https://api.example.com/h") -> dict[str, str]:
    signature = base64.b64encode(mac("sha256", f"{method}{url}".encode() + BODY + stamp.encode())).decode()
    return {"x-hubspot-signature-v3": signature, "x-hubspot-request-timestamp": stamp}


EPOCH = str(int(NOW.timestamp()) * 1000)


def test_zendesks_published_example_fits_the_scheme_that_signs_the_body_first() -> None:
    if not VECTORS.is_file():
        return  # the schemes are held against signatures of our own below
    vector = json.loads(VECTORS.read_text())["zendesk_old_doc_vector"]
    at = datetime.fromisoformat(vector["timestamp"])
    headers = {
        "X-Zendesk-Webhook-Signature": vector["expect"],
        "X-Zendesk-Webhook-Signature-Timestamp": vector["timestamp"],
    }
    request, secrets = sent(headers, vector["body"].encode()), [vector["published_example_secret"]]

    assert authenticate(SCHEMES[SchemeName.ZENDESK_BODY_FIRST], secrets, request, at) == at
    with pytest.raises(Unreadable):
        authenticate(SCHEMES[SchemeName.ZENDESK], secrets, request, at)


def test_hubspots_first_signature_is_a_plain_hash_without_a_time_and_is_not_taken() -> None:
    headers = {
        "X-HubSpot-Signature": hashlib.sha256(SECRET.encode() + BODY).hexdigest(),
        "X-HubSpot-Signature-Version": "v1",
    }

    assert refusal(SchemeName.HUBSPOT, sent(headers)) == Refusal.UNAUTHENTICATED


@pytest.mark.parametrize("name", ["X-HUB-SIGNATURE", "x-hub-signature", "X-Hub-Signature"])
def test_names_of_headers_may_be_in_any_case(name: str) -> None:
    headers = {name: "sha1=" + mac("sha1", BODY).hex()}

    assert authenticate(SCHEMES[SchemeName.INTERCOM], [SECRET], sent(headers), NOW) is None


@pytest.mark.parametrize(
    "headers",
    [
        {"x-hub-signature": mac("sha256", BODY).hex()},
        {"x-hub-signature": "sha1=" + mac("sha1", BODY).hex()},
        {"x-hub-signature": "sha256=" + mac("sha256", BODY).hex().upper()},
        {"x-hub-signature": "sha256=" + mac("sha256", BODY).hex()[:-1]},
        {"x-hub-signature": "sha256="},
        {"x-hub-signature": "sha256=\u00e9\ud800"},
        {},
    ],
)
def test_signature_that_is_not_exactly_it_is_refused(headers: dict[str, str]) -> None:
    assert refusal(SchemeName.JIRA, sent(headers)) == Refusal.UNAUTHENTICATED


@pytest.mark.parametrize("stamp", ["", "yesterday", "2026-03-02T12:00:00", "12", "9" * 30, "\u0661\u0662"])
def test_signed_time_that_is_none_is_refused(stamp: str) -> None:
    code = refusal(SchemeName.ZENDESK, sent(zendesk(stamp, stamp.encode() + BODY)))

    assert code in {Refusal.UNAUTHENTICATED, Refusal.STALE}
    assert (code == Refusal.STALE) == (stamp == "12")  # milliseconds: long ago


def test_time_that_was_put_in_the_place_of_the_signed_one_is_refused() -> None:
    headers = zendesk("2026-03-01T12:00:00Z", b"2026-03-01T12:00:00Z" + BODY)
    headers["x-zendesk-webhook-signature-timestamp"] = "2026-03-02T12:00:00Z"

    assert refusal(SchemeName.ZENDESK, sent(headers)) == Refusal.UNAUTHENTICATED


def test_hubspot_signs_method_and_address_too() -> None:
    assert authenticate(SCHEMES[SchemeName.HUBSPOT], [SECRET], sent(hubspot(EPOCH)), NOW) == NOW
    assert refusal(SchemeName.HUBSPOT, sent(hubspot(EPOCH), method="PUT")) == Refusal.UNAUTHENTICATED
    assert refusal(SchemeName.HUBSPOT, sent(hubspot(EPOCH), url="https://evil.example/h")) == Refusal.UNAUTHENTICATED


def test_hubspot_signs_the_address_with_some_characters_decoded() -> None:
    signed = hubspot(EPOCH, url="https://api.example.com/h?to=a:b/c@d&x=%20%25")
    called = "https://api.example.com/h?to=a%3ab%2Fc%40d&x=%20%25"

    assert authenticate(SCHEMES[SchemeName.HUBSPOT], [SECRET], sent(signed, url=called), NOW) == NOW


@pytest.mark.parametrize(
    ("scheme", "header", "headers"),
    [
        (SchemeName.BEARER, None, {"Authorization": "Bearer s3cret"}),
        (SchemeName.BASIC, None, {"Authorization": "Basic czNjcmV0"}),
        (SchemeName.TOKEN, None, {"X-Solvent-Token": "s3cret"}),
        (SchemeName.TOKEN, "X-Engine-Token", {"x-engine-token": "s3cret"}),
    ],
)
def test_shared_secret_stands_whole_in_its_header(
    scheme: SchemeName, header: str | None, headers: dict[str, str]
) -> None:
    assert authenticate(SCHEMES[scheme], ["old", "s3cret"], sent(headers), NOW, header) is None
    assert refusal(scheme, sent(headers), "another", header) == Refusal.UNAUTHENTICATED
    assert refusal(scheme, sent({name: value[:-1] for name, value in headers.items()}), header=header)
    assert refusal(scheme, sent({}), header=header) == Refusal.UNAUTHENTICATED


def test_empty_secret_is_none_even_for_an_empty_header() -> None:
    assert refusal(SchemeName.TOKEN, sent({"X-Solvent-Token": ""}), "") == Refusal.UNAUTHENTICATED
    assert refusal(SchemeName.BEARER, sent({"Authorization": "Bearer "}), "") == Refusal.UNAUTHENTICATED
