"""What all tests share: one thread, so that parallel runs do not slow each other, and the reference data."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is first imported


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Numbers then depend on the thread count neither, which moves the last digits of a sum."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def reference() -> Path:
    """Folder of real data with published expected values: ``$VCFKIT_REFERENCE``, or beside the project."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "reference"
    folder = Path(os.environ.get("VCFKIT_REFERENCE") or beside)
    if not folder.is_dir():
        pytest.skip("reference data absent: set VCFKIT_REFERENCE to its folder")
    return folder
