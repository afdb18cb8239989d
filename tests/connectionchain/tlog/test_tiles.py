import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectionchain.tlog import merkle, tiles
from connectionchain.tlog.errors import BadProof
from connectionchain.tlog.tiles import TilePath


@pytest.mark.parametrize(
    ("path", "tile"),
    [
        ("tile/0/000", TilePath(0, 0)),
        ("tile/0/x001/x234/067", TilePath(0, 1234067)),  # the index of c2sp.org/tlog-tiles
        ("tile/2/x001/000.p/17", TilePath(2, 1000, 17)),
        ("tile/63/999.p/255", TilePath(63, 999, 255)),
        ("tile/entries/x001/001", TilePath("entries", 1001)),
    ],
)
def test_path__both_ways(path: str, tile: TilePath) -> None:
    assert TilePath.parse(path) == tile
    assert str(tile) == path


@pytest.mark.parametrize(
    "path",
    [
        "tile/00/000",
        "tile/64/000",
        "tile/0/0",
        "tile/0/x000/001",
        "tile/0/1000",
        "tile/0/001/000",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000/",
        "tile/0/../0",
        "tile/-1/000",
        "tile/0/\u0660\u0660\u0660",
        "tile/0/000\n",
    ],
)
def test_path__other_spellings_are_refused(path: str) -> None:
    with pytest.raises(BadProof, match="names no tile"):
        TilePath.parse(path)


@given(st.integers(0, 10**15), st.integers(1, 256), st.one_of(st.just("entries"), st.integers(0, 63)))
def test_path__round_trip(index: int, width: int, level: int) -> None:
    tile = TilePath(level, index, width)
    assert TilePath.parse(str(tile)) == tile


def test_width__example_of_the_specification() -> None:
    assert [tiles.width(0, n, 70_000) for n in (0, 272, 273, 274)] == [256, 256, 112, 0]
    assert [tiles.width(1, n, 70_000) for n in (0, 1, 2)] == [256, 17, 0]
    assert [tiles.width(2, 0, 70_000), tiles.width(3, 0, 70_000)] == [1, 0]
    assert [tiles.width(0, 0, 256), tiles.width(0, 1, 256), tiles.width(1, 0, 256)] == [256, 0, 1]


def grown(*batches: int) -> dict[tuple[int, int], bytes]:
    stored: dict[tuple[int, int], bytes] = {}
    size = 0

    def read(level: int, index: int) -> bytes:
        return stored[level, index]

    for batch in batches:
        hashes = [merkle.leaf_hash(b"%d" % n) for n in range(size, size + batch)]
        stored.update(tiles.grow(read, size, hashes))
        size += batch
    return stored


def test_grow__stores_exactly_the_tiles_of_the_specification() -> None:
    stored = grown(70_000)
    assert {(level, index): len(tile) // 32 for (level, index), tile in stored.items()} == {
        (level, index): width
        for level in range(4)
        for index in range(300)
        if (width := tiles.width(level, index, 70_000))
    }


@given(st.lists(st.integers(0, 700), max_size=6))
def test_grow__batches_do_not_matter(batches: list[int]) -> None:
    stored, size = grown(*batches), sum(batches)
    assert stored == grown(size)
    plain = merkle.nodes([merkle.leaf_hash(b"%d" % n) for n in range(size)])
    tiled = tiles.nodes(lambda level, index: stored[level, index])
    assert merkle.root(size, tiled) == merkle.root(size, plain)
    for index in range(0, size, 97):
        assert merkle.inclusion_proof(index, size, tiled) == merkle.inclusion_proof(index, size, plain)
        assert merkle.consistency_proof(index, size, tiled) == merkle.consistency_proof(index, size, plain)


def test_nodes__a_tile_that_is_too_short_is_refused() -> None:
    stored = grown(300)
    with pytest.raises(BadProof, match="tile/0/001: lacks hash 44"):
        merkle.root(301, tiles.nodes(lambda level, index: stored[level, index]))


@given(st.lists(st.binary(max_size=700), max_size=20))
def test_bundle__round_trip(entries: list[bytes]) -> None:
    assert list(tiles.unbundle(tiles.bundle(entries))) == entries


def test_bundle__limits() -> None:
    assert tiles.bundle([b"a" * 65_535])[:2] == b"\xff\xff"
    with pytest.raises(BadProof, match="has 65536 bytes"):
        tiles.bundle([b"a" * 65_536])
    for cut in (b"\x00", b"\x00\x02a", b"\x00\x01a\x00"):
        with pytest.raises(BadProof, match="ends within the entry"):
            list(tiles.unbundle(cut))
