"""An attestor: re-derives the facts of a deal from its own view of the chains, decides once, then signs."""

from eth_account.signers.local import LocalAccount
from temporalio import activity

from activities.facts import Witness
from activities.failures import typed_failures
from activities.orders import AttestOrder
from connectionchain.certificate import Attestation, Outcome, settlement_typed_data, settlements
from connectionchain.network import Network
from connectionchain.typed_data import compact
from ledger.database import Database
from ledger.decisions import decide, decision


class Attestor:
    """Signs with `key` what `witness` has found true, and never both outcomes of a deal."""

    def __init__(self, key: LocalAccount, network: Network, witness: Witness, database: Database) -> None:
        self._key, self._network, self._witness, self._database = key, network, witness, database

    @activity.defn
    @typed_failures
    async def attest(self, order: AttestOrder) -> Attestation:
        """Unavailable while the facts are not there yet; Refused or BadSignature if they contradict the order.
        A decision once made is signed again without asking again: the facts may have moved on since."""
        earlier = await decision(self._database, order.deal.id)
        reason = earlier.reason if earlier else await self._reason(order)
        await decide(self._database, order.deal.id, order.outcome, reason)
        return self._sign(order)

    async def _reason(self, order: AttestOrder) -> str:
        if order.outcome is Outcome.COMMIT:
            return await self._witness.reason_to_commit(order.deal, order.statements)
        return await self._witness.reason_to_abort(order.deal, order.statements)

    def _sign(self, order: AttestOrder) -> Attestation:
        """The digests are computed here from the deal: a digest that was handed in is never signed."""
        signatures = [
            settlement_typed_data(
                order.deal, settlement, order.outcome, self._network.chain(settlement.chain).escrow
            ).sign(self._key)
            for settlement in settlements(order.deal, order.outcome)
        ]
        return Attestation(
            attestor=self._key.address.lower(), outcome=order.outcome, signatures=tuple(map(compact, signatures))
        )
