"""Whom an auditor believes. Everything else in an evidence file is proven."""

from typing import Self

from pydantic import Field, field_validator, model_validator

from connectionchain.escrow import EscrowContract
from connectionchain.ids import ChainId, EvmAddress
from connectionchain.model import Model
from connectionchain.network import Attestors, Network
from connectionchain.tlog.cosignature import WitnessKey
from connectionchain.tlog.errors import BadProof
from connectionchain.tlog.note import Key
from connectionchain.tlog.proof import LogPolicy


class Trust(Model):
    """The log's key and the witnesses' keys as vkeys (c2sp.org/signed-note), how many witnesses must agree, the
    attestors, and on each chain the escrow contract and, if there is one, the contract that keeps checkpoints."""

    log: str
    witnesses: tuple[str, ...] = ()
    quorum: int = Field(ge=0)
    attestors: Attestors
    escrows: dict[ChainId, EvmAddress]
    anchors: dict[ChainId, EvmAddress] = Field(default_factory=dict)

    @field_validator("log")
    @classmethod
    def _log_key(cls, vkey: str) -> str:
        return str(Key.parse(vkey))

    @field_validator("witnesses")
    @classmethod
    def _witness_keys(cls, vkeys: tuple[str, ...]) -> tuple[str, ...]:
        if len({WitnessKey.parse(vkey).public for vkey in vkeys}) != len(vkeys):
            raise ValueError("two witnesses have the same key")
        return vkeys

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if self.quorum > len(self.witnesses):
            raise ValueError(f"quorum {self.quorum} is more than the {len(self.witnesses)} witnesses")
        return self

    @classmethod
    def of(cls, network: Network) -> Self:
        """What the network file names. Raises InvalidInput if it names no log."""
        log, chains = network.evidence, network.chains.values()
        return cls(
            log=log.key,
            witnesses=tuple(each.key for each in log.witnesses.values()),
            quorum=log.quorum,
            attestors=network.attestors,
            escrows={chain.id: chain.escrow_address for chain in chains},
            anchors={chain.id: chain.anchor_address for chain in chains if chain.anchor_address},
        )

    @property
    def policy(self) -> LogPolicy:
        return LogPolicy(Key.parse(self.log), tuple(map(WitnessKey.parse, self.witnesses)), self.quorum)

    def escrow(self, chain: ChainId) -> EscrowContract:
        """Raises BadProof if no escrow of that chain is trusted."""
        if chain not in self.escrows:
            raise BadProof("has no escrow contract that you trust", field=str(chain))
        return EscrowContract(chain=chain, address=self.escrows[chain])
