"""A key that signs manifests as KMS would: always the same key, and the same signature for the same content."""

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


class TestKey:
    """A key of tests; `number` tells one from another."""

    __test__ = False

    def __init__(self, number: int = 1) -> None:
        self._key = ec.derive_private_key(number, ec.SECP256R1())

    def sign(self, content: bytes) -> bytes:
        """A signature in DER."""
        return self._key.sign(content, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))

    def public_key(self) -> bytes:
        """As PEM."""
        return self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
