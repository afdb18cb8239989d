"""The purchases on a terminal: told line by line as they happen, the state of all three below."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from connectionchain.client.amounts import shown
from connectionchain.deal import Deal
from connectionchain.evidence import Step
from connectionchain.settlement import Explanation, State
from devnet.demo.results import Moment
from devnet.demo.stage import Stage
from devnet.demo.story import CHAPTERS, Chapter

COLOURS = {State.SETTLED: "bold green", State.REFUNDED: "bold yellow"}


class Screen:
    """Tells one chapter at a time; what happens in a later one meanwhile is told when its turn comes."""

    def __init__(self, console: Console, stage: Stage) -> None:
        self.console, self.stage = console, stage
        self.latest: dict[Chapter, Explanation] = {}
        self.untold: defaultdict[Chapter, list[Text]] = defaultdict(list)
        self.ended: set[Chapter] = set()
        self.pages = list(enumerate(CHAPTERS, 1))

    @contextmanager
    def live(self) -> Iterator[None]:
        self._turn_page()
        with Live(get_renderable=self._board, console=self.console, transient=True, refresh_per_second=5):
            yield

    def tell(self, chapter: Chapter, deal: Deal, moment: Moment, now: Explanation) -> None:
        self.latest[chapter] = now
        self.untold[chapter].append(self._line(deal, moment, now))
        if moment.state and moment.state.terminal:
            self.ended.add(chapter)
        while self._tell_all() and self.pages:
            self._turn_page()

    def _turn_page(self) -> None:
        self.number, self.chapter = self.pages.pop(0)
        self.console.print(f"\n[bold]{self.number}  {self.chapter.title}[/bold]", highlight=False)

    def _tell_all(self) -> bool:
        """Tells what is untold of the current chapter; whether that was its end."""
        for line in self.untold.pop(self.chapter, []):
            self.console.print(line, soft_wrap=True)
        return self.chapter in self.ended

    def _line(self, deal: Deal, moment: Moment, now: Explanation) -> Text:
        line = Text(f"{moment.after:7.1f} s  ", "dim")
        if moment.state:
            line.append(f"{moment.state}  ", COLOURS.get(moment.state, "bold cyan"))
            line.append(self._why(now) if moment.state is now.state else "", "not dim")
        elif moment.step:
            line.append_text(self._step(deal, moment.step))
        else:
            line.append(moment.said, "not dim magenta")
        return line

    def _why(self, now: Explanation) -> str:
        match now.state:
            case State.LOCKING:
                return "both amounts go into escrow, each on its chain"
            case State.LOCKED:
                return self.stage.named(f"waits for {'; '.join(now.waiting_for)}")
            case State.COMMITTING:
                return "each attestor looks at the chains for itself"
            case State.ABORTING:
                return self.stage.named(now.reason or "the time to decide is over") + ": all goes back"
        return ""

    def _step(self, deal: Deal, step: Step) -> Text:
        leg = deal.legs[step.leg]
        way = self.stage.way(step.kind, leg.payer.address, leg.payee.address)
        amount = shown(self.stage.network, leg.token, leg.amount)
        line = Text(f"  {step.kind:<8} {amount:>7}  {way:<19}", "not dim")
        chain = self.stage.network.chain_name(step.chain)
        return line.append(f" chain {chain} block {step.block.number:<3} {step.transaction[:10]}…", "dim")

    def _board(self) -> Table:
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_row("")
        for at, chapter in enumerate(CHAPTERS, 1):
            now = self.latest.get(chapter)
            state = Text(now.state, COLOURS.get(now.state, "bold cyan")) if now else Text("not yet", "dim")
            table.add_row(f"{at}  {chapter.title}", state, _left(now))
        return table


def _left(now: Explanation | None) -> str:
    if now is None or now.deadline is None or now.state is not State.LOCKED:
        return ""
    seconds = max(0, round((now.deadline - datetime.now(UTC)).total_seconds()))
    return f"{seconds} s until it gives everything back by itself"
