"""The evidence log as it is served: checkpoints, tiles and entries over HTTP. Nothing it says is believed; what it
gives is checked against signatures and roots by whoever uses it. Source: c2sp.org/tlog-tiles.
"""

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import httpx
from pydantic import TypeAdapter, ValidationError

from connectionchain.errors import Unavailable
from connectionchain.evidence import EvidenceRecord
from connectionchain.export import LoggedRecord
from connectionchain.tlog import merkle, proof, tiles
from connectionchain.tlog.checkpoint import Checkpoint
from connectionchain.tlog.errors import BadProof
from connectionchain.tlog.note import Note
from connectionchain.tlog.tiles import WIDTH, TilePath

TIMEOUT_SECONDS = 10
_POSITIONS = TypeAdapter(list[int])


class PublishedLog:
    """The log at a URL; a context manager. Every method raises Unavailable if it does not answer, BadProof if what it
    answers is malformed or does not belong to a tree."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=url.rstrip("/") + "/", timeout=TIMEOUT_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    async def checkpoint(self) -> Note:
        """The newest one; its signatures are not looked at."""
        return await asyncio.to_thread(self._checkpoint)

    async def records(self, deal: str) -> tuple[LoggedRecord, ...]:
        """The deal's records, as the log's index finds them, all proven under one checkpoint."""
        return await asyncio.to_thread(self._records, deal)

    async def consistency(self, old_size: int, size: int) -> list[bytes]:
        """The proof that the tree of `size` extends that of `old_size`."""
        return await asyncio.to_thread(lambda: merkle.consistency_proof(old_size, size, self._tree(size)))

    def _checkpoint(self) -> Note:
        return Note.parse(self._required("checkpoint").decode())

    def _records(self, deal: str) -> tuple[LoggedRecord, ...]:
        note = self._checkpoint()
        size = Checkpoint.parse(note.text).size
        tree = self._tree(size)
        return tuple(
            LoggedRecord(record=self._record(position, size), proof=str(proof.prove(position, size, tree, note)))
            for position in self._positions(deal)
            if position < size
        )

    def _positions(self, deal: str) -> Sequence[int]:
        try:
            return _POSITIONS.validate_json(self._required(f"deals/{deal}"))
        except ValidationError:
            raise BadProof("is no list of positions", field="log index") from None

    def _record(self, position: int, size: int) -> EvidenceRecord:
        index, at = divmod(position, WIDTH)
        entries = list(tiles.unbundle(self._tile("entries", index, min(WIDTH, size - index * WIDTH))))
        try:
            return EvidenceRecord.model_validate_json(entries[at])
        except (IndexError, ValidationError):
            raise BadProof("is no evidence record", field=f"log entry {position}") from None

    def _tree(self, size: int) -> merkle.Nodes:
        read: dict[tuple[int, int], bytes] = {}

        def tile(level: int, index: int) -> bytes:
            if (level, index) not in read:
                read[level, index] = self._tile(level, index, tiles.width(level, index, size))
            return read[level, index]

        return tiles.nodes(tile)

    def _tile(self, level: int | str, index: int, width: int) -> bytes:
        """A log may drop a partial tile once the full one is there."""
        path = TilePath(level, index, width)  # type: ignore[arg-type]
        found = self._get(str(path))
        return self._required(str(TilePath(path.level, index))) if found is None else found

    def _required(self, path: str) -> bytes:
        content = self._get(path)
        if content is None:
            raise Unavailable(f"{self._http.base_url} has no {path}", field="log", remedy="try again in a second")
        return content

    def _get(self, path: str) -> bytes | None:
        try:
            response = self._http.get(path)
            if response.status_code == httpx.codes.NOT_FOUND:
                return None
            return response.raise_for_status().content
        except httpx.HTTPError as error:
            raise Unavailable(
                f"the log at {self._http.base_url} does not answer: {type(error).__name__}",
                field="log",
                remedy="check log.url in the network file, or try again later",
            ) from None
