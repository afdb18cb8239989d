"""The evidence log over HTTP: static resources, and an index by deal that nobody has to believe.

Source: c2sp.org/tlog-tiles.
"""

import re
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from connectionchain.tlog.errors import BadProof
from connectionchain.tlog.tiles import TilePath
from ledger.log import Log

AUDITOR = Path(__file__).parent / "auditor"
TEXT, BYTES = "text/plain; charset=utf-8", "application/octet-stream"
FOR_EVER = {"Cache-Control": "public, max-age=31536000, immutable"}
A_MOMENT = {"Cache-Control": "public, max-age=1"}
NOT_YET = {"Cache-Control": "no-store"}


def log_app(log: Log) -> Starlette:
    """GET `/checkpoint` (the newest witnessed one), `/tile/…`, `/deals/<id>`: the positions of its records, and
    `/auditor/`: a page that checks evidence in the browser."""

    async def checkpoint(_: Request) -> Response:
        note = await log.checkpoint()
        if note is None:
            raise HTTPException(404, "no checkpoint is witnessed yet", headers=NOT_YET)
        return Response(str(note), media_type=TEXT, headers=A_MOMENT)

    async def tile(request: Request) -> Response:
        content = await log.tile(_path(request.url.path))
        if content is None:
            raise HTTPException(404, "the log has no such tile yet", headers=NOT_YET)
        return Response(content, media_type=BYTES, headers=FOR_EVER)

    async def deal(request: Request) -> Response:
        id_ = request.path_params["deal"]
        if not re.fullmatch(r"0x[0-9a-f]{64}", id_):
            raise HTTPException(400, "a deal's id is 0x and 64 hex digits")
        return JSONResponse(await log.positions(id_), headers=A_MOMENT)

    return Starlette(
        routes=[
            Route("/checkpoint", checkpoint),
            Route("/tile/entries/{path:path}", tile, middleware=[Middleware(GZipMiddleware)]),
            Route("/tile/{path:path}", tile),
            Route("/deals/{deal}", deal),
            Mount("/auditor", StaticFiles(directory=AUDITOR, html=True)),
        ]
    )


def _path(path: str) -> TilePath:
    try:
        return TilePath.parse(path.removeprefix("/"))
    except BadProof as error:
        raise HTTPException(404, str(error), headers=FOR_EVER) from None
