"""One radiograph as grey values: DICOM in the standard's order, PNG and TIFF of 8 and 16 bit."""

import math
import tempfile
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.multival import MultiValue
from pydicom.pixels import apply_rescale, apply_windowing
from pydicom.uid import ComputedRadiographyImageStorage, DeflatedExplicitVRLittleEndian, generate_uid

from .files import ImageError, decode, fits, foreign, kind_of

MAX_DEFLATED = 1 << 28  # bytes
RADIOGRAPHS = ("CR", "DX", "DR", "RG")
_PIXEL_TAGS = ("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelData")


@dataclass(frozen=True)
class Radiograph:
    """``pixels``: float32 (height, width) in [0, 1], bone bright; ``spacing``: (row, column) in mm, or
    None."""

    pixels: np.ndarray
    spacing: tuple[float, float] | None = None


def read_radiograph(path: str | Path) -> Radiograph:
    """Read one radiograph as grey values between 0 and 1; the file's first bytes tell its format, not its
    name.

    PNG and TIFF: 8 or 16 bit, grey, or colour whose channels are equal; opaque alpha is dropped. Scaled by
    the range of the stored type (255 or 65535), not by the image's own extremes. Spacing is None.

    DICOM (CR, DX, DR, RG; any compression that SimpleITK opens): in the standard's order, modality LUT or
    rescale, then VOI LUT or the first window (without either: the image's own minimum to maximum), then
    inversion when MONOCHROME1 (PS3.3 C.11.1, C.11.2, C.7.6.3.1.2). The script of paper 02 inverts the stored
    values first and applies the window, meant for values not inverted, afterwards. Spacing is PixelSpacing,
    else ImagerPixelSpacing, which holds at the detector and so overstates the patient by the magnification, unless
    the file states that factor.

    Raises
    ------
    ImageError
        When the file is missing, no radiograph, damaged, coloured, blank, or not one two-dimensional frame.
    """
    path = Path(path)
    kind = kind_of(path)
    if kind == "DICOM":
        radiograph = _read_dicom(path)
    elif kind in ("PNG", "TIFF"):
        radiograph = _read_picture(path, kind)
    else:
        found = kind or foreign(path)
        raise ImageError("image", "DICOM, PNG or TIFF", found, "export the radiograph again as one of these")
    if radiograph.pixels.min() == radiograph.pixels.max():
        raise ImageError("image", "a radiograph", "a blank image", "export it again, or leave the sample out")
    return radiograph


def _read_picture(path: Path, kind: str) -> Radiograph:
    """PNG or TIFF to grey; SimpleITK because PIL would cut 16-bit colour to 8 bit."""
    pixels = _plane(decode(path, kind))
    channels = pixels.shape[2:] and pixels.shape[2]
    if not np.issubdtype(pixels.dtype, np.unsignedinteger) or pixels.dtype.itemsize > 2:
        raise ImageError("image", "8- or 16-bit grey values", f"{pixels.dtype}", "save it again as 16-bit PNG")
    full = np.iinfo(pixels.dtype).max
    if channels:
        if channels == 4 and (pixels[..., 3] != full).any():
            raise ImageError("image", "an opaque image", "transparent pixels", "save it again without alpha")
        if channels not in (3, 4) or (pixels[..., :3] != pixels[..., :1]).any():
            raise ImageError("image", "a grey image", "colours", "save the radiograph again in grey")
        pixels = pixels[..., 0]
    return Radiograph((pixels / full).astype(np.float32))


def _plane(image: sitk.Image) -> np.ndarray:
    """Stored values: (height, width), with a third axis for several channels."""
    for depth in image.GetSize()[2:]:
        _refuse_frames(depth)
    pixels = sitk.GetArrayFromImage(image)
    return pixels[0] if image.GetDimension() == 3 else pixels


def _refuse_frames(number: int) -> None:
    if number != 1:
        found, next_step = f"{number} frames or pages", "export the lateral radiograph alone"
        raise ImageError("image", "one two-dimensional image", found, next_step)


def _read_dicom(path: Path) -> Radiograph:
    tags = read_tags(path)
    modality = tags.get("Modality") or "no Modality"
    if modality not in RADIOGRAPHS:
        required = f"Modality {', '.join(RADIOGRAPHS[:-1])} or {RADIOGRAPHS[-1]}"
        raise ImageError("image", required, str(modality), "export the radiograph of this patient")
    photometric = tags.get("PhotometricInterpretation") or "no PhotometricInterpretation"
    if photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise ImageError("image", "MONOCHROME1 or MONOCHROME2", str(photometric), "export the radiograph in grey")
    _refuse_frames(int(tags.get("NumberOfFrames") or 1))
    stored = stored_values(tags)
    try:
        grey = _grey_values(stored, tags)
        spacing = _spacing(tags)
    # Tags are parsed when they are asked for; these are what an ill-formed number, LUT or window raises.
    except (ValueError, TypeError, AttributeError, IndexError) as error:
        required = "well-formed rescale, window and spacing tags"
        raise ImageError("image", required, f"{error}", "export the radiograph again") from error
    if not np.isfinite(grey).all():
        required = "well-formed rescale, window and spacing tags"
        raise ImageError("image", required, "values that are no numbers", "export the radiograph again")
    if photometric == "MONOCHROME1":
        grey = 1 - grey
    return Radiograph(grey.astype(np.float32), spacing)


def _spacing(tags: Dataset) -> tuple[float, float] | None:
    """Pixel size in mm: PixelSpacing, else that at the detector, reduced by the magnification where it is stated."""
    spacing, factor = tags.get("PixelSpacing"), 1.0
    if not spacing:
        spacing = tags.get("ImagerPixelSpacing")
        factor = float(tags.get("EstimatedRadiographicMagnificationFactor") or 1)
    if not spacing:
        return None
    row, column = (float(step) / factor for step in spacing)
    if not (math.isfinite(row) and math.isfinite(column) and row > 0 and column > 0):
        raise ValueError(f"pixel spacing {row:g}, {column:g} mm")
    return row, column


def burned_in(path: str | Path) -> bool:
    """Whether a DICOM file says that text is burned into its pixels."""
    tags = dcmread(path, specific_tags=["BurnedInAnnotation"], stop_before_pixels=True)
    return str(tags.get("BurnedInAnnotation") or "").strip().upper() == "YES"


def read_tags(path: Path, *, pixels: bool = True) -> Dataset:
    """The file's elements, with whole pixel data as far as its length tells; without it unless ``pixels``."""

    def broken(found) -> ImageError:
        return ImageError("image", "an intact DICOM file", found, "export the radiograph again")

    with warnings.catch_warnings():
        # pydicom only warns of this and then drops the pixels.
        warnings.filterwarnings("error", message="End of file reached")
        try:
            _check_deflated(path)
            tags = dcmread(path, stop_before_pixels=not pixels)
            syntax = tags.file_meta.TransferSyntaxUID
            wanted = ("Rows", "Columns", "BitsAllocated", *(("PixelData",) if pixels else ()))
            missing = [name for name in wanted if not tags.get(name)]
            frames = int(tags.get("NumberOfFrames") or 1)
            size = () if missing else (int(tags.Rows), int(tags.Columns), frames)
        # What a damaged file makes pydicom raise is no closed list, and all of it means the same to the user.
        except ImageError:
            raise
        except Exception as error:
            raise broken(f"one that cannot be read: {error}") from error
    if missing:
        raise broken(f"no {', '.join(missing)}: truncated, or no image")
    fits(size, 2, "image")
    needed = math.prod(size) * tags.BitsAllocated // 8
    if pixels and not syntax.is_compressed and len(tags.PixelData) < needed:
        raise broken(f"a truncated one, {len(tags.PixelData)} of {needed} bytes of pixels")
    return tags


def _check_deflated(path: Path) -> None:
    """Refuse a deflated file that would become too large: pydicom unpacks all of it at once."""
    with path.open("rb") as file:
        start = file.read(4096)
        if DeflatedExplicitVRLittleEndian.encode() not in start[:1024]:
            return
        # The file meta information starts with its own length (PS3.10, table 7.1-1).
        file.seek(144 + int.from_bytes(start[140:144], "little"))
        unpack, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
        while part := file.read(1 << 16):
            while part:
                size += len(unpack.decompress(part, 1 << 22))
                part = unpack.unconsumed_tail
                if size > MAX_DEFLATED:
                    found = f"a deflated one of more than {MAX_DEFLATED >> 20} MiB"
                    raise ImageError("image", "an intact DICOM file", found, "export the image uncompressed")


def stored_values(tags: Dataset) -> np.ndarray:
    """Decoded pixels (height, width), neither rescaled nor inverted.

    SimpleITK opens every usual compression, but inverts MONOCHROME1 in the stored range and rescales without
    being asked, and refuses signed MONOCHROME1. So it gets a copy that holds the pixels and how they are
    packed, and nothing else: no rescale, and no patient either.
    """
    bare = Dataset()
    for name in _PIXEL_TAGS:
        if name in tags:
            bare[name] = tags[name]
    bare.SamplesPerPixel, bare.PhotometricInterpretation = 1, "MONOCHROME2"
    bare.SOPClassUID, bare.SOPInstanceUID = ComputedRadiographyImageStorage, generate_uid()
    bare.file_meta = FileMetaDataset()
    bare.file_meta.TransferSyntaxUID = tags.file_meta.TransferSyntaxUID
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pixels.dcm"
        bare.save_as(path, enforce_file_format=True)
        try:
            image = sitk.ReadImage(str(path), imageIO="GDCMImageIO")
        except RuntimeError as error:
            found = "pixel data that cannot be decoded: truncated or damaged"
            raise ImageError("image", "an intact file", found, "export the radiograph again") from error
        return _plane(image)


def _grey_values(stored: np.ndarray, tags: Dataset) -> np.ndarray:
    """Modality LUT or rescale, then VOI LUT or window, to float64 in [0, 1]."""
    if tags.get("ModalityLUTSequence"):
        values, _ = _look_up(stored, tags.ModalityLUTSequence[0])
    else:
        values = apply_rescale(stored, tags)
    if tags.get("VOILUTSequence"):
        values, top = _look_up(values, tags.VOILUTSequence[0])
        return values / top
    center, width = (_first(tags.get(name)) for name in ("WindowCenter", "WindowWidth"))
    if center is None or width is None:
        low, high = float(values.min()), float(values.max())
        return (values - low) / (high - low) if high > low else np.zeros(values.shape)
    # pydicom windows to the range of the stored type; one bit makes that range 0 to 1.
    window = Dataset()
    window.WindowCenter, window.WindowWidth = center, width
    window.VOILUTFunction = tags.get("VOILUTFunction") or "LINEAR"
    window.PhotometricInterpretation, window.PixelRepresentation, window.BitsStored = "MONOCHROME2", 0, 1
    return apply_windowing(values, window)


def _look_up(values: np.ndarray, item: Dataset) -> tuple[np.ndarray, int]:
    """Values through a LUT (PS3.3 C.11.1.1), and the largest value it can hold.

    Not pydicom's, which takes no 12-bit modality LUT and wraps the index of an 8-bit VOI LUT beyond 255.
    """
    (entries, first, bits), data = item.LUTDescriptor, item.LUTData
    table = np.frombuffer(data, "<u2") if isinstance(data, bytes) else np.array(data, dtype=int, ndmin=1)
    table = table[: entries or 65536]
    index = np.clip(np.rint(values).astype(np.int64) - first, 0, len(table) - 1)
    return table[index].astype(np.int64), 2**bits - 1


def _first(value):
    """A tag's first value: alternative windows stand in the maker's order of preference."""
    if isinstance(value, MultiValue):
        value = value[0] if len(value) else None
    return None if value in (None, "") else float(value)
