"""What one process does: the settings file of a worker. In production each role runs in a process of its own."""

from pathlib import Path
from typing import Self

from pydantic import Field, ValidationError

from adapters.evm.fees import FeePolicy
from connectionchain.errors import InvalidInput
from connectionchain.ids import AccountId
from connectionchain.model import Model
from connectionchain.rates import Rate


class NodeRole(Model):
    """The connection node of the chain with this short name; its key pays the fees there, at most `fee_cap` wei
    per gas. A transaction that is not included within `patience_blocks` block times gets a higher fee."""

    chain: str
    key_file: Path
    fee_cap: int = Field(default=FeePolicy().cap, gt=0)
    patience_blocks: int = Field(default=6, ge=1)


class LogRole(Model):
    """The evidence log: its Ed25519 key, which signs checkpoints, and where it is served."""

    key_file: Path
    port: int
    host: str = "127.0.0.1"


class WitnessRole(Model):
    """An attestor's second duty: to cosign the evidence log's checkpoints, with an Ed25519 key for that alone."""

    key_file: Path
    port: int
    host: str = "127.0.0.1"


class AttestorRole(Model):
    """One attestor: its key, its own decision store, and its own nodes (chain short name -> URLs)."""

    name: str
    key_file: Path
    database: str
    rpc: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    witness: WitnessRole | None = None


class LiquidityRole(Model):
    """The liquidity desk: a key for each account it lends from, its book, and the rates it offers."""

    accounts: dict[AccountId, Path]
    database: str
    rates: tuple[Rate, ...] = ()


class Settings(Model):
    """What one process does. In production each role runs in a process, and a place, of its own."""

    network: Path
    contracts: bool = False
    build_id: str | None = Field(default=None, description="see docs/operations/upgrades.md; unversioned without it")
    reconcile_minutes: int = Field(default=10, ge=1)
    anchor_minutes: int = Field(default=60, ge=1)
    nodes: tuple[NodeRole, ...] = ()
    database: str | None = Field(default=None, description="outbox and evidence of the connection nodes")
    log: LogRole | None = None
    attestors: tuple[AttestorRole, ...] = ()
    liquidity: LiquidityRole | None = None

    @classmethod
    def load(cls, path: Path) -> Self:
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise InvalidInput(str(error), field="settings", remedy="see docs/configuration.md") from error
        except ValidationError as error:
            raise InvalidInput.of(error) from error
