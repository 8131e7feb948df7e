"""Find truncated picture files: Blender decodes their first part and leaves the rest grey, without an error."""

JPEG, SCAN, END = b"\xff\xd8\xff", b"\xff\xda", b"\xff\xd9"
RIFF_BYTES = 12


def is_cut_short(data: bytes) -> bool:
    """True for a JPEG without the mark of its end, and for a WebP shorter than its header says.

    The last scan must come before the last end: a thumbnail within a JPEG ends with the same mark. Other formats are
    not judged here, since Blender refuses their broken files itself.
    """
    if data.startswith(JPEG):
        return data.rfind(END) < data.rfind(SCAN)
    if data[:4] == b"RIFF" and data[8:RIFF_BYTES] == b"WEBP":
        return len(data) < 8 + int.from_bytes(data[4:8], "little")
    return False
