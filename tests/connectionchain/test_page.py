"""The page for people, from evidence made up for the purpose."""

from bench import sample
from connectionchain.audit.report import Check, Finding, Report
from connectionchain.evidence import Kind
from connectionchain.export import Export, LoggedRecord
from connectionchain.network import Chain, Network, Token
from connectionchain.page import page
from connectionchain.tlog import merkle
from connectionchain.tlog.checkpoint import Checkpoint
from connectionchain.tlog.proof import prove

NETWORK = Network(
    chains={
        name: Chain(id=id_, rpc=("http://127.0.0.1:1",), escrow_address=sample.ESCROW)
        for name, id_ in zip(("shop & co", "b"), sample.CHAINS, strict=True)
    },
    tokens={
        "X": Token(id=sample.deal().legs[0].token, symbol="<X>", decimals=2, name="Currency X"),
    },
    attestors=sample.TRUST.attestors,
)
GOOD = Report(checked=(Check.LOG,))


def exported(*kinds: Kind) -> Export:
    deal = sample.deal()
    records = [record for record, _ in sample.steps(deal)]
    if kinds:
        records = [
            each.model_copy(update={"step": each.step.model_copy(update={"kind": kind})})
            for each, kind in zip(records, kinds, strict=False)
        ]
    tree = merkle.nodes([merkle.leaf_hash(each.canonical()) for each in records])
    note = sample.LOG.sign(str(Checkpoint(sample.LOG.key.name, len(records), merkle.root(len(records), tree))))
    logged = [
        LoggedRecord(record=each, proof=str(prove(n, len(records), tree, note))) for n, each in enumerate(records)
    ]
    return Export(deal=deal, certificate=sample.certificate(deal), records=tuple(logged), transactions=())


def test_page__has_every_step_in_order_with_its_chain_time() -> None:
    export = exported()
    html = page(export, GOOD, NETWORK)
    at = [html.index(each.record.step.transaction) for each in export.records]
    assert at == sorted(at)
    assert html.count('<time datetime="2026-01-01T00:00:00Z">') == 4
    assert "commit, signed by attestors" in html
    assert "bench.example/log, 4 records" in html


def test_page__styles_are_not_text() -> None:
    html = page(exported(), GOOD, NETWORK)
    assert '<p class="verdict good">All 1 checks passed: log.</p>' in html
    assert '<p class="brand">ConnectionChain</p>' in html
    assert html.count('<p class="place">leg ') == 4


def test_page__what_others_wrote_stays_text() -> None:
    html = page(exported(), GOOD, NETWORK)
    assert "<X>" not in html
    assert "&lt;X&gt;" in html
    assert "shop &amp; co" in html


def test_page__unknown_token_is_told_in_base_units() -> None:
    assert "12345600 base units of" in page(exported(), GOOD, NETWORK)


def test_page__each_kind_has_its_words() -> None:
    html = page(exported(Kind.LOCKED, Kind.REFUNDED, Kind.RECLAIMED, Kind.DISPLACED), GOOD, NETWORK)
    for words in (
        "locked in escrow",
        "refunded to the payer",
        "reclaimed for the payer",
        "the chain replaced the block",
    ):
        assert words in html


def test_page__failed_checks_come_first_and_say_what_they_mean() -> None:
    finding = Finding(check=Check.LOG, where="records.0", what="is <not> there")
    html = page(exported(), Report(checked=(Check.LOG,), findings=(finding,)), NETWORK)
    assert html.index("is &lt;not&gt; there") < html.index("Agreed")
    assert "the log rewritten" in html
