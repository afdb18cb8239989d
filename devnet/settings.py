"""The worker's settings for the embedded default: one process in every role, demo keys in private files."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from eth_account.signers.local import LocalAccount

from connectionchain.ids import AccountId
from connectionchain.network import Network, Token
from connectionchain.rates import Commission, Limits, Rate, base_ratio
from devnet.accounts import ATTESTORS, demo_seed
from roles.settings import AttestorRole, LiquidityRole, LogRole, NodeRole, Settings, WitnessRole

SETTINGS_FILE = "worker.json"
WORTH = "1.25"
"""Whole units of the next currency that one of a currency buys, in the demo."""


def worker_settings(network: Network, network_file: Path, directory: Path, keys: Mapping[str, LocalAccount]) -> Path:
    """Writes keys and settings into `directory`; the settings' path."""
    secrets = directory / "keys"
    files = {label: key_file(secrets, label, key) for label, key in keys.items()}
    log, witnesses = network.evidence, network.evidence.witnesses
    settings = Settings(
        network=network_file,
        contracts=True,
        nodes=tuple(NodeRole(chain=name, key_file=files[f"node.{name}"]) for name in network.chains),
        database=_sqlite(directory / "ledger.db"),
        log=LogRole(key_file=seed_file(secrets, "log", demo_seed("log")), port=_port(log.url)),
        attestors=tuple(
            AttestorRole(
                name=name,
                key_file=files[f"attestor.{name}"],
                database=_sqlite(directory / f"attestor-{name}.db"),
                witness=WitnessRole(
                    key_file=seed_file(secrets, f"witness.{name}", demo_seed(f"witness.{name}")),
                    port=_port(witnesses[name].url),
                ),
            )
            for name in ATTESTORS
        ),
        liquidity=LiquidityRole(
            accounts={network.account(name, keys["liquidity"].address): files["liquidity"] for name in network.chains},
            database=_sqlite(directory / "liquidity.db"),
            rates=tuple(demo_rates(network, keys["liquidity"].address)),
        ),
    )
    path = directory / SETTINGS_FILE
    path.write_text(settings.model_dump_json(indent=2) + "\n")
    return path


def demo_rates(network: Network, liquidity: str) -> Iterable[Rate]:
    """A rate for every pair of currencies on different chains, both ways, for a year."""
    tokens = list(network.tokens.items())
    for at, (source_name, source) in enumerate(tokens):
        for to, (target_name, target) in enumerate(tokens):
            if source.id.chain != target.id.chain:
                worth = WORTH if at < to else "0.8"
                yield _rate(f"{source_name}-{target_name}", source, target, worth, liquidity)


def _rate(name: str, source: Token, target: Token, worth: str, liquidity: str) -> Rate:
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    most = 10**target.decimals * 10_000
    return Rate(
        name=name,
        source=source.id,
        target=target.id,
        receives=AccountId(f"{source.id.chain}:{liquidity}"),
        pays=AccountId(f"{target.id.chain}:{liquidity}"),
        ratio=base_ratio(worth, source.decimals, target.decimals),
        commission=Commission(percent=Fraction(1)),
        valid_from=today,
        valid_until=today + timedelta(days=365),
        limits=Limits(per_deal=most, per_day=100 * most, per_counterparty=10 * most),
    )


def key_file(directory: Path, label: str, key: LocalAccount) -> Path:
    return _private_file(directory, label, bytes(key.key))


def seed_file(directory: Path, label: str, key: Ed25519PrivateKey) -> Path:
    return _private_file(directory, label, key.private_bytes_raw())


def _private_file(directory: Path, label: str, secret: bytes) -> Path:
    directory.mkdir(mode=0o700, exist_ok=True)
    path = directory / label
    path.touch(mode=0o600)
    path.write_text(f"0x{secret.hex()}\n")
    return path


def _port(url: str) -> int:
    port = urlsplit(url).port
    assert port
    return port


def _sqlite(path: Path) -> str:
    return f"sqlite+aiosqlite:///{path}"
