"""Runs uv, which is killed when the process or thread that started it is gone: nobody would take up what it makes.

    python run_uv.py ARGUMENT...

`python -m uv` would outlive a platform that is killed, and go on writing into a folder that the next one removes.
"""

from __future__ import annotations

import os
import sys

from uv import find_uv_bin

# The package's folder is added for this import only.
_package_root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[0] = _package_root
from asgard.process_tree import end_with_parent  # noqa: E402

if __name__ == "__main__":
    end_with_parent()  # it stays so in the program that this process becomes
    uv = find_uv_bin()
    os.execv(uv, [uv, *sys.argv[1:]])
