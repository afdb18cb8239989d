"""Amounts and accounts as people write and read them: `12.50 BOOK`."""

from datetime import UTC, datetime

from connectionchain.conditions import Facts
from connectionchain.deal import Deal
from connectionchain.errors import InvalidInput
from connectionchain.ids import AccountId, TokenId
from connectionchain.model import rfc3339
from connectionchain.money import UINT96_MAX, from_base_units, to_base_units
from connectionchain.network import Network, Token
from connectionchain.rates import TokenAmount

_BEFORE = datetime.min.replace(tzinfo=UTC)
"""Nothing has happened yet: every part of a condition is missing."""


def side(network: Network, text: str, field: str) -> tuple[Token, TokenAmount | None]:
    """`"12.50 A"` or just `"A"`: the token and, if given, the amount. Raises InvalidInput naming `field`."""
    number, _, name = text.strip().rpartition(" ")
    token = network.token(name)
    return token, amount(token, number, field) if number else None


def amount(token: Token, text: str, field: str) -> TokenAmount:
    try:
        units = to_base_units(text, token.decimals)
    except ValueError as error:
        raise InvalidInput(str(error), field=field, remedy=f"write it as 12.5 {token.symbol}") from None
    if not 0 < units <= UINT96_MAX:
        raise InvalidInput(f"{text} is out of range", field=field, remedy="more than 0, at most 2^96 - 1 base units")
    return TokenAmount(token=token.id, amount=units)


def account(text: str, field: str) -> AccountId:
    """A CAIP-10 account. Raises InvalidInput naming `field`."""
    try:
        return AccountId(text)
    except ValueError as error:
        raise InvalidInput(str(error), field=field, remedy="correct the account") from None


def shown(network: Network, token: TokenId, units: int) -> str:
    """Base units for people; in base units and by id if the network does not know the token."""
    found = next((each for each in network.tokens.values() if each.id == token), None)
    return f"{from_base_units(units, found.decimals)} {found.symbol}" if found else f"{units} base units of {token}"


def summary(network: Network, deal: Deal) -> str:
    """One line, such as `2 legs on a, b: 12.00 A -> 10.00 B`."""
    legs = " -> ".join(shown(network, leg.token, leg.amount) for leg in deal.legs)
    chains = ", ".join(network.chain_name(chain) for chain in deal.chains)
    return f"{len(deal.legs)} leg{'s' * (len(deal.legs) > 1)} on {chains}: {legs}"


def details(network: Network, deal: Deal) -> str:
    """The terms in a few lines of Markdown, for the engine's web UI."""
    lines = [
        f"- leg {n}: {shown(network, leg.token, leg.amount)} from `{leg.payer}` to `{leg.payee}`"
        for n, leg in enumerate(deal.legs)
    ]
    condition = "; ".join(deal.condition.missing(Facts(now=_BEFORE))) if deal.condition else "none"
    cancels = [*deal.cancellable.by, *(["its operator"] if deal.cancellable.operator else [])]
    lines += [f"- condition: {condition}", f"- may be cancelled by: {', '.join(cancels) or 'nobody'}"]
    lines += [f"- decided by {rfc3339(deal.decide_by)}, reclaimed by anybody from {rfc3339(deal.expiry)}"]
    if deal.reference:
        lines.append(f"- reference: {deal.reference}")
    return "\n".join(lines)
