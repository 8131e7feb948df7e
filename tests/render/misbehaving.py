"""A child that speaks the protocol of `render.blender` and then does what the object's uid says."""

import ctypes
import json
import os
import subprocess
import sys
import time
from pathlib import Path

SAID = dict.fromkeys(("transparent", "blank", "single_colour", "touches_border", "not_finite"), False)
VIEW = {"coverage": 0.5, "colour_range": 9, "border_share": 0.0, **SAID}
NORMALISATION = {"scale": 1.0, "centre": [0.0, 0.0, 0.0], "bounds": [[0.0] * 3, [1.0] * 3]}
WELL = {"outcome": "ok", "normalisation": NORMALISATION, "device": {"kind": "CPU"}}


def main() -> None:
    """Arguments: a folder for notes, the device, the channel, the parent."""
    notes, _, channel = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    (notes / "environment").write_text("\n".join(os.environ))

    def send(message: object) -> None:
        os.write(channel, json.dumps(message).encode() + b"\n")

    send({"ready": True})
    sys.stdout.write("this is no message\n")
    sys.stdout.flush()
    for line in sys.stdin:
        job = json.loads(Path(json.loads(line)["job"]).read_text())
        with (notes / "pids").open("a") as pids:
            pids.write(f"{os.getpid()}\n")
        sys.stderr.write(f"now {job['uid']}\n")
        sys.stderr.flush()
        send({"phase": "view"})
        act(job["uid"], channel, notes)
        for view in range(len(job["extrinsics"])):
            Path(job["out_dir"], f"{view:02d}.webp").write_bytes(b"picture")
        send(
            {"result": json.dumps(WELL | {"views": [VIEW | {"view": view} for view in range(len(job["extrinsics"]))]})}
        )


def act(uid: str, channel: int, notes: Path) -> None:  # noqa: C901, PLR0912
    if uid == "segfault":
        ctypes.string_at(0)
    elif uid == "hang":
        time.sleep(60)
    elif uid == "hang_with_child":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        (notes / "grandchild").write_text(str(child.pid))
        time.sleep(60)
    elif uid == "exit":
        os._exit(3)
    elif uid == "quiet_exit":
        sys.exit(0)
    elif uid == "rubbish":
        os.write(channel, b"\xff\xfe Fra:1 Mem:30M\n")
    elif uid == "wrong_message":
        os.write(channel, b'{"weather": "fine"}\n')
    elif uid == "wrong_result":
        os.write(channel, b'{"result": "{}"}\n')
    elif uid == "empty_result":
        os.write(channel, b'{"result": "{\\"outcome\\": \\"ok\\"}"}\n')
    elif uid == "endless_phases":
        while True:
            os.write(channel, b'{"phase": "view"}\n')
    elif uid == "endless_line":
        while True:
            os.write(channel, b"x" * 65536)
    elif uid == "memory":
        hoard = []
        while True:
            hoard.append(b"x" * (16 << 20))
            time.sleep(0.005)
    elif uid == "closes_channel":
        os.close(channel)
        time.sleep(60)
    elif uid == "killed":
        os.kill(os.getpid(), 9)


if __name__ == "__main__":
    main()
