"""The role of the evidence log: sequences what the connection nodes recorded, signs checkpoints, serves them."""

from connectionchain.errors import InvalidInput
from connectionchain.network import Network
from roles.resources import Resources, load_seed
from roles.settings import LogRole, Settings
from web.roles import evidence_log


async def log(stack: Resources, network: Network, settings: Settings, role: LogRole) -> None:
    if settings.database is None:
        raise InvalidInput("the evidence log needs a database", field="database", remedy="give its URL")
    database, key = await stack.database(settings.database), load_seed(role.key_file)
    await stack.enter_async_context(evidence_log(network.evidence, database, key, role.host, role.port))
