"""Cameras, the view sphere and relative views, in NumPy alone.

World: right-handed, z up. Camera: OpenGL axes (x right, y up, looks along −z). Image: origin top-left, pixel centre
at .5, resolution as `hw`. Matrices are `dest_from_src`. Angles are radians unless a name says `_deg`; `polar` is
measured from +z, `azimuth` counter-clockwise from +x seen from above.
"""
