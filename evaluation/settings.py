"""The settings of section `evaluate`: the evaluated views, their sampling, and the limits for passing."""

from typing import Annotated, Literal

from pydantic import Field

from base.settings import Section

Count = Annotated[int, Field(ge=1)]
NotNegative = Annotated[float, Field(ge=0)]


class EvaluateSettings(Section):
    """Novel views of the last `held_out_views` views of each object, from `inputs_per_object` of its other views.

    At most `max_objects` objects of `split`, the first by uid, are evaluated in the dataset's `version`, 0 for the
    newest. At most `triptychs` pairs keep their pictures.

    The nearest training view is searched among `training_objects` objects. They are drawn with `seed` from the split
    `train` of the newest version of the dataset at `training_root`. If `training_root` is empty, they are drawn from
    the evaluated version, unless `split` is `train` itself.

    `features` is a folder with a CLIP image encoder; if empty, `feature_distance` is not measured. `minimum_margin_db`
    is the required margin of the model's PSNR over the better of `input` and `white`. `minimum_silhouette_iou` is the
    required IoU of a mesh, seen by its photo's camera, with the photo's alpha.
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
