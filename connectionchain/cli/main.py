"""The command line `connectionchain`."""

import os
import sys
from contextlib import suppress

import typer
from typer.exceptions import Abort, TyperException

from connectionchain.cli import accounts, audit, bills, deals, doctor, evidence, output, pay, reconcile
from connectionchain.errors import ConnectionChainError, InvalidInput

INTERRUPTED = 130

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="""Deals across blockchains: lock, wait, transfer or refund, with evidence.

    Exit codes: 0 done · 1 failed, or a check of `doctor` or `evidence verify` · 2 invalid input · 3 refused by a rule ·
    4 rejected by a chain · 5 a server or chain does not answer, try again later · 130 interrupted.

    Keys come from --key-file or CONNECTIONCHAIN_KEY. `evidence show` and `reclaim` ask only the chains.""",
)
app.command()(pay.quote)
app.command()(pay.pay)
app.add_typer(pay.rates_app, name="rates")
app.add_typer(deals.app, name="deals")
app.add_typer(bills.app, name="bills")
evidence.app.command()(audit.export)
evidence.app.command()(audit.verify)
evidence.app.command()(audit.page)
app.add_typer(evidence.app, name="evidence")
app.command()(evidence.reclaim)
app.add_typer(accounts.app, name="accounts")
app.command()(reconcile.reconcile)
app.command()(doctor.doctor)


def main(arguments: list[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    as_json = "--json" in arguments
    try:
        return int(app(args=arguments, prog_name="connectionchain", standalone_mode=False) or 0)
    except ConnectionChainError as error:
        output.failure(error, as_json)
        return error.exit_code
    except TyperException as error:
        output.failure(InvalidInput(error.format_message(), remedy="see --help"), as_json)
        return error.exit_code
    except (Abort, KeyboardInterrupt):
        return INTERRUPTED
    except SystemExit:  # how typer answers a closed pipe
        return 1


def run() -> None:
    """The entry point. Ends hard: the engine's runtime may crash at interpreter exit, after all is done."""
    code = main()
    with suppress(BrokenPipeError):  # whoever reads us has had enough
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)
