"""The demo's keys. NEVER FOR REAL MONEY: everybody can compute them from the labels below.

They are derived, not drawn, so that every machine shows the same accounts and nothing secret is ever stored.
"""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils.crypto import keccak

ATTESTORS = ("alice", "bob", "carol")
THRESHOLD = 2
PEOPLE = ("hanako", "bookstore", "taro")  # the shopper, the shop, and one who trades on the third chain


def demo_account(label: str) -> LocalAccount:
    """The account behind a label such as `hanako`, `attestor.alice`, `node.a`. Public: NEVER FOR REAL MONEY."""
    signer: LocalAccount = Account.from_key(_secret(label))
    return signer


def demo_seed(label: str) -> Ed25519PrivateKey:
    """The Ed25519 key behind `log` or `witness.alice`. Public as well."""
    return Ed25519PrivateKey.from_private_bytes(_secret(label))


def _secret(label: str) -> bytes:
    return keccak(text=f"ConnectionChain devnet, worthless by intent: {label}")


def demo_accounts(chains: tuple[str, ...]) -> dict[str, LocalAccount]:
    """Every account of a devnet with these chains, by label."""
    services = ["deployer", "liquidity", *(f"node.{chain}" for chain in chains)]
    labels = [*PEOPLE, *services, *(f"attestor.{name}" for name in ATTESTORS)]
    return {label: demo_account(label) for label in labels}
