"""The worker refuses to start on what cannot be right, and says why."""

from pathlib import Path

import pytest

from connectionchain.errors import InvalidInput, Unavailable
from connectionchain.network import Network
from roles.resources import load_key
from roles.settings import AttestorRole, Settings
from worker import service


@pytest.fixture
def settings(stack, tmp_path) -> Settings:
    """One connection node and one attestor with databases of their own, beside the stack's."""
    ours: Settings = stack.settings
    return Settings(
        network=ours.network,
        nodes=(ours.nodes[0],),
        database=f"sqlite+aiosqlite:///{tmp_path}/ledger.db",
        attestors=(attestor(ours, tmp_path),),
    )


def attestor(ours: Settings, directory: Path, key_of: int = 0) -> AttestorRole:
    key = directory / "key"
    key.touch(mode=0o600)
    key.write_text(ours.attestors[key_of].key_file.read_text())
    return AttestorRole(name="alice", key_file=key, database=f"sqlite+aiosqlite:///{directory}/alice.db")


async def refusal(settings: Settings) -> InvalidInput:
    with pytest.raises(InvalidInput) as refused:
        async with service(settings):
            pass
    return refused.value


def with_network(settings: Settings, directory: Path, **chain_a: object) -> Settings:
    network = Network.load(settings.network)
    changed = {**network.chains, "a": network.chains["a"].model_copy(update=chain_a)}
    path = directory / "network.json"
    path.write_text(network.model_copy(update={"chains": changed}).model_dump_json())
    return settings.model_copy(update={"network": path})


async def test_start__works_as_it_is(settings) -> None:
    async with service(settings):
        pass


async def test_start__url_of_another_chain(settings, stack, tmp_path) -> None:
    wrong = with_network(settings, tmp_path, rpc=stack.network.chains["b"].rpc)
    assert "is of chain 31338, not 31337" in (await refusal(wrong)).message


async def test_start__another_genesis(settings, tmp_path) -> None:
    wrong = with_network(settings, tmp_path, genesis="0x" + "12" * 32)
    assert "another chain of the same id" in (await refusal(wrong)).message


async def test_start__no_contract_at_the_escrows_address(settings, tmp_path) -> None:
    error = await refusal(with_network(settings, tmp_path, escrow_address="0x" + "34" * 20))
    assert error.field == "escrow_address"


async def test_start__key_that_is_no_attestors(settings, tmp_path) -> None:
    (tmp_path / "key").write_text("0x" + "56" * 32)
    error = await refusal(settings)
    assert error.field == "key_file"
    assert "does not know attestor" in error.message


async def test_start__corrupt_database(settings, tmp_path) -> None:
    (tmp_path / "ledger.db").write_bytes(b"not a database at all" * 100)
    assert (await refusal(settings)).field == "database"


async def test_start__decisions_lost(settings, tmp_path) -> None:
    async with service(settings):
        pass
    for each in tmp_path.glob("alice.db*"):
        each.unlink()
    error = await refusal(settings)
    assert error.field == "database"
    assert "decisions are missing" in error.message


async def test_start__node_without_database(settings) -> None:
    assert (await refusal(settings.model_copy(update={"database": None}))).field == "database"


async def test_start__engine_that_is_not_there(settings, tmp_path) -> None:
    network = Network.load(settings.network)
    path = tmp_path / "network.json"
    engine = network.engine.model_copy(update={"address": "127.0.0.1:1"})
    path.write_text(network.model_copy(update={"engine": engine}).model_dump_json())
    with pytest.raises(Unavailable, match="no workflow engine"):
        async with service(settings.model_copy(update={"network": path})):
            pass


def test_key__others_can_read_it(tmp_path) -> None:
    key = tmp_path / "key"
    key.write_text("0x" + "11" * 32)
    key.chmod(0o644)
    with pytest.raises(InvalidInput, match="others can read this key"):
        load_key(key)


def test_key__is_none(tmp_path) -> None:
    key = tmp_path / "key"
    key.touch(mode=0o600)
    key.write_text("0xabc")
    with pytest.raises(InvalidInput, match="holds no private key") as refused:
        load_key(key)
    assert "abc" not in str(refused.value)


def test_settings__unknown_field(tmp_path) -> None:
    path = tmp_path / "settings.json"
    path.write_text('{"network": "x", "nodez": []}')
    with pytest.raises(InvalidInput, match="nodez"):
        Settings.load(path)
