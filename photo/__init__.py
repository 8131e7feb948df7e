"""A person's picture made into what the model sees: reading, cut-out, framing.

Pictures are uint8 RGBA (H, W, 4) with straight alpha, in sRGB. A mask is float32 (H, W) in [0, 1], 1 on the object.
"""
