"""The part of the HTTP API that browses; every answer is read from the files at that moment."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from base.errors import Failure
from base.outcomes import Outcome
from web.browse.datasets import BrowsedDataset, Filter
from web.browse.evaluations import open_evaluation, pair_picture
from web.browse.runs import grid_picture, show_run
from web.browse.schemas import (
    DatasetAnswer,
    EntryAnswer,
    EvaluationAnswer,
    ObjectAnswer,
    ObjectsAnswer,
    RowsAnswer,
    RunAnswer,
    ShelfAnswer,
)
from web.browse.shelf import Shelf
from web.errors import Refused
from web.schemas import Problem

log = logging.getLogger(__name__)
KEPT_S = 600
router = APIRouter(
    prefix="/api/browse",
    tags=["browse"],
    responses={status: {"model": Problem} for status in (401, 404, 422, 500)},
)


def shelf_of(request: Request) -> Shelf:
    """Return what may be browsed."""
    found: Shelf = request.app.state.service.shelf
    return found


def dataset_of(name: str, request: Request) -> BrowsedDataset:
    """Find the dataset of a request's path."""
    found: BrowsedDataset = request.app.state.service.dataset(name)
    return found


Browsed = Annotated[Shelf, Depends(shelf_of)]
Dataset = Annotated[BrowsedDataset, Depends(dataset_of)]
Most = Annotated[int, Query(ge=1, le=200)]
LongestPx = Annotated[int, Query(ge=16, le=2048)]


@contextmanager
def hiding(what: str) -> Iterator[None]:
    """Log a failure, which names files of the server, and tell the client a sentence without them."""
    try:
        yield
    except Failure as error:
        log.warning("%s: %s", what, error)
        raise Refused(500, f"expected {what} that can be read, got a damaged one; the server's log says more") from None


@router.get("")
def list_shelf(shelf: Browsed) -> ShelfAnswer:
    """List everything to browse."""
    entries = [
        EntryAnswer(name=one.name, kind=one.kind, url=f"/api/browse/{one.kind}s/{one.name}") for one in shelf.entries
    ]
    return ShelfAnswer(entries=entries)


@router.get("/datasets/{name}")
def show_dataset(dataset: Dataset) -> DatasetAnswer:
    """Tell the newest version of a dataset, and count its objects."""
    with hiding("a dataset"):
        return dataset.about()


@router.get("/datasets/{name}/objects")
def list_objects(
    dataset: Dataset,
    after: Annotated[str, Query(max_length=64)] = "",
    most: Most = 48,
    outcome: Outcome | None = None,
    licence: Annotated[str | None, Query(max_length=200)] = None,
    find: Annotated[str, Query(max_length=100)] = "",
) -> ObjectsAnswer:
    """List a page of a dataset's objects by uid; `find` looks into uids and titles."""
    with hiding("a dataset"):
        return dataset.page(Filter("" if outcome is None else outcome.value, licence, find), after, most)


@router.get("/datasets/{name}/objects/{uid}")
def show_object(uid: str, dataset: Dataset) -> ObjectAnswer:
    """Tell what is known of an object: licence, outcome, cameras, attempts."""
    with hiding("an object"):
        return dataset.show(uid)


@router.get("/datasets/{name}/objects/{uid}/views/{view}.webp", response_class=Response)
def show_view(uid: str, view: int, dataset: Dataset, px: LongestPx = 256) -> Response:
    """Send a view of an object, at most `px` pixels wide and high."""
    with hiding("a view"):
        return _picture(dataset.view(uid, view, px))


@router.get("/evaluations/{name}")
def show_evaluation(name: str, shelf: Browsed) -> EvaluationAnswer:
    """Tell an evaluation's means, and show some pairs."""
    with hiding("an evaluation"):
        return open_evaluation(name, shelf.get(name, "evaluation").where).about()


@router.get("/evaluations/{name}/rows")
def list_rows(
    name: str, shelf: Browsed, start: Annotated[int, Query(ge=0, le=10**9)] = 0, most: Most = 50
) -> RowsAnswer:
    """List a page of an evaluation's rows, one for each pair or object."""
    with hiding("an evaluation"):
        return open_evaluation(name, shelf.get(name, "evaluation").where).page(start, most)


@router.get("/evaluations/{name}/pairs/{file}", response_class=Response)
def show_pair_picture(name: str, file: str, shelf: Browsed, px: LongestPx = 512) -> Response:
    """Send a picture of a compared pair."""
    with hiding("a picture"):
        return _picture(pair_picture(shelf.get(name, "evaluation").where, file, px))


@router.get("/runs/{name}")
def show_training_run(name: str, shelf: Browsed) -> RunAnswer:
    """Tell a training run's figures and curves."""
    with hiding("a training run"):
        return show_run(name, shelf.get(name, "run").where)


@router.get("/runs/{name}/grids/{file}", response_class=Response)
def show_grid(name: str, file: str, shelf: Browsed, px: LongestPx = 2048) -> Response:
    """Send the grid of a validation: input, truth and sample of held-out objects."""
    with hiding("a picture"):
        return _picture(grid_picture(shelf.get(name, "run").where, file, px))


def _picture(data: bytes) -> Response:
    return Response(data, media_type="image/webp", headers={"Cache-Control": f"private, max-age={KEPT_S}"})
