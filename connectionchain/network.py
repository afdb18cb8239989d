"""The network as a client knows it: chains with their escrow, tokens, attestors, and where the engine is.

It is a JSON file (see `docs/configuration.md`); `connectionchain.json` in the working directory or the path in
CONNECTIONCHAIN_NETWORK.
"""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from connectionchain.errors import InvalidInput, UnknownName
from connectionchain.escrow import EscrowContract
from connectionchain.ids import AccountId, ChainId, EvmAddress, Hex32, TokenId
from connectionchain.model import Model
from connectionchain.tlog.cosignature import WitnessKey
from connectionchain.tlog.note import Key


class Finality(Model):
    """When a block is final: the node's own `finalized` or `safe` tag, or `depth` blocks counted inclusively."""

    policy: Literal["depth", "safe", "finalized"] = "finalized"
    depth: int = Field(default=12, ge=1, le=10_000)


class Chain(Model):
    """One chain: id, JSON-RPC URLs in order of preference, the escrow's address and block it was deployed in, and the
    contract that keeps the evidence log's checkpoints.
    `genesis`, the hash of block 0, tells it from another chain of the same id."""

    id: ChainId
    rpc: tuple[str, ...] = Field(min_length=1)
    escrow_address: EvmAddress
    escrow_block: int = Field(default=0, ge=0)
    anchor_address: EvmAddress | None = None
    genesis: Hex32 | None = None
    finality: Finality = Finality()
    block_time: float = Field(default=12, gt=0, description="seconds between blocks, as a hint for polling")

    @property
    def escrow(self) -> EscrowContract:
        return EscrowContract(chain=self.id, address=self.escrow_address)


class Token(Model):
    """A currency: its CAIP-19 id, what people call it, decimals, and its EIP-712 name and version."""

    id: TokenId
    symbol: str = Field(min_length=1, max_length=16)
    decimals: int = Field(ge=0, le=36)
    name: str
    version: str = "1"

    @property
    def domain(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "version": self.version,
            "chainId": int(self.id.chain.reference),
            "verifyingContract": self.id.address,
        }


class Attestors(Model):
    """Names and signing addresses of the attestors, and how many must agree: more than half, because an honest
    attestor decides once, so that two decisions on one deal can then never both find their number."""

    members: dict[str, EvmAddress]
    threshold: int = Field(ge=1)

    @model_validator(mode="after")
    def _one_decision(self) -> Self:
        if self.threshold > len(self.members):
            raise ValueError(f"threshold {self.threshold} is more than the {len(self.members)} attestors")
        if self.threshold * 2 <= len(self.members):
            raise ValueError(f"threshold {self.threshold} is not more than half of {len(self.members)} attestors")
        return self


class Engine(Model):
    """The Temporal server: host:port, namespace, and the web UI's URL if there is one."""

    address: str = "127.0.0.1:7233"
    namespace: str = "connectionchain"
    ui: str | None = None


class LogWitness(Model):
    """Where a witness takes checkpoints (c2sp.org/tlog-witness submission prefix), and its vkey."""

    url: str
    key: str

    @field_validator("key")
    @classmethod
    def _vkey(cls, key: str) -> str:
        return str(WitnessKey.parse(key))


class EvidenceLog(Model):
    """The evidence log: its URL (c2sp.org/tlog-tiles prefix) and vkey, whose name is its origin; its witnesses by
    name, and how many of them must have cosigned what is to be believed."""

    url: str
    key: str
    witnesses: dict[str, LogWitness] = Field(default_factory=dict)
    quorum: int = Field(ge=0)

    @field_validator("key")
    @classmethod
    def _vkey(cls, key: str) -> str:
        return str(Key.parse(key))

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if self.quorum > len(self.witnesses):
            raise ValueError(f"quorum {self.quorum} is more than the {len(self.witnesses)} witnesses")
        return self


class Network(Model):
    """Chains and tokens by short name; everything a client needs to trust nobody but the chains."""

    engine: Engine = Engine()
    chains: dict[str, Chain]
    tokens: dict[str, Token]
    attestors: Attestors
    log: EvidenceLog | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        ids = [chain.id for chain in self.chains.values()]
        if len(set(ids)) != len(ids):
            raise ValueError("chains: two entries have the same id")
        for name, token in self.tokens.items():
            if token.id.chain not in ids:
                raise ValueError(f"tokens.{name}: its chain {token.id.chain} is not among the chains")
        return self

    @classmethod
    def load(cls, path: Path) -> Self:
        """Raises InvalidInput that names the file and the field."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            raise InvalidInput(
                "there is no such file",
                field=str(path),
                remedy="run `make up`, or point at your network's file",
            ) from None
        except ValidationError as error:
            problem = InvalidInput.of(error)
            raise InvalidInput(problem.message, field=f"{path}: {problem.field}", remedy=problem.remedy) from None

    def chain(self, name: str) -> Chain:
        """By short name or CAIP-2 id."""
        found = self.chains.get(name) or next((c for c in self.chains.values() if c.id == name), None)
        return found or _unknown("chain", name, self.chains)

    def chain_name(self, chain: ChainId) -> str:
        return next((name for name, each in self.chains.items() if each.id == chain), str(chain))

    def token(self, name: str) -> Token:
        """By short name or CAIP-19 id."""
        found = self.tokens.get(name) or next((t for t in self.tokens.values() if t.id == name), None)
        return found or _unknown("token", name, self.tokens)

    @property
    def evidence(self) -> EvidenceLog:
        """Raises InvalidInput if the network names no log."""
        if self.log is None:
            raise InvalidInput("the network file names no evidence log", field="log", remedy="see docs/evidence.md")
        return self.log

    def account(self, chain: str, address: str) -> AccountId:
        return AccountId(f"{self.chain(chain).id}:{address}")


def _unknown(field: str, name: str, known: dict[str, Any]) -> Any:
    raise UnknownName(f"there is no {name!r}", field=field, remedy=f"known: {', '.join(sorted(known)) or 'none'}")
