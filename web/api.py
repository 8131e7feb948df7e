"""The HTTP API: photos, their jobs and files; everything that the page does goes through it."""

import asyncio
import tempfile
import time
from collections.abc import Iterator
from typing import IO, Annotated

import numpy as np
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, StreamingResponse
from numpy.typing import NDArray
from PIL import Image

from inference.plan import picture_digest
from report.images import encode_image, shrink
from web import schemas
from web.cutouts import Correction, Shown
from web.errors import Refused, unknown
from web.examples import EXAMPLES
from web.guard import COOKIE
from web.jobs import ENDED, Job, State
from web.limits import read_limited
from web.packing import pack_results
from web.photos import StoredPhoto
from web.service import Service
from web.version import VERSION

PREVIEW_PX, PREVIEW_QUALITY = 1024, 88
POLL_S = 0.04
LONGEST_WAIT_S = 30.0
IN_MEMORY_BYTES = 16 << 20
TYPES = {".png": "image/png", ".webp": "image/webp", ".glb": "model/gltf-binary", ".json": "application/json"}
router = APIRouter(
    prefix="/api", responses={status: {"model": schemas.Problem} for status in (401, 404, 413, 422, 429)}
)


def service_of(request: Request) -> Service:
    """Return the server's state."""
    found: Service = request.app.state.service
    return found


def limited(request: Request) -> str:
    """Count a request that costs something, and return its client's address. Raises Refused (429)."""
    address = request.client.host if request.client else ""
    # The address of the connection, not of a header: clients write headers as they like.
    service_of(request).rate.take(address)
    return address


def photo_of(photo: str, request: Request) -> StoredPhoto:
    """Find the photo of a request's path."""
    return service_of(request).photos.get(photo)


Client = Annotated[str, Depends(limited)]
COSTS = [Depends(limited)]
Photo = Annotated[StoredPhoto, Depends(photo_of)]
Serving = Annotated[Service, Depends(service_of)]
PICTURE_BODY = {
    "requestBody": {"required": True, "content": {"image/*": {"schema": {"type": "string", "format": "binary"}}}}
}


@router.get("/about")
def about(service: Serving) -> schemas.AboutAnswer:
    """Tell what this server offers."""
    serve, loaded = service.settings.serve, service.models.loaded
    return schemas.AboutAnswer(
        version=VERSION,
        models=[schemas.ModelAnswer(name=name, loaded=name in loaded) for name in service.models.names],
        examples=[schemas.ExampleAnswer(name=one.name, url=one.url, alt=one.alt) for one in EXAMPLES],
        most_megabytes=service.settings.photo.limits.megabytes,
        most_views=serve.limits.views,
        most_guesses=serve.limits.guesses,
        elevation_deg=serve.elevation_deg,
        radius=service.settings.photo.framing.radius,
        browses=bool(service.shelf.entries),
    )


@router.post("/token", status_code=204)
def enter(request: Request) -> Response:
    """Exchange the token of the Authorization header for a cookie, which pictures and downloads need."""
    token = request.headers.get("authorization", "").partition(" ")[2]
    answer = Response(status_code=204)
    if token:  # the guard has compared it
        # `img` elements and downloads send no Authorization header, but they send cookies.
        answer.set_cookie(COOKIE, token, httponly=True, samesite="strict", secure=request.url.scheme == "https")
    return answer


@router.post("/photos", status_code=201, openapi_extra=PICTURE_BODY)
async def add_photo(request: Request, client: Client, service: Serving) -> schemas.PhotoAnswer:
    """Bring a photo, as the request's body; its object is cut out."""
    data = await _body(request, service)
    photo, shown = await service.cut(service.photos.add, data, client)
    return _photo_answer(photo, shown, service)


@router.get("/photos/{photo}")
def show_photo(photo: Photo, service: Serving) -> schemas.PhotoAnswer:
    """Tell what is known of a photo."""
    return _photo_answer(photo, service.photos.shown(photo), service)


@router.delete("/photos/{photo}", status_code=204)
def remove_photo(photo: Photo, service: Serving) -> Response:
    """Forget a photo and everything made of it."""
    service.photos.remove(photo)
    return Response(status_code=204)


@router.put("/photos/{photo}/mask", dependencies=COSTS, openapi_extra=PICTURE_BODY)
async def set_mask(request: Request, photo: Photo, service: Serving) -> schemas.PhotoAnswer:
    """Correct the cut-out by a mask of the photo's shape, white on the object."""
    correction = Correction(mask=await _body(request, service))
    return _photo_answer(photo, await service.cut(service.photos.correct, photo, correction), service)


@router.put("/photos/{photo}/threshold", dependencies=COSTS)
async def set_threshold(body: schemas.ThresholdBody, photo: Photo, service: Serving) -> schemas.PhotoAnswer:
    """Correct the cut-out by a threshold on the distance from the background's colour."""
    correction = Correction(threshold=body.threshold)
    return _photo_answer(photo, await service.cut(service.photos.correct, photo, correction), service)


@router.delete("/photos/{photo}/correction", dependencies=COSTS)
async def forget_correction(photo: Photo, service: Serving) -> schemas.PhotoAnswer:
    """Go back to the automatic cut-out."""
    return _photo_answer(photo, await service.cut(service.photos.correct, photo, Correction()), service)


@router.get("/photos/{photo}/picture.webp", response_class=Response)
def picture(photo: Photo, service: Serving) -> Response:
    """Send the photo, at most 1024 pixels wide and high."""
    rgba = service.photos.shown(photo).prepared.photo.rgba
    return Response(_preview(rgba), media_type="image/webp")


@router.get("/photos/{photo}/cut-out.webp", response_class=Response)
def cut_out(photo: Photo, service: Serving) -> Response:
    """Send the cut-out, transparent around the object, at most 1024 pixels wide and high."""
    return Response(_preview(service.photos.shown(photo).prepared.cut_out), media_type="image/webp")


@router.post("/photos/{photo}/views", status_code=202)
def add_views(body: schemas.ViewsBody, photo: Photo, client: Client, service: Serving) -> schemas.JobAnswer:
    """Queue views of a photo. The same request of the same photo is the same job."""
    return _job_answer(service.sample(photo, body, client), service)


@router.post("/photos/{photo}/mesh", status_code=202)
def add_mesh(body: schemas.MeshBody, photo: Photo, client: Client, service: Serving) -> schemas.JobAnswer:
    """Queue the mesh of a photo."""
    return _job_answer(service.mesh(photo, body, client), service)


@router.get("/photos/{photo}/jobs/{job}")
async def show_job(
    job: str, photo: Photo, service: Serving, version: int = -1, wait_s: Annotated[float, Query(ge=0.0)] = 0.0
) -> schemas.JobAnswer:
    """Tell how far a job is; with `wait_s` as soon as it is no longer of that `version`."""
    found, ends = service.job(photo, job), time.monotonic() + min(wait_s, LONGEST_WAIT_S)
    # Long polling: a page hears of a step at once, without a request for each.
    while found.version == version and found.state not in ENDED and time.monotonic() < ends:
        await asyncio.sleep(POLL_S)
    return _job_answer(found, service)


@router.delete("/photos/{photo}/jobs/{job}")
def cancel_job(job: str, photo: Photo, service: Serving) -> schemas.JobAnswer:
    """Cancel a job: at once if it waits, at its next step if it runs."""
    found = service.job(photo, job)
    service.jobs.cancel(found)
    return _job_answer(found, service)


@router.get("/photos/{photo}/jobs/{job}/{file}", response_class=FileResponse)
def job_file(job: str, file: str, photo: Photo) -> FileResponse:
    """Send a file of a job that is done."""
    path = photo.result(job) / file
    # `file` and `job` come from the address, so they must not lead out of the job's folder.
    if not (job.isalnum() and path.parent == photo.result(job) and path.suffix in TYPES and path.is_file()):
        raise unknown("file")
    return FileResponse(path, media_type=TYPES[path.suffix])


@router.get("/photos/{photo}/results.zip", response_class=StreamingResponse)
def results(photo: Photo, service: Serving) -> StreamingResponse:
    """Send everything made of a photo: views, cameras, meshes, settings."""
    # A large result goes to the disk instead of memory.
    stream = tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES)  # noqa: SIM115 -- closed after the last chunk
    pack_results(photo, encode_image(Image.fromarray(service.photos.shown(photo).prepared.cut_out), "png"), stream)
    headers = {"Content-Disposition": 'attachment; filename="zero123.zip"'}
    return StreamingResponse(_chunks(stream), media_type="application/zip", headers=headers)


@router.post("/view", openapi_extra=PICTURE_BODY, response_class=Response)
async def view(
    request: Request, client: Client, service: Serving, move: Annotated[schemas.ViewQuery, Query()]
) -> Response:
    """Send a view of the photo in the request's body, in one request. Nothing is kept."""
    data = await _body(request, service)
    photo, _ = await service.cut(service.photos.add, data, client)
    try:
        job = service.sample(photo, move.body(), client)
        while job.state not in ENDED:
            await asyncio.sleep(POLL_S)
            if await request.is_disconnected():
                service.jobs.cancel(job)
        if job.state is not State.DONE:
            raise Refused(422, job.message)
        made = photo.result(job.name.partition("/")[2]) / job.result["views"][0]["file"]
        return Response(made.read_bytes(), media_type="image/png")
    finally:
        # In `finally`, since a client may be gone or the job may fail.
        await run_in_threadpool(service.photos.remove, photo)


async def _body(request: Request, service: Service) -> bytes:
    megabytes = service.settings.photo.limits.megabytes
    return await read_limited(request.stream(), request.headers.get("content-length"), megabytes)


def _photo_answer(photo: StoredPhoto, shown: Shown, service: Service) -> schemas.PhotoAnswer:
    prepared, base = shown.prepared, f"/api/photos/{photo.name}"
    height, width = prepared.photo.rgba.shape[:2]
    return schemas.PhotoAnswer(
        photo=photo.name,
        width=width,
        height=height,
        sha256=prepared.photo.sha256,
        method=prepared.method,
        doubt=shown.doubt,
        warnings=list(prepared.warnings),
        has_object=shown.has_object,
        picture=f"{base}/picture.webp",
        # The digest makes a new address for each correction, so a browser never shows the old picture.
        cut_out=f"{base}/cut-out.webp?{picture_digest(prepared.cut_out)[:12]}",
        expires_minutes=service.settings.serve.expire_minutes,
    )


def _job_answer(job: Job, service: Service) -> schemas.JobAnswer:
    photo, _, name = job.name.partition("/")
    url = f"/api/photos/{photo}/jobs/{name}"
    left = service.jobs.seconds_left(job)
    return schemas.JobAnswer(
        job=name,
        url=url,
        kind=job.kind,
        state=job.state.value,
        place=service.jobs.place(job),
        seconds_left=None if left is None else round(left, 1),
        done=job.done,
        total=job.total,
        unit=job.unit,
        message=job.message,
        version=job.version,
        files=list(_files(job, url)) if job.state is State.DONE else [],
    )


def _files(job: Job, url: str) -> Iterator[schemas.FileAnswer]:
    for made in job.result.get("views", ()):
        guess = f", guess {made['sample'] + 1}" if made["sample"] else ""
        yield schemas.FileAnswer(url=f"{url}/{made['file']}", label=f"{made['label']}{guess}", kind="view")
    if job.result.get("film"):
        yield schemas.FileAnswer(url=f"{url}/{job.result['film']}", label="all views as a film", kind="film")
    if job.result.get("mesh"):
        faces = f"{job.result['faces']:,} faces"
        yield schemas.FileAnswer(url=f"{url}/{job.result['mesh']}", label=faces, kind="mesh")


def _preview(rgba: NDArray[np.uint8]) -> bytes:
    return encode_image(Image.fromarray(shrink(rgba, PREVIEW_PX)), "webp", PREVIEW_QUALITY)


def _chunks(stream: IO[bytes]) -> Iterator[bytes]:
    with stream:
        stream.seek(0)
        while chunk := stream.read(1 << 16):
            yield chunk
