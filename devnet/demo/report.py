"""What is printed before and after the purchases: the story so far, their records, and everybody's balances."""

from rich.console import Console
from rich.table import Table

from connectionchain.client.amounts import shown
from connectionchain.evidence import Kind
from connectionchain.model import rfc3339
from connectionchain.money import from_base_units
from connectionchain.onchain import Entry
from devnet.demo.results import Holding, Purchase, Result, Supply
from devnet.demo.screen import COLOURS
from devnet.demo.stage import Stage

PROLOGUE = """
Hanako holds regional currency [bold]A[/bold] on chain a. Bookstore X takes regional currency
[bold]B[/bold] on chain b. She buys a book for 10.00 B and pays in A, without ever owning B:
a liquidity account receives her A and pays the B. Both amounts wait in escrow
until the shop answers; nothing leaves it unless 2 of 3 attestors agree."""
EPILOGUE = """
[bold]Where to look next[/bold]
  make up                     the same kept running, with the engine's web UI
  .venv/bin/connectionchain   quote, pay, confirm, reclaim from the command line
  README.md                   the same from Python, in a dozen lines
  docs/architecture.md        how it works
"""


def purchases(console: Console, stage: Stage, told: tuple[Purchase, ...]) -> None:
    console.print("\n[bold]Transaction records[/bold], read from the chains (the paper's Figure 4)", highlight=False)
    for at, purchase in enumerate(told, 1):
        colour = COLOURS.get(purchase.state, "bold red")
        console.print(f"\n{at}  {purchase.title}: [{colour}]{purchase.state}[/]", highlight=False)
        console.print(f"   deal {purchase.deal_id}", highlight=False, soft_wrap=True)
        for entry in purchase.record.entries:
            _entry(console, stage, purchase, entry)


def _entry(console: Console, stage: Stage, purchase: Purchase, entry: Entry) -> None:
    assert entry.leg is not None
    token = purchase.deal.legs[entry.leg].token
    console.print(f"   chain {stage.network.chain_name(entry.chain)} ({entry.chain})", highlight=False)
    for event in entry.events:
        amount = entry.terms.amount if event.kind is Kind.LOCKED else event.paid + event.returned
        way = stage.way(event.kind, entry.terms.payer, entry.terms.payee)
        moved = f"{event.kind:<8} {shown(stage.network, token, amount):>7}  {way:<20}"
        where = f"block {event.block.number:<3} {rfc3339(event.block.time)}"
        console.print(f"     {moved} {where}", highlight=False, soft_wrap=True)
        console.print(f"       [dim]{event.transaction}[/dim]", highlight=False, soft_wrap=True)


def balances(console: Console, stage: Stage, result: Result) -> None:
    table = Table("account", box=None, pad_edge=False, title="\nBalances", title_justify="left", title_style="bold")
    for column in ("before", "after", "change"):
        table.add_column(column, justify="right")
    for each in sorted(result.holdings, key=lambda each: (each.currency, each.account == "escrow", each.account)):
        table.add_row(each.account, *_amounts(stage, each))
    for supply in result.supplies:
        table.add_row(f"all {supply.currency} there is", *_amounts(stage, supply), style="dim")
    console.print(table, highlight=False)
    if result.problems:
        for problem in result.problems:
            console.print(f"[bold red]wrong:[/bold red] {problem}", highlight=False)
    else:
        console.print("\n[bold green]Conserved:[/bold green] not a unit was made, lost or left in escrow.")


def _amounts(stage: Stage, of: Holding | Supply) -> tuple[str, str, str]:
    token = stage.network.token(of.currency)
    before, after = (f"{from_base_units(each, token.decimals)} {token.symbol}" for each in (of.before, of.after))
    change = from_base_units(abs(of.after - of.before), token.decimals)
    return before, after, f"{'-' if of.after < of.before else '+'}{change}" if of.after != of.before else ""
