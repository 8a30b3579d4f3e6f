"""The export of a stack in AWS: its bucket, and the key that its manifests are signed with."""

import hashlib
from base64 import b64encode
from textwrap import wrap

from botocore.exceptions import ClientError

from infra.aws import clients
from ledger.records import dataclass

# What the bucket holds: the export, and the runs that are under way.
LEDGER, WORK = "ledger/", "work/"

_REFUSED = {"PreconditionFailed", "ConditionalRequestConflict"}


@dataclass(frozen=True, slots=True)
class BucketFolder:
    """The files of a bucket below a prefix, such as ledger/."""

    bucket: str
    prefix: str

    def read(self, path: str) -> bytes | None:
        """What a file holds; None if there is none."""
        try:
            found = clients.client("s3").get_object(Bucket=self.bucket, Key=self.prefix + path)
            return bytes(found["Body"].read())
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchKey":
                return None
            raise

    def put_once(self, path: str, content: bytes) -> bytes:
        """Write a file unless there is one already; what it holds now. S3 lets one of all rivals write it."""
        try:
            clients.client("s3").put_object(Bucket=self.bucket, Key=self.prefix + path, Body=content, IfNoneMatch="*")
        except ClientError as error:
            there = self.read(path) if error.response["Error"]["Code"] in _REFUSED else None
            if there is None:
                raise
            return there
        return content

    def names(self, prefix: str) -> list[str]:
        """The paths that begin so, in no order."""
        pages = (
            clients.client("s3")
            .get_paginator("list_objects_v2")
            .paginate(Bucket=self.bucket, Prefix=self.prefix + prefix)
        )
        return [it["Key"].removeprefix(self.prefix) for page in pages for it in page.get("Contents", [])]


def exports_bucket(stack: str) -> str:
    """The name of a stack's bucket of exports, in the account whose credentials these are."""
    return f"{stack}-exports-{clients.client('sts').get_caller_identity()['Account']}"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The key that signs manifests, by its id or alias. It never leaves KMS, and no file of an export stands for it."""

    key: str

    def sign(self, content: bytes) -> bytes:
        """An ECDSA signature over the content: P-256, SHA-256, DER."""
        answer = clients.client("kms").sign(
            KeyId=self.key,
            Message=hashlib.sha256(content).digest(),
            MessageType="DIGEST",
            SigningAlgorithm="ECDSA_SHA_256",
        )
        return bytes(answer["Signature"])

    def public_key(self) -> bytes:
        """The public key, as PEM."""
        der = clients.client("kms").get_public_key(KeyId=self.key)["PublicKey"]
        lines = "\n".join(wrap(b64encode(der).decode(), 64))
        return f"-----BEGIN PUBLIC KEY-----\n{lines}\n-----END PUBLIC KEY-----\n".encode()


def signing_key(stack: str) -> SigningKey:
    """The key of a stack."""
    return SigningKey(f"alias/{stack}-exports")
