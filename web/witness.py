"""A witness over HTTP, and the log's way to one. Source: c2sp.org/tlog-witness."""

import httpx
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connectionchain.errors import Unavailable
from connectionchain.network import LogWitness
from connectionchain.tlog.cosignature import WitnessKey
from ledger.cosigning import WitnessLink
from ledger.witness import LARGEST_REQUEST, TEXT, Answer, Witness


def witness_app(witness: Witness) -> Starlette:
    """POST `/add-checkpoint`, and GET `/<origin hash>/checkpoint` for monitors."""

    async def add_checkpoint(request: Request) -> Response:
        answer = await witness.add_checkpoint(await _text(request))
        # not as media_type, to which Starlette adds a charset that the specification does not have
        return Response(answer.body, answer.status, headers={"Content-Type": answer.content_type})

    async def checkpoint(request: Request) -> Response:
        note = await witness.checkpoint(request.path_params["origin_hash"])
        if note is None:
            raise HTTPException(404, "no checkpoint of this log was cosigned yet")
        return Response(note, media_type=TEXT)

    return Starlette(
        routes=[
            Route("/add-checkpoint", add_checkpoint, methods=["POST"]),
            Route("/{origin_hash}/checkpoint", checkpoint),
        ]
    )


def link(http: httpx.AsyncClient, witness: LogWitness) -> WitnessLink:
    """A way to the witness at this URL."""
    url = witness.url.rstrip("/") + "/add-checkpoint"

    async def add_checkpoint(body: str) -> Answer:
        try:
            response = await http.post(url, content=body.encode())
        except httpx.HTTPError as error:
            raise Unavailable(f"{url} does not answer: {type(error).__name__}", field="witness") from error
        return Answer(response.status_code, response.text, response.headers.get("content-type", ""))

    return WitnessLink(WitnessKey.parse(witness.key), add_checkpoint)


async def _text(request: Request) -> str:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_REQUEST:
            raise HTTPException(413, f"the request is longer than {LARGEST_REQUEST} bytes")
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise HTTPException(400, "the request is not UTF-8") from None
