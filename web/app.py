"""The web application: guard, API and page put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from base.errors import Failure
from web.api import router
from web.browse.api import router as browse_router
from web.errors import Refused
from web.guard import Access, Guard
from web.service import Service
from web.version import VERSION

PAGE = Path(__file__).parent / "page"
STATUSES = {404: "expected an address of this server, got another", 405: "expected another method for this address"}


def make_app(service: Service, access: Access) -> FastAPI:
    """Make the application for a server's state; closing it stops the running job."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        service.close()

    app = FastAPI(
        title="Zero-1-to-3",
        version=VERSION,
        description="A photo of an object in, views of it and its mesh out.",
        openapi_url="/api/openapi.json",
        docs_url=None,  # FastAPI's pages about the API load scripts from another host
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.service = service
    app.include_router(router)
    app.include_router(browse_router)
    app.mount("/page", StaticFiles(directory=PAGE), name="page")
    app.add_api_route("/", _index, include_in_schema=False)
    app.add_api_route("/browse", _browse, include_in_schema=False)
    app.add_middleware(service.open_requests.around)
    app.add_middleware(Guard, access=access)
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(Failure, _failed)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    # Last resort: a traceback never reaches a client.
    app.add_exception_handler(Exception, _fault)
    return app


def _index() -> FileResponse:
    return FileResponse(PAGE / "index.html")


def _browse() -> FileResponse:
    return FileResponse(PAGE / "browse.html")


def _problem(status: int, sentence: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": sentence}, status, headers)


def _refused(_: Request, error: Any) -> JSONResponse:
    # At least a second: 0 would invite an immediate repeat.
    headers = {"Retry-After": str(max(1, round(error.retry_s)))} if error.retry_s else None
    return _problem(error.status, error.sentence, headers)


def _failed(_: Request, error: Exception) -> JSONResponse:
    return _problem(422, str(error))


def _invalid(_: Request, error: Any) -> JSONResponse:
    first = error.errors()[0]
    # The first part is only `body`, `query` or `path`.
    where = ".".join(str(part) for part in first["loc"][1:]) or "the request"
    return _problem(422, f"{where}: {first['msg']}")


def _http(_: Request, error: Any) -> JSONResponse:
    return _problem(error.status_code, STATUSES.get(error.status_code, str(error.detail)))


def _fault(_: Request, __: Exception) -> JSONResponse:
    return _problem(500, "the server failed at this request; its log says why")
