"""The background as a smooth surface: a polynomial in each colour, fitted to what reaches the picture's border.

Colours are CIE Lab, L in [0, 100], float64 (H, W, 3). Distances are in standard deviations of the background's noise.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from photo.regions import Bools, reaching_border, rim

Floats = NDArray[np.float64]
RIM = 0.05
NEAR = 3.5
"""A colour within so many standard deviations is the background's."""
ROUNDS = 4
FLOOR = 0.1
"""Least variance of a colour, Lab units squared: what 8 bits and a JPEG leave."""


@dataclass(frozen=True)
class Ground:
    """The background's colours (H, W, 3) and the covariance (3, 3) of what is left of it."""

    colours: Floats
    covariance: Floats

    @property
    def roughness(self) -> float:
        """The standard deviation of what the smooth surface leaves, in Lab units: below about 1 for a plain wall."""
        return float(np.sqrt(np.trace(self.covariance)))

    def distance(self, lab: Floats) -> Floats:
        """How far each pixel (H, W) is from the background, in standard deviations (Mahalanobis)."""
        rest = lab - self.colours
        return np.asarray(np.sqrt(np.einsum("hwi,ij,hwj->hw", rest, np.linalg.inv(self.covariance), rest)))


def fit_ground(lab: Floats) -> Ground:
    """Fit the background of a picture (H, W, 3), first to its rim, then to every similar region at the rim."""
    hw = (lab.shape[0], lab.shape[1])
    use = rim(hw, RIM)
    # From the rim alone a cubic would swing freely in the middle, so the first fit is quadratic.
    colours = _surface(lab, use, degree=2)
    rest = (lab - colours)[use]
    size = np.linalg.norm(rest, axis=1)
    # Without the farthest fifth, where the object may touch the rim; the factor makes up for the cut tails.
    ground = Ground(colours, np.cov(rest[size <= np.percentile(size, 80)].T) * 1.6 + np.eye(3) * FLOOR)
    for _ in range(2):
        # The picture's own border is no edge of the background, so nothing is eroded there.
        wider: Bools = ndimage.binary_erosion(reaching_border(ground.distance(lab) < NEAR), border_value=1)
        # The fit has lost the background, so the first is kept.
        if wider.sum() < use.sum() / 4:
            break
        colours = _surface(lab, wider, degree=3)
        ground = Ground(colours, np.cov((lab - colours)[wider].T) * 1.2 + np.eye(3) * FLOOR)
    return ground


def _surface(lab: Floats, use: Bools, degree: int) -> Floats:
    """A polynomial of the place, fitted to the pixels `use`; pixels far from it count less (Cauchy's weights)."""
    rows, columns = np.meshgrid(np.linspace(-1, 1, lab.shape[0]), np.linspace(-1, 1, lab.shape[1]), indexing="ij")
    terms = [rows**i * columns**j for i in range(degree + 1) for j in range(degree + 1 - i)]
    design = np.stack(terms, axis=-1)
    inside, wanted = design[use], lab[use]
    weights = np.ones(len(wanted))
    solution = np.zeros((len(terms), 3))
    # Least squares, reweighted: an object that reaches into the rim would bend an ordinary fit.
    for _ in range(ROUNDS):
        solution = np.linalg.lstsq(inside * weights[:, None], wanted * weights[:, None], rcond=None)[0]
        error = np.linalg.norm(wanted - inside @ solution, axis=1)
        # The addend keeps the scale above 0 on a perfectly smooth background.
        weights = 1.0 / (1.0 + (error / (2.0 * (np.median(error) + 0.3))) ** 2)
    return np.asarray(design @ solution)
