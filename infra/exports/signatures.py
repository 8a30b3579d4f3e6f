"""Signatures of manifests, checked without AWS; in AWS and on the embedded stack KMS makes them."""

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_public_key


def is_signed(content: bytes, signature: bytes, public_key: bytes) -> bool:
    """Whether the holder of a key signed this content: ECDSA on P-256 with SHA-256, the signature in DER.

    `public_key` is PEM. Raises ValueError for one that is no key on P-256.
    """
    try:
        key = load_pem_public_key(public_key)
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ValueError(  # noqa: TRY004  # it is a text that is wrong, not a type
            "the public key is not one on the curve P-256, as PEM; `solvent finance key` prints the stack's"
        )
    try:
        key.verify(signature, content, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True
