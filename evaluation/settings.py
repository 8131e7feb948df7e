"""The settings of section `evaluate`: which views are asked for, how they are sampled, and what counts as enough."""

from typing import Annotated, Literal

from pydantic import Field

from base.settings import Section

Count = Annotated[int, Field(ge=1)]
NotNegative = Annotated[float, Field(ge=0)]


class EvaluateSettings(Section):
    """Novel views of the last `held_out_views` views of each object, from `inputs_per_object` of its other views.

    At most `max_objects` objects of `split` are looked at, the first by uid, in the dataset's `version`, 0 for the
    newest; at most `triptychs` pairs keep their pictures. The nearest training view is looked for among
    `training_objects` objects, drawn with `seed` from the split `train` of the newest version of the dataset at
    `training_root`; where that is empty, of this version unless `split` is `train` itself. `features` is a folder with
    a CLIP image encoder; empty, pictures are not compared by one. `minimum_margin_db` is what the model must be ahead
    of the better trivial answer; `minimum_silhouette_iou` is what a mesh, seen by the camera of its photo, must share
    with the photo's alpha.
    """

    version: Annotated[int, Field(ge=0)]
    split: Literal["train", "val"]
    max_objects: Count
    held_out_views: Count
    inputs_per_object: Count
    seed: int
    guidance_scale: NotNegative
    steps: Count
    eta: NotNegative
    triptychs: Annotated[int, Field(ge=0)]
    training_root: str
    training_objects: Annotated[int, Field(ge=0)]
    features: str
    minimum_margin_db: float
    minimum_silhouette_iou: Annotated[float, Field(ge=0, le=1)]
