"""What a file is, told by its first bytes, and how much it would take, told by its header: before it is decoded.

A header costs nothing to read and everything to believe. So the size it claims is held against limits first, then
against the bytes that are there; only then is a decoder let loose on it.
"""

import gzip
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from vcfkit.cohort import Fault

MAX_PIXELS = 36_000_000  # of a picture: twice a whole-spine film; in float64 a third of a GiB
MAX_BYTES = 700_000_000  # of a volume, decoded: 512 x 512 x 1300 of 16 bit
MAX_FILE = 1 << 30
_STEP = 1 << 22


class ImageError(ValueError):
    """A file that cannot be used: the field it belongs to, what is required, what was found, what to do
    next."""

    def __init__(self, field: str, required: str, found: str, next_step: str):
        self.field, self.required, self.found, self.next_step = field, required, found, next_step
        super().__init__(field, required, found, next_step)

    def __str__(self) -> str:
        return f"{self.field}: {self.required} required, found {self.found}. Next step: {self.next_step}"

    def fault(self, sample: str) -> Fault:
        """The same, of a named sample."""
        return Fault(sample, self.field, self.required, self.found, self.next_step)


def name_of(row) -> str:
    """How a fault names a row of a samples frame."""
    return row.sample_id if isinstance(row.sample_id, str) else f"line {row.Index}"


def kind_of(path: Path, field: str = "image") -> str:
    """``DICOM``, ``PNG``, ``TIFF``, ``NIfTI``, ``NRRD`` or "": by content, not by name.

    Raises
    ------
    ImageError
        When the file is missing, empty or larger than 1 GiB.
    """
    try:
        with path.open("rb") as file:
            start = file.read(352)
        size = path.stat().st_size
    except (OSError, ValueError) as error:
        found = getattr(error, "strerror", None) or str(error)
        raise ImageError(field, "a readable file", found, "correct the path") from error
    if not start:
        raise ImageError(field, "an image", "an empty file", "export it again")
    if size > MAX_FILE:
        raise ImageError(field, "a file of up to 1 GiB", f"{size / 2**30:.1f} GiB", "export the part that is needed")
    # DICOM first: its 128 free bytes may open like a TIFF on purpose.
    if start[128:132] == b"DICM":
        return "DICOM"
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if start[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "TIFF"
    if start.startswith(b"NRRD000"):
        return "NRRD"
    if start[:2] == b"\x1f\x8b" or _nifti_order(start):
        return "NIfTI"
    return ""


def foreign(path: Path) -> str:
    """What a file of no known kind is, for the words of a fault."""
    with path.open("rb") as file:
        return "a JPEG picture" if file.read(2) == b"\xff\xd8" else "another file format"


def decode(path: Path, kind: str, field: str = "image") -> sitk.Image:
    """A PNG, TIFF, NIfTI or NRRD file, after its header was found to claim no more than there is and than fits.

    Raises
    ------
    ImageError
        When the file is damaged, truncated, too large, without finite positive spacing, or names other files.
    """
    if kind == "NIfTI":
        _check_nifti(path, field)
    if kind == "NRRD":
        _check_nrrd(path, field)
    damaged = f"a {kind} file that cannot be decoded: truncated, damaged" + (
        " or grey + alpha" if kind in ("PNG", "TIFF") else ""
    )
    again = "export it again"
    try:
        reader = sitk.ImageFileReader()
        reader.SetImageIO(f"{kind.replace('NIfTI', 'Nifti').replace('NRRD', 'Nrrd')}ImageIO")
        reader.SetFileName(str(path))
        reader.ReadImageInformation()
        fits(reader.GetSize(), reader.GetNumberOfComponents() * 8, field)
        image = reader.Execute()
    except RuntimeError as error:
        raise ImageError(field, "an intact file", damaged, again) from error
    geometry = (*image.GetSpacing(), *image.GetOrigin(), *image.GetDirection())
    if not all(map(math.isfinite, geometry)) or min(image.GetSpacing()) <= 0:
        raise ImageError(field, "finite, positive spacing", f"spacing {image.GetSpacing()}", again)
    return image


def fits(size, bytes_per_sample: int, field: str) -> None:
    """Refuse what would not fit in memory, by the size that a header claims."""
    count = math.prod(int(n) for n in size)
    shape = " x ".join(map(str, size))
    if count <= 0:
        raise ImageError(field, "an image", f"one of {shape} pixels", "export it again")
    flat = sum(n > 1 for n in size) <= 2
    if flat and count > MAX_PIXELS:
        limit = f"a picture of up to {MAX_PIXELS // 10**6} million pixels"
        raise ImageError(field, limit, f"{shape} pixels", "export it smaller")
    if not flat and count * min(bytes_per_sample, 2) > MAX_BYTES:
        limit = f"a volume of up to {MAX_BYTES // 10**6} MB"
        raise ImageError(field, limit, f"{shape} voxels", "export the part of the spine that is needed")


@dataclass(frozen=True)
class _Nifti:
    dims: tuple
    spacing: tuple
    bits: int
    code: int
    offset: int
    order: str


def _nifti_order(start: bytes) -> str:
    """Byte order of a NIfTI-1 or -2 header, "" for something else."""
    for order in "<>":
        if len(start) >= 348 and struct.unpack(f"{order}i", start[:4])[0] in (348, 540):
            return order
    return ""


def _check_nifti(path, field):
    again = "export it again from the program that made it"

    def broken(found):
        return ImageError(field, "an intact NIfTI file", found, again)

    packed = path.open("rb").read(2) == b"\x1f\x8b"
    try:
        with gzip.open(path) if packed else path.open("rb") as file:
            header = _nifti_header(file.read(540), broken)
            size = [max(n, 1) for n in header.dims]
            fits(size, header.bits // 8, field)
            needed = header.offset + math.prod(size) * header.bits // 8
            if header.bits // 8 * math.prod(size) > 8 * MAX_BYTES or header.offset > 1 << 20:
                raise broken("a header that cannot be")
            _read_through(file, header, needed, broken, field)
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise broken(f"one that cannot be unpacked: {error}") from error
    if any(not math.isfinite(step) or step <= 0 for step in header.spacing):
        found = f"spacing {', '.join(f'{step:g}' for step in header.spacing)} mm"
        raise ImageError(field, "finite, positive spacing", found, again)


def _nifti_header(start, broken) -> _Nifti:
    order = _nifti_order(start)
    if not order:
        raise broken("a file without its header")
    if struct.unpack(f"{order}i", start[:4])[0] == 348:
        dims = struct.unpack(f"{order}8h", start[40:56])
        code, bits = struct.unpack(f"{order}2h", start[70:74])
        spacing = struct.unpack(f"{order}8f", start[76:108])
        (offset,), magic = struct.unpack(f"{order}f", start[108:112]), start[344:347]
    else:
        if len(start) < 540:
            raise broken("a truncated header")
        code, bits = struct.unpack(f"{order}2h", start[12:16])
        dims = struct.unpack(f"{order}8q", start[16:80])
        spacing = struct.unpack(f"{order}8d", start[104:168])
        (offset,), magic = struct.unpack(f"{order}q", start[168:176]), start[4:7]
    if magic not in (b"n+1", b"n+2"):
        raise broken("a header whose pixels lie in another file")
    count = dims[0]
    if not 1 <= count <= 7 or min(dims[1 : count + 1]) < 1 or bits not in (8, 16, 32, 64, 24, 96, 128):
        raise broken("a header that cannot be")
    if not math.isfinite(offset) or offset < 0:
        raise broken("a header that cannot be")
    return _Nifti(dims[1 : count + 1], spacing[1 : min(count, 3) + 1], bits, code, int(offset), order)


def _read_through(file, header, needed, broken, field):
    """All bytes that the header promises are there, and what are floats are numbers."""
    file.seek(max(header.offset, 352 if header.offset else 348))
    left, width = needed - header.offset, header.bits // 8
    kind = {16: f"{header.order}f4", 64: f"{header.order}f8"}.get(header.code)
    while left > 0:
        part = file.read(min(left, _STEP))
        if not part:
            raise broken(
                f"a truncated one, {needed - header.offset - left} of {needed - header.offset} bytes of voxels"
            )
        left -= len(part)
        if kind is not None and not np.isfinite(np.frombuffer(part[: len(part) // width * width], kind)).all():
            raise ImageError(field, "numbers", "NaN or infinity among the voxels", "export the examination again")


def _check_nrrd(path, field):
    with path.open("rb") as file:
        head = file.read(1 << 16).split(b"\n\n")[0].split(b"\r\n\r\n")[0].lower()
    for line in head.splitlines():
        if line.startswith((b"data file:", b"datafile:")):
            raise ImageError(field, "one file", "an NRRD header that names others", "save it as one .nrrd file")
