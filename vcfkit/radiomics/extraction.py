"""Extraction with pyradiomics (van Griethuysen 2017, Cancer Res 77:e104): many cases, nothing lost on the way.

Values are pyradiomics' own. What is added: the list of features a setting must yield is known beforehand and asserted,
faults of all cases are reported together, finished cases are kept on disk, cases run side by side on one thread each.

The image is used as given: no crop, no interpolation unless the settings ask for one. A LoG or wavelet response near
the mask depends on what lies beyond it, and the square, square root, logarithm and exponential filters scale by the
largest value of the whole image: the box in which a vertebra is handed over is part of what a feature is.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
import os
import time
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vcfkit import checks

if TYPE_CHECKING:
    import SimpleITK as sitk

Case = Any  # an array, a tensor, a SimpleITK image, or the path of one
TEXTURES = ("firstorder", "glcm", "gldm", "glrlm", "glszm", "ngtdm")
SINGLE = ("Original", "Square", "SquareRoot", "Logarithm", "Exponential", "Gradient")  # filters of one image each
GEOMETRY = 1e-6  # mm or cosine; what pyradiomics tolerates between image and mask


def filter_bank(
    *,
    dimensions: int = 3,
    bin_width: float = 25.0,
    sigmas_mm: Sequence[float] = (1.0, 2.0, 3.0, 4.0),
    wavelet: str | None = "coif1",
    filters: Sequence[str] = SINGLE,
    **options: Any,
) -> dict[str, dict]:
    """Settings for `extract`: all feature classes on the original and the filtered images, as pyradiomics names them.

    With the defaults 18 images in three dimensions: 18 × 93 first-order and texture features and 14 of the shape,
    1,688 in all; in two dimensions 14 images and 9 features of the shape, 1,311.

    Parameters
    ----------
    dimensions : {2, 3}
        Of the images: radiographs or volumes.
    bin_width : float
        Width of the grey-level bins in the image's own unit (pyradiomics' default 25).
    sigmas_mm : sequence of float
        Laplacian of Gaussian, one image each; empty for none.
    wavelet : str or None
        Name of the stationary wavelet: 8 images in three dimensions, 4 in two.
    filters : sequence of str
        Out of ``Original``, ``Square``, ``SquareRoot``, ``Logarithm``, ``Exponential``, ``Gradient``; others of
        pyradiomics (``LBP2D``, ``LBP3D``) by their name.
    options
        Any further setting of pyradiomics, for instance ``label=20``.
    """
    if dimensions not in (2, 3):
        raise ValueError(f"dimensions: 2 or 3 required, found {dimensions!r}")
    types: dict[str, dict] = {name: {} for name in filters}
    if sigmas_mm:
        types["LoG"] = {"sigma": [float(sigma) for sigma in sigmas_mm]}
    if wavelet:
        types["Wavelet"] = {"wavelet": wavelet}
    classes = ("shape" if dimensions == 3 else "shape2D", *TEXTURES)
    return {
        "setting": {"binWidth": float(bin_width), **options},
        "imageType": types,
        "featureClass": dict.fromkeys(classes),
    }


def expected_features(settings: Mapping[str, Any], *, dimensions: int = 3) -> list[str]:
    """Names of the features that these settings must yield for an image of so many dimensions.

    pyradiomics leaves out, with no more than a log line, what a missing package or too small an image prevents.

    Raises
    ------
    ValueError
        A filter, feature class or feature that pyradiomics does not have.
    """
    from radiomics import getFeatureClasses

    settings = _complete(settings, dimensions)
    known, names = getFeatureClasses(), {}
    for group, chosen in settings["featureClass"].items():
        if group not in known:
            raise ValueError(f"settings: feature class {group!r} unknown; known: {', '.join(known)}")
        own = known[group].getFeatureNames()
        if strangers := sorted(set(chosen or ()) - set(own)):
            raise ValueError(f"settings: {group} has no feature {strangers}")
        names[group] = list(chosen) if chosen else [name for name, deprecated in own.items() if not deprecated]
    shapes = [group for group in names if group.startswith("shape")]
    found = [f"original_{group}_{name}" for group in shapes for name in names[group]]
    for image in _image_names(settings, dimensions):
        found += [f"{image}_{group}_{name}" for group in names if group not in shapes for name in names[group]]
    return found


def filtered_images(
    image: Case, *, settings: Mapping[str, Any], spacing_mm: Sequence[float] | float = 1.0
) -> Iterator[tuple[str, np.ndarray]]:
    """Name and grey values of every image that the settings derive from one, for a look at what is measured."""
    import SimpleITK as sitk
    from radiomics import imageoperations

    given = _as_image(image, spacing_mm)
    settings = _complete(settings, given.GetDimension())
    for kind, own in settings["imageType"].items():
        for made, name, _ in getattr(imageoperations, f"get{kind}Image")(given, None, **settings["setting"], **own):
            yield name, sitk.GetArrayFromImage(made)


@dataclass(frozen=True)
class CaseFault:
    """Why one case gave no features: which, what is required, what was found, what to do next."""

    name: Hashable
    required: str
    found: str
    next_step: str

    def __str__(self) -> str:
        return f"{self.name}: {self.found}; {self.required} required. Next: {self.next_step}"


class ExtractionError(ValueError):
    """All cases that failed. Those that did not are in the cache, if one was given."""

    def __init__(self, faults: Sequence[CaseFault], n_cases: int):
        self.faults, self.n_cases = tuple(faults), n_cases
        super().__init__(self.faults, n_cases)

    def __str__(self) -> str:
        return "\n".join([f"{len(self.faults)} of {self.n_cases} cases failed.", *map(str, self.faults)])


def extract(
    images: Sequence[Case],
    masks: Sequence[Case],
    *,
    settings: Mapping[str, Any],
    n_jobs: int = 1,
    names: Sequence[Hashable] | None = None,
    spacing_mm: Sequence[float] | float = 1.0,
    cache: str | Path | None = None,
) -> pd.DataFrame:
    """Radiomic features of many cases.

    Parameters
    ----------
    images, masks : sequences of equal length
        Arrays or tensors of shape (z, y, x) or (y, x), SimpleITK images, or paths of files that SimpleITK reads. A
        mask is 0 outside and one label inside. Arrays are handed over in float64.
    settings : mapping
        `filter_bank`, or a parameter file of pyradiomics as a mapping (``setting``, ``imageType``, ``featureClass``),
        or its settings alone (``{"binWidth": 25}``: all classes, original image).
    n_jobs : int
        Processes, at least 1; each works on one thread, and the values do not depend on their number.
    names : sequence, optional
        What a case is called in the index and in a fault (sample_id); its position by default.
    spacing_mm : float or sequence
        Of arrays: one length, or one per axis in the order of the axes.
    cache : path, optional
        Folder that keeps the features of each finished case under a checksum of image, mask, settings and versions: an
        extraction that was interrupted goes on where it stood.

    Returns
    -------
    DataFrame
        Index ``names``, one float64 column per feature of `expected_features`, in that order.
        ``.attrs["seconds"]``: CPU seconds of the cases that were worked out now, summed.

    Raises
    ------
    ExtractionError
        Naming every case with an empty mask, a mask of another grid, of several or fractional labels or of fewer than
        3 voxels per axis, an image with values that are not finite (all told before anything is extracted), and every
        case that pyradiomics could not finish or gave fewer or undefined features for.
    ValueError
        Lengths that differ, a number of processes below 1, or settings that pyradiomics does not know.
    """
    images, masks = list(images), list(masks)
    names = list(range(len(images))) if names is None else list(names)
    if not len(images) == len(masks) == len(names):
        raise ValueError(
            f"images, masks, names: one of each per case required, found {len(images)}, {len(masks)}, {len(names)}"
        )
    if not images:
        raise ValueError("images: at least one case required, found none")
    if len(set(names)) < len(names):
        raise ValueError("names: a different one for every case required")
    n_jobs = checks.count("n_jobs", n_jobs)
    _check_settings(settings)
    cases, faults, seen = [], [], set()
    for name, image, mask in zip(names, images, masks, strict=True):
        try:
            pair = _as_image(image, spacing_mm), _as_image(mask, spacing_mm, mask=True)
            _check(*pair, settings)
        except _Refused as refused:
            faults.append(CaseFault(name, *refused.args))
        else:
            # Paths are read again by the worker: a cohort of whole volumes would not fit in memory.
            cases.append((name, image, mask))
            seen.add(pair[0].GetDimension())
    if faults:
        raise ExtractionError(faults, len(names))
    if len(seen) > 1:
        raise ValueError("images: all of two or all of three dimensions required, found both")
    dimensions = seen.pop()
    columns = expected_features(settings, dimensions=dimensions)
    complete = _complete(settings, dimensions)
    folder = None if cache is None else Path(cache)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)

    if n_jobs == 1:
        done = [_case(*case, complete, columns, spacing_mm, folder) for case in cases]
    else:
        from joblib import Parallel, delayed, parallel_config

        with parallel_config(backend="loky", inner_max_num_threads=1):
            work = (delayed(_case)(*case, complete, columns, spacing_mm, folder) for case in cases)
            done = Parallel(n_jobs=n_jobs)(work)
    faults = [result for result, _ in done if isinstance(result, CaseFault)]
    if faults:
        raise ExtractionError(faults, len(names))
    frame = pd.DataFrame(np.stack([values for values, _ in done]), index=names, columns=columns)
    frame.attrs["seconds"] = float(sum(seconds for _, seconds in done))
    return frame


class _Refused(Exception):
    """required, found, next step."""


def _check_settings(settings: Mapping[str, Any]) -> None:
    """Refuse what pyradiomics would, before a case is blamed for it."""
    from radiomics.featureextractor import RadiomicsFeatureExtractor

    if not isinstance(settings, Mapping):
        raise ValueError(f"settings: a mapping required, found {type(settings).__name__}; see filter_bank")
    expected_features(settings)
    try:
        with _heard():
            RadiomicsFeatureExtractor(_complete(settings, 3))
    except Exception as error:  # its schema's validator raises exceptions of its own
        found = getattr(error, "msg", None) or str(error)
        raise ValueError(f"settings: refused by pyradiomics: {' '.join(str(found).split())}") from error


def _complete(settings: Mapping[str, Any], dimensions: int) -> dict[str, dict]:
    """The three parts of a pyradiomics parameter file, with its defaults filled in."""
    parts = ("setting", "imageType", "featureClass")
    whole = {name: dict(settings.get(name) or {}) for name in parts}
    if not set(settings) & set(parts):
        whole["setting"] = dict(settings)
    elif strangers := sorted(set(settings) - {*parts, "voxelSetting"}):
        raise ValueError(f"settings: {', '.join(parts)} required, found {strangers} beside them")
    whole["imageType"] = {name: dict(more or {}) for name, more in whole["imageType"].items()} or {"Original": {}}
    whole["featureClass"] = whole["featureClass"] or dict.fromkeys(
        ("shape" if dimensions == 3 else "shape2D", *TEXTURES)
    )
    return whole


def _image_names(settings: Mapping[str, dict], dimensions: int) -> Iterator[str]:
    """Names pyradiomics gives to its filtered images, in its order."""
    for kind, own in settings["imageType"].items():
        more = settings["setting"] | own
        if kind in SINGLE:
            yield kind.lower()
        elif kind == "LoG":
            for sigma in more.get("sigma", []):
                yield f"log-sigma-{str(sigma).replace('.', '-')}-mm-3D"
        elif kind == "Wavelet":
            n_axes, levels = dimensions - bool(more.get("force2D")), more.get("level", 1)
            for level in range(1, levels + 1):
                prefix = "wavelet" if level == 1 else f"wavelet{level}"
                parts = ["".join(letters) for letters in itertools.product("LH", repeat=n_axes)][1:]
                yield from (f"{prefix}-{part}" for part in parts)
            yield f"{'wavelet' if levels == 1 else f'wavelet{levels}'}-{'L' * n_axes}"
        elif kind == "LBP2D":
            yield "lbp-2D"
        elif kind == "LBP3D":
            yield from (f"lbp-3D-m{level}" for level in range(1, more.get("lbp3DLevels", 2) + 1))
            yield "lbp-3D-k"
        else:
            known = ", ".join([*SINGLE, "LoG", "Wavelet", "LBP2D", "LBP3D"])
            raise ValueError(f"settings: image type {kind!r} unknown; known: {known}")


def _as_image(given: Case, spacing_mm: Sequence[float] | float, *, mask: bool = False) -> sitk.Image:
    import SimpleITK as sitk

    what, a = ("mask", "a") if mask else ("image", "an")
    if isinstance(given, (str, os.PathLike)):
        try:
            given = sitk.ReadImage(os.fspath(given))
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            raise _Refused(
                f"{a} {what} that SimpleITK reads", f"{what} not readable ({reason})", "check the file"
            ) from None
    if isinstance(given, sitk.Image):
        if given.GetNumberOfComponentsPerPixel() != 1 or given.GetDimension() not in (2, 3):
            found = f"{what} of {given.GetDimension()} axes, {given.GetNumberOfComponentsPerPixel()} values a voxel"
            raise _Refused("2 or 3 axes and one value a voxel", found, "convert it")
        if mask:
            _refuse_fractions(sitk.GetArrayViewFromImage(given))
        return given
    array = np.asarray(given)
    if array.ndim not in (2, 3) or 0 in array.shape or array.dtype.kind not in "buif":
        found = f"{what} of shape {array.shape}, {array.dtype}"
        raise _Refused("numbers of 2 or 3 axes", found, "convert it")
    if mask:
        _refuse_fractions(array)
    image = sitk.GetImageFromArray(array.astype(np.int32 if mask else np.float64))
    steps = np.broadcast_to(np.asarray(spacing_mm, dtype=np.float64), (array.ndim,))
    image.SetSpacing([float(step) for step in steps[::-1]])
    return image


def _refuse_fractions(labels: np.ndarray) -> None:
    """A soft mask would lose every voxel below 1: pyradiomics cuts labels to whole numbers."""
    if labels.dtype.kind != "f":
        return
    strange = ~np.isfinite(labels) | (labels != np.rint(labels))
    if strange.any():
        raise _Refused("whole labels", f"mask with the value {labels[strange][0]:g}", "threshold it")


def _check(image: sitk.Image, mask: sitk.Image, settings: Mapping[str, Any]) -> None:
    import SimpleITK as sitk

    same = image.GetDimension() == mask.GetDimension() and image.GetSize() == mask.GetSize()
    for part in ("GetSpacing", "GetOrigin", "GetDirection"):
        same = same and np.allclose(getattr(image, part)(), getattr(mask, part)(), rtol=0, atol=GEOMETRY)
    if not same:
        found = f"mask on another grid ({_grid(mask)}) than its image ({_grid(image)})"
        raise _Refused("one grid", found, "resample the mask onto the image's grid with nearest neighbour")
    values = sitk.GetArrayViewFromImage(image)
    bad = int((~np.isfinite(values)).sum()) if values.dtype.kind == "f" else 0
    if bad:
        raise _Refused("finite grey values", f"image with {bad} values that are NaN or infinite", "mend the image")
    option = dict(settings.get("setting") or settings)
    label = option.get("label", 1)
    labels, counts = np.unique(sitk.GetArrayViewFromImage(mask), return_counts=True)
    present = {float(name): int(count) for name, count in zip(labels, counts, strict=True) if name != 0}
    shown = ", ".join(f"{name:g}" for name in present) or "none"
    if label not in present:
        found = f"mask without a voxel labelled {label} (labels present: {shown})"
        raise _Refused("one delineated body", found, "delineate it, set label in the settings, or exclude the case")
    if len(present) > 1 and "label" not in option:
        found = f"mask with several labels ({shown})"
        raise _Refused("one label", found, "set label in the settings to the one that is meant")
    least = 3 ** mask.GetDimension()
    if present[label] < least:
        found = f"mask of {present[label]} voxels"
        raise _Refused(f"at least {least} (3 per axis)", found, "delineate again, or exclude the case")


def _grid(image: sitk.Image) -> str:
    numbers = " × ".join(f"{step:g}" for step in image.GetSpacing())
    origin = ", ".join(f"{place:g}" for place in image.GetOrigin())
    return f"{' × '.join(map(str, image.GetSize()))} of {numbers} mm from {origin}"


def _case(
    name: Hashable,
    image: Case,
    mask: Case,
    settings: dict[str, dict],
    columns: list[str],
    spacing_mm: Sequence[float] | float,
    folder: Path | None,
) -> tuple[np.ndarray | CaseFault, float]:
    """Features of one case (or its fault) and the CPU seconds they took; runs in a process of its own."""
    import SimpleITK as sitk

    started = time.process_time()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    image, mask = _as_image(image, spacing_mm), _as_image(mask, spacing_mm, mask=True)
    stored = None if folder is None else folder / f"{_checksum(image, mask, settings)}.npy"
    if stored is not None and stored.is_file():
        values = np.load(stored)
        if values.shape == (len(columns),):
            return values, 0.0
    try:
        values = _features(image, mask, settings, columns)
    except _Refused as refused:
        return CaseFault(name, *refused.args), time.process_time() - started
    if stored is not None:
        beside = stored.with_suffix(f".{os.getpid()}.part")  # a kill leaves no half-written features
        with beside.open("wb") as stream:
            np.save(stream, values)
        os.replace(beside, stored)
    return values, time.process_time() - started


def _features(image: sitk.Image, mask: sitk.Image, settings: dict[str, dict], columns: list[str]) -> np.ndarray:
    from radiomics.featureextractor import RadiomicsFeatureExtractor

    with _heard() as said, _binned_once():
        try:
            extractor = RadiomicsFeatureExtractor(settings)
            extractor.addProvenance(False)
            found = extractor.execute(image, mask)
        except Exception as error:  # pyradiomics raises bare exceptions of many kinds; one case must not end a run
            reason = f"pyradiomics failed ({type(error).__name__}: {error})"
            raise _Refused(
                "a case that pyradiomics finishes", reason, "look at image and mask, or exclude it"
            ) from error
    heard = f" (pyradiomics: {said[-1]})" if said else ""
    missing = [name for name in columns if name not in found]
    if missing:
        shown = f"{len(missing)} features missing, first {missing[0]}{heard}"
        raise _Refused(f"all {len(columns)} features", shown, "drop the filter, or mend what it needs")
    if len(found) > len(columns):
        extra = next(name for name in found if name not in set(columns))
        raise _Refused(f"the {len(columns)} expected features", f"{len(found)} features, with {extra}", "report this")
    values = np.array([float(found[name]) for name in columns])
    undefined = [name for name, value in zip(columns, values, strict=True) if not np.isfinite(value)]
    if undefined:
        shown = f"{len(undefined)} undefined features, first {undefined[0]}{heard}"
        raise _Refused("finite features", shown, "look at image and mask, or exclude the case")
    return values


@contextmanager
def _heard() -> Iterator[list[str]]:
    """Collect what pyradiomics warns of, instead of printing it."""
    said: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage().strip().splitlines()[-1])

    logger, listener = logging.getLogger("radiomics"), Listener(logging.WARNING)
    before = logger.handlers[:], logger.level, logger.propagate
    logger.handlers, logger.propagate = [listener], False
    logger.setLevel(logging.WARNING)
    try:
        yield said
    finally:
        logger.handlers, logger.propagate = before[0], before[2]
        logger.setLevel(before[1])


@contextmanager
def _binned_once() -> Iterator[None]:
    """Bin an image once instead of once for each of its six feature classes: a fifth of the time, the same bins."""
    from radiomics import imageoperations

    original, last = imageoperations.binImage, {}

    def bin_image(matrix, coordinates=None, **options):
        how = options.get("binWidth", 25), options.get("binCount")
        known = last.get("how") == how and last["mask"] is not None and coordinates is not None
        if not (known and np.array_equal(last["matrix"], matrix) and np.array_equal(last["mask"], coordinates)):
            binned = original(matrix, coordinates, **options)
            mask = None if coordinates is None else np.array(coordinates)
            last.update(how=how, matrix=np.array(matrix), mask=mask, binned=binned)
        binned, edges = last["binned"]
        return binned.copy(), edges

    imageoperations.binImage = bin_image
    try:
        yield
    finally:
        imageoperations.binImage = original


def _checksum(image: sitk.Image, mask: sitk.Image, settings: dict[str, dict]) -> str:
    import SimpleITK as sitk

    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    digest.update(" ".join(version(name) for name in ("pyradiomics", "SimpleITK", "PyWavelets", "numpy")).encode())
    for part in (image, mask):
        array = sitk.GetArrayViewFromImage(part)
        digest.update(f"{array.dtype}{array.shape}{part.GetSpacing()}{part.GetOrigin()}{part.GetDirection()}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:40]
