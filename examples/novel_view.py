"""A new view of the object in a picture: python examples/novel_view.py MODEL PICTURE OUT

MODEL is a training run's folder, a checkpoint, a public model's folder, or the original's .ckpt.
"""

import sys

from PIL import Image

from zero123 import Zero123Pipeline

model, picture, out = sys.argv[1:]
pipe = Zero123Pipeline.from_pretrained(model)
pipe(Image.open(picture), up_deg=20, right_deg=45).save(out)
