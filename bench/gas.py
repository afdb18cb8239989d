"""Gas of the escrow's verbs on a real anvil: whole transactions (21,000 included) beside their goals.

Each row runs in the steady state: payer, payee and escrow hold tokens before and after, 2 of 3 attestors sign, and
whoever submits is not the payer unless the verb says so. Needs `npm ci` in contracts/ and the service's packages.
"""

import argparse
import contextlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from eth_account import Account
from eth_account.signers.local import LocalAccount
from web3 import Web3
from web3.contract import Contract

ROOM = Path(__file__).resolve().parents[1] / "contracts"
AMOUNT = 100 * 10**18
HOUR, DAY = 3600, 86400
TERMS = "(address,address,address,uint96,uint40,bytes32)"
COMMIT, ABORT = 1, 2


class Row(NamedTuple):
    """One line of the table: gas for each deal, and the most it should be (None where nobody set a goal)."""

    name: str
    measure: Callable[["Bench"], int]
    goal: int | None


@contextlib.contextmanager
def anvil() -> Iterator[Web3]:
    """A chain of our own on a free port, ended with the block."""
    binary = next(ROOM.glob("node_modules/@foundry-rs/anvil-*/bin/anvil*"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [binary, "--port", str(port), "--hardfork", "prague", "--auto-impersonate", "--silent"]
    with subprocess.Popen(command) as process:
        try:
            w3 = Web3(Web3.HTTPProvider(f"http://127.0.0.1:{port}"))
            while not w3.is_connected():
                if process.poll() is not None:
                    raise RuntimeError(f"anvil ended with status {process.returncode}")
                time.sleep(0.05)
            yield w3
        finally:
            process.terminate()


class Bench:
    """An escrow, a token, and parties who hold some of it."""

    def __init__(self, w3: Web3) -> None:
        self.w3 = w3
        self.relayer = w3.eth.accounts[0]
        self.attestors = sorted((key(f"attestor {i}") for i in range(3)), key=lambda a: int(a.address, 16))
        members = [attestor.address for attestor in self.attestors]
        self.token = self.deploy("RegionalCurrency", "Yen", "JPYr", 18, self.relayer)
        self.escrow = self.deploy("Escrow", members, 2, DAY)
        self.payee = self.holder("payee").address
        self.deals = 0
        self.locked(3)  # the escrow holds tokens throughout

    def deploy(self, name: str, *args: Any) -> Contract:
        artefact = json.loads((ROOM / "artifacts" / f"{name}.json").read_text())
        factory = self.w3.eth.contract(abi=artefact["abi"], bytecode=artefact["bytecode"])
        sent = factory.constructor(*args).transact({"from": self.relayer})
        address = self.w3.eth.wait_for_transaction_receipt(sent)["contractAddress"]
        return self.w3.eth.contract(address=address, abi=artefact["abi"])

    def send(self, call: Any, sender: str | None = None) -> int:
        """Sends one call and returns the gas it used."""
        sent = call.transact({"from": sender or self.relayer, "gas": 16_000_000})
        receipt = self.w3.eth.wait_for_transaction_receipt(sent)
        if receipt["status"] != 1:
            raise RuntimeError(f"{call.fn_name} reverted")
        return int(receipt["gasUsed"])

    def holder(self, name: str) -> LocalAccount:
        """An account with ether and tokens enough for any row."""
        account = key(name)
        self.w3.provider.make_request("anvil_setBalance", [account.address, hex(10**18)])  # type: ignore[arg-type]
        self.send(self.token.functions.mint(account.address, 1000 * AMOUNT))
        return account

    def terms(self, payer: LocalAccount, payee: str | None = None) -> tuple[Any, ...]:
        self.deals += 1
        expiry = self.w3.eth.get_block("latest")["timestamp"] + HOUR
        deal = Web3.keccak(text=f"deal {self.deals}")
        return (payer.address, payee or self.payee, self.token.address, AMOUNT, expiry, deal)

    def id_of(self, terms: tuple[Any, ...]) -> bytes:
        return bytes(self.escrow.functions.idOf(terms).call())

    def locked(self, n: int, payees: list[str] | None = None) -> list[tuple[Any, ...]]:
        """Terms of n new locks by one payer, each to its own payee or all to the same."""
        payer = self.holder("payer")
        batch = [self.terms(payer, payees[i] if payees else None) for i in range(n)]
        self.approve(payer, n)
        self.send(self.escrow.functions.lockBatch(batch), payer.address)
        return batch

    def approve(self, payer: LocalAccount, n: int = 1) -> None:
        self.send(self.token.functions.approve(self.escrow.address, n * AMOUNT), payer.address)

    def certificate(self, kind: str, types: list[dict[str, str]], message: dict[str, Any]) -> list[list[bytes]]:
        domain = {"name": "ConnectionChain Escrow", "version": "1"} | self.domain(self.escrow)
        return [compact(attestor, domain, {kind: types}, message) for attestor in self.attestors[:2]]

    def settlement(self, outcome: int, ids: list[bytes]) -> list[list[bytes]]:
        types = [{"name": "outcome", "type": "uint8"}, {"name": "ids", "type": "bytes32[]"}]
        return self.certificate("Settlement", types, {"outcome": outcome, "ids": ids})

    def metering(self, lock_id: bytes, cumulative: int, close: bool) -> list[list[bytes]]:
        types = [
            {"name": "id", "type": "bytes32"},
            {"name": "cumulative", "type": "uint96"},
            {"name": "close", "type": "bool"},
        ]
        return self.certificate("Metering", types, {"id": lock_id, "cumulative": cumulative, "close": close})

    def authorization(self, payer: LocalAccount, terms: tuple[Any, ...]) -> tuple[Any, ...]:
        """ERC-3009 by the payer: nonce = lock id."""
        fields = "address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce"
        types = [dict(zip(("type", "name"), field.split(), strict=True)) for field in fields.split(",")]
        message = {
            "from": payer.address,
            "to": self.escrow.address,
            "value": AMOUNT,
            "validAfter": 0,
            "validBefore": terms[4],
            "nonce": self.id_of(terms),
        }
        domain = {"name": "Yen", "version": "1"} | self.domain(self.token)
        return (terms[4], *compact(payer, domain, {"ReceiveWithAuthorization": types}, message))

    def domain(self, contract: Contract) -> dict[str, Any]:
        return {"chainId": self.w3.eth.chain_id, "verifyingContract": contract.address}


def key(name: str) -> LocalAccount:
    return Account.from_key(Web3.keccak(text=name))


def compact(
    signer: LocalAccount, domain: dict[str, Any], types: dict[str, Any], message: dict[str, Any]
) -> list[bytes]:
    """ERC-2098: (r, s with the parity of v in its top bit)."""
    signed = signer.sign_typed_data(domain, types, message)
    return [signed.r.to_bytes(32), (signed.s | (signed.v - 27) << 255).to_bytes(32)]


def transfer(bench: Bench) -> int:
    return bench.send(bench.token.functions.transfer(bench.payee, AMOUNT), bench.holder("payer").address)


def lock(bench: Bench) -> int:
    payer = bench.holder("payer")
    bench.approve(payer)
    return bench.send(bench.escrow.functions.lock(bench.terms(payer)), payer.address)


def lock_batch(bench: Bench, n: int = 100) -> int:
    payer = bench.holder("payer")
    bench.approve(payer, n)
    batch = [bench.terms(payer) for _ in range(n)]
    return bench.send(bench.escrow.functions.lockBatch(batch), payer.address) // n


def lock_with_authorization(bench: Bench) -> int:
    payer = bench.holder("payer")
    terms = bench.terms(payer)
    verb = bench.escrow.get_function_by_signature(f"lockWithAuthorization({TERMS},(uint256,bytes32,bytes32))")
    return bench.send(verb(terms, bench.authorization(payer, terms)))


def lock_batch_with_authorization(bench: Bench, n: int = 100) -> int:
    payers = [bench.holder(f"payer {i}") for i in range(n)]
    batch = [bench.terms(payer) for payer in payers]
    authorizations = [bench.authorization(payer, terms) for payer, terms in zip(payers, batch, strict=True)]
    return bench.send(bench.escrow.functions.lockBatchWithAuthorization(batch, authorizations)) // n


def release(bench: Bench) -> int:
    lock_id = bench.id_of(bench.locked(1)[0])
    certificate = bench.settlement(COMMIT, [lock_id])
    return bench.send(bench.escrow.functions.release(bench.token.address, bench.payee, lock_id, certificate))


def release_batch(bench: Bench, n: int = 100) -> int:
    ids = [bench.id_of(terms) for terms in bench.locked(n)]
    payouts = [(bench.token.address, bench.payee, ids)]
    return bench.send(bench.escrow.functions.releaseBatch(payouts, bench.settlement(COMMIT, ids))) // n


def release_batch_distinct(bench: Bench, n: int = 100) -> int:
    payees = [bench.holder(f"shop {i}").address for i in range(n)]
    ids = [bench.id_of(terms) for terms in bench.locked(n, payees)]
    payouts = [(bench.token.address, payee, [lock_id]) for payee, lock_id in zip(payees, ids, strict=True)]
    return bench.send(bench.escrow.functions.releaseBatch(payouts, bench.settlement(COMMIT, ids))) // n


def refund(bench: Bench) -> int:
    terms = bench.locked(1)[0]
    return bench.send(bench.escrow.functions.refund(terms, bench.settlement(ABORT, [bench.id_of(terms)])))


def refund_batch(bench: Bench, n: int = 100) -> int:
    batch = bench.locked(n)
    certificate = bench.settlement(ABORT, [bench.id_of(terms) for terms in batch])
    return bench.send(bench.escrow.functions.refundBatch(batch, certificate)) // n


def meter(bench: Bench) -> int:
    terms = bench.locked(1)[0]
    certificates = [bench.metering(bench.id_of(terms), AMOUNT * i // 4, False) for i in (1, 2)]
    gas = [bench.send(bench.escrow.functions.meter(terms, AMOUNT * i // 4, certificates[i - 1])) for i in (1, 2)]
    return gas[1]


def close(bench: Bench) -> int:
    terms = bench.locked(1)[0]
    certificate = bench.metering(bench.id_of(terms), AMOUNT // 2, True)
    return bench.send(bench.escrow.functions.close(terms, AMOUNT // 2, certificate))


def reclaim(bench: Bench) -> int:
    terms = bench.locked(1)[0]
    bench.w3.provider.make_request("evm_increaseTime", [HOUR])  # type: ignore[arg-type]
    return bench.send(bench.escrow.functions.reclaim(terms))


ROWS = (
    Row("bare transfer, for comparison", transfer, None),
    Row("lock, exact approval", lock, 70_000),
    Row("lock, batch of 100 by one payer, per deal", lock_batch, None),
    Row("lock, ERC-3009, relayed", lock_with_authorization, 99_000),
    Row("lock, ERC-3009, batch of 100 payers, per deal", lock_batch_with_authorization, None),
    Row("release, one, certificate", release, 62_000),
    Row("release, batch of 100 to one payee, per deal", release_batch, 7_500),
    Row("release, batch of 100 to distinct payees, per deal", release_batch_distinct, 18_900),
    Row("refund, certificate", refund, 62_000),
    Row("refund, batch of 100 to one payer, per deal", refund_batch, None),
    Row("meter, second payment", meter, None),
    Row("close, half to each", close, None),
    Row("reclaim after expiry, by anyone", reclaim, 46_000),
)


def main() -> int:
    """Measures every row; returns 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print rows as JSON")
    as_json = parser.parse_args().json
    with anvil() as w3:
        bench = Bench(w3)
        rows = [{"row": row.name, "gas": row.measure(bench), "goal": row.goal} for row in ROWS]
    if as_json:
        print(json.dumps(rows, indent=1))
    else:
        print(table(rows))
    return int(any(row["goal"] is not None and row["gas"] > row["goal"] for row in rows))


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as a Markdown table."""
    lines = ["| one deal | gas | goal | |", "|---|---:|---:|---|"]
    for row in rows:
        goal, verdict = "-", ""
        if row["goal"] is not None:
            goal, verdict = f"{row['goal']:,}", "met" if row["gas"] <= row["goal"] else "missed"
        lines.append(f"| {row['row']} | {row['gas']:,} | {goal} | {verdict} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
