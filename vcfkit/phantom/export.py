"""Virtual cohorts as the files that a hospital would send: DICOM, PNG, NIfTI and LabelImg XML beside a manifest.

What is written, and at which size, is what the study of the paper reads, so that pixels, HU and masks come back to the
last bit:

========  ==========================================================================================================
paper 01  whole films: DICOM DX, MONOCHROME1 at Hospital 2
paper 02  vertebra crops: PNG, DICOM DX at HB672H
paper 03  sagittal slices: DICOM CT; LabelImg XML with all vertebrae of the slice, named ``<label>[+<label>]-<level>``
paper 04  windows of 64 mm around the vertebra: DICOM DX, MONOCHROME1 at Center II; masks of the body: PNG, NIfTI there
paper 05  boxes of 64 mm around the vertebra: NIfTI; 3-D masks of the body: NIfTI; in both papers the masks of the same
          and of another reader as well
========  ==========================================================================================================

Space is that of DICOM, x to the left, y to the back, z to the head, in mm; the origin is the middle of the intact S1
endplate. First column posterior and first row cranial on radiographs, first column anterior on CT slices. Volumes are
indexed (x, y, z) from right, anterior and caudal, with an identity direction; NIfTI itself counts x and y the other way
and its header says so.

Files claim nothing that is not so: no name, no date, no maker of equipment; ``QualityControlSubject`` is YES (the
subject is a phantom), and ``ImageComments`` holds the phantom reference. The same call writes the same bytes.
"""

import tempfile
import uuid
from pathlib import Path

import numpy as np
import pandas as pd
import SimpleITK as sitk
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian
from pydicom.valuerep import format_number_as_ds

from . import cohorts, ct, film, render, volume
from .cohorts import CT_ACUTE_CHRONIC, CT_DISEASES, XRAY_ACUTE_CHRONIC, XRAY_ASTLOF, XRAY_FRESH
from .delineation import READERS, redelineate_all
from .disease import DISEASES
from .scanner import MAGNIFICATION, SOURCE_OBJECT

MANIFEST = "manifest.csv"
MONOCHROME1 = {XRAY_FRESH: "Hospital 2", XRAY_ASTLOF: "Center II"}  # stored bright where the beam was strong
DICOM_CROPS = "HB672H"  # of paper 02; the others send PNG
NIFTI_MASKS = "Center II"  # of paper 04; the others send PNG
WINDOW_MM = 64.0  # side of the windows of paper 04
CHUNK = 32  # pictures that are held in memory at once


def export(
    stem: str,
    folder: str | Path,
    *,
    fraction: float = 1.0,
    seed: int = 0,
    size: int | None = None,
    effect: float = 1.0,
    nuisance: float = 1.0,
) -> pd.DataFrame:
    """Draw the cohorts of a paper and write them.

    Parameters
    ----------
    stem : str
        A key of :data:`vcfkit.phantom.cohorts.SPEC`.
    folder : path
        Must not exist; it is there when everything is in it.
    fraction : float
        Of every cohort, in (0, 1]; 1 is the scale of the paper.
    seed, effect, nuisance
        As for :func:`vcfkit.phantom.draw`.
    size : int, optional
        Rows and columns of a picture. None: what the paper reads (:data:`SIZES`).

    Returns
    -------
    pandas.DataFrame
        As :func:`write`.

    Raises
    ------
    FileExistsError
        If the folder exists.
    KeyError, ValueError
        For an unknown stem, or a number out of range.
    """
    _refuse(folder)
    if stem not in cohorts.PAPERS:
        raise KeyError(f"no virtual cohort for {stem!r}; known: {', '.join(cohorts.PAPERS)}")
    names = [cohort.name for cohort in cohorts.PAPERS[stem].cohorts(seed, effect)]
    fractions = dict.fromkeys(names, fraction)
    samples = cohorts.draw(stem, seed=seed, effect=effect, nuisance=nuisance, fractions=fractions)
    return write(samples, folder, size=size)


def write(samples: pd.DataFrame, folder: str | Path, *, size: int | None = None) -> pd.DataFrame:
    """Write the pictures of a virtual samples frame and its manifest.

    Parameters
    ----------
    samples : pandas.DataFrame
        Rows of :func:`vcfkit.phantom.draw`, of one paper.
    folder : path
        Must not exist. Everything is written beside it first and moved at the end.
    size : int, optional
        Rows and columns. Paper 04 keeps its field of 64 mm at any size; paper 05 has voxels of 1 mm and no choice.

    Returns
    -------
    pandas.DataFrame
        The manifest as written: the samples frame, ``image``, ``mask`` and ``box`` relative to the folder where there
        is such a file, ``reference``, the phantom reference, and ``mask_intra``, ``mask_inter`` where there are such.

    Raises
    ------
    FileExistsError
        If the folder exists.
    ValueError
        If the rows are not of one paper, or the size does not fit it.
    """
    _refuse(folder)
    folder = Path(folder)
    stems = {image.partition(":")[2].partition("/")[0] for image in samples["image"]}
    if len(stems) != 1:
        raise ValueError(f"samples of one paper required, found {', '.join(sorted(stems)) or 'no row'}")
    stem = stems.pop()
    size = SIZES[stem] if size is None else size
    if stem == CT_ACUTE_CHRONIC and size != ct.BOX:
        raise ValueError(f"{stem}: a box has {ct.BOX} voxels of 1 mm to a side, got size {size}")

    rows = samples.assign(reference=samples["image"])
    numbered = rows.assign(instance=rows.groupby("patient_id").cumcount() + 1)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".exporting-", dir=folder.parent) as staging:
        draft = Path(staging) / "cohort"
        for part in ("images", *PARTS.get(stem, ())):
            (draft / part).mkdir(parents=True)
        paths = []
        for start in range(0, len(rows), CHUNK):
            paths += WRITERS[stem](numbered.iloc[start : start + CHUNK], draft, size)
        for column in ("image", "mask", "box", *(f"mask_{reader}" for reader in READERS)):
            if column in rows or any(column in own for own in paths):
                rows[column] = [own.get(column, "") for own in paths]
        rows.to_csv(draft / MANIFEST, index=False, lineterminator="\n")
        draft.rename(folder)
    return rows


def _refuse(folder):
    if Path(folder).exists():
        raise FileExistsError(f"{folder} exists; name a folder yet to be made, or remove it")


# One writer per paper: rows, the folder and the size to the paths of every row


def _films(rows, folder, size):
    scenes = [film.film_of(reference) for reference in rows["reference"]]
    pictures = film.films_of(scenes, size=size).numpy()
    edges = film.frames(scenes, (size, size))
    return [
        {"image": _save_dx(folder, row, picture, s.scanner.kvp, ((z1 - z0) / size, (y1 - y0) / size))}
        for row, picture, s, (y0, y1, z0, z1) in zip(rows.itertuples(), pictures, scenes, edges, strict=True)
    ]


def _crops(rows, folder, size):
    paths = []
    for row, picture in zip(rows.itertuples(), render.vertebra_crops(rows, size=size).numpy(), strict=True):
        if row.site == DICOM_CROPS:
            s = render.scene_of(row.reference)
            y0, y1, z0, z1 = s.box
            image = _save_dx(folder, row, picture, s.scanner.kvp, ((z1 - z0) / size, (y1 - y0) / size))
        else:
            image = _save_array(folder, f"images/{row.sample_id}.png", picture)
        paths.append({"image": image})
    return paths


def _windows(rows, folder, size):
    pixel = WINDOW_MM / size
    pictures, bodies, marks = render.vertebra_windows(rows, size=size, mm_per_pixel=pixel)
    masks = {"mask": bodies.numpy()} | {
        f"mask_{reader}": redelineate_all(rows, bodies, marks, mm_per_pixel=pixel, reader=reader) for reader in READERS
    }
    paths = []
    for j, (row, picture) in enumerate(zip(rows.itertuples(), pictures.numpy(), strict=True)):
        files = {"image": _save_dx(folder, row, picture, render.scene_of(row.reference).scanner.kvp, (pixel, pixel))}
        white, suffix = (1, "nii.gz") if row.site == NIFTI_MASKS else (255, "png")
        for column, bodies_again in masks.items():
            name = f"masks/{row.sample_id}{column.removeprefix('mask').replace('_', '-')}.{suffix}"
            values = white * bodies_again[j].astype(np.uint8)
            files[column] = _save_array(folder, name, values, spacing=(pixel, pixel))
        paths.append(files)
    return paths


def _slices(rows, folder, size):
    pictures, truth = ct.ct_slices(rows, size=size, truth=True)
    paths = []
    for j, (row, picture) in enumerate(zip(rows.itertuples(), pictures.numpy(), strict=True)):
        image = _save_ct(folder, row, picture, truth.pixel_mm[j])
        found = truth.frame[truth.frame["slice"] == j]
        paths.append({"image": image, "box": _save_boxes(folder, row, Path(image).name, found, size)})
    return paths


def _boxes(rows, folder, size):
    made = ct.ct_boxes(rows, readers=tuple(READERS))
    paths = []
    for j, row in enumerate(rows.itertuples()):
        place = {"spacing": (1.0, 1.0, 1.0), "origin": ct.box_origin(row.reference)}
        files = {"image": _save_array(folder, f"images/{row.sample_id}.nii.gz", made.hu[j].numpy(), **place)}
        for reader, bodies in made.masks.items():
            column, suffix = ("mask", "") if reader == "truth" else (f"mask_{reader}", f"-{reader}")
            body = bodies[j].numpy().astype(np.uint8)
            files[column] = _save_array(folder, f"masks/{row.sample_id}{suffix}.nii.gz", body, **place)
        paths.append(files)
    return paths


WRITERS = {
    XRAY_FRESH: _films,
    XRAY_ACUTE_CHRONIC: _crops,
    CT_DISEASES: _slices,
    XRAY_ASTLOF: _windows,
    CT_ACUTE_CHRONIC: _boxes,
}
SIZES = {XRAY_FRESH: 224, XRAY_ACUTE_CHRONIC: 224, CT_DISEASES: 1024, XRAY_ASTLOF: 128, CT_ACUTE_CHRONIC: ct.BOX}
PARTS = {CT_DISEASES: ("boxes",), XRAY_ASTLOF: ("masks",), CT_ACUTE_CHRONIC: ("masks",)}


# Files


def _save_array(folder, name, values, *, spacing=None, origin=None):
    """PNG or NIfTI, by the name; axes of ``values`` are rows first, those of spacing and origin x first."""
    image = sitk.GetImageFromArray(values)
    if spacing is not None:
        image.SetSpacing(spacing)
    if origin is not None:
        image.SetOrigin(origin)
    sitk.WriteImage(image, str(folder / name))
    return name


def _save_dx(folder, row, picture, kvp, spacing):
    """A radiograph, 8 bit, with a window that changes nothing: DX IOD, PS3.3 A.26."""
    inverted = MONOCHROME1.get(_stem(row)) == row.site
    data = _dicom(row, DigitalXRayImageStorageForPresentation, size=len(picture))
    data.ImageType = ["ORIGINAL", "PRIMARY", ""]
    data.Modality, data.PresentationIntentType, data.ImageLaterality = "DX", "FOR PRESENTATION", "U"
    data.AnatomicRegionSequence, data.AcquisitionContextSequence = [], []
    data.PatientOrientation = ["A", "F"]
    data.PresentationLUTShape = "INVERSE" if inverted else "IDENTITY"
    data.PixelIntensityRelationship = "LOG"
    data.PixelIntensityRelationshipSign = 1 if inverted else -1
    data.RescaleIntercept, data.RescaleSlope, data.RescaleType = 0, 1, "US"
    data.WindowCenter, data.WindowWidth = 128, 256  # PS3.3 C.11.2.1.2: 0 to 255 become 0 to 1, evenly
    data.BurnedInAnnotation, data.LossyImageCompression, data.DetectorType = "NO", "00", ""
    data.KVP = _ds(kvp)
    data.DistanceSourceToPatient = _ds(SOURCE_OBJECT)
    data.DistanceSourceToDetector = _ds(SOURCE_OBJECT * MAGNIFICATION)
    data.EstimatedRadiographicMagnificationFactor = _ds(MAGNIFICATION)
    data.ImagerPixelSpacing = [_ds(step * MAGNIFICATION) for step in spacing]
    data.PixelSpacing = [_ds(step) for step in spacing]
    data.PixelSpacingCalibrationType = "GEOMETRY"
    data.PixelSpacingCalibrationDescription = "at the spine, from the known magnification"
    stored = 255 - picture if inverted else picture
    return _save_dicom(folder, row, data, stored, "MONOCHROME1" if inverted else "MONOCHROME2", 8)


def _save_ct(folder, row, hu, pixel):
    """A sagittal slice, 12 bit, stored as HU + 1024: CT Image IOD, PS3.3 A.3."""
    patient, target, nuisance = cohorts.resolve(row.reference)
    scene = volume.scene_of(patient, nuisance)
    x, (y, z) = float(target.removeprefix("slice-")), scene.centre
    first = (len(hu) - 1) * pixel / 2  # from the middle of the picture to that of its first pixel
    data = _dicom(row, CTImageStorage, size=len(hu))
    data.ImageType, data.Modality = ["DERIVED", "SECONDARY", "REFORMATTED"], "CT"
    data.KVP, data.AcquisitionNumber = None, None
    data.FrameOfReferenceUID = _uid(*_study(row), "frame")
    data.PositionReferenceIndicator = ""
    data.PatientOrientation = ["P", "F"]
    data.PixelSpacing = [_ds(pixel), _ds(pixel)]
    data.SliceThickness, data.SliceLocation = _ds(scene.scanner.thickness), _ds(x)
    data.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
    data.ImagePositionPatient = [_ds(value) for value in (x, -(y + first), z + first)]
    data.RescaleIntercept, data.RescaleSlope, data.RescaleType = ct.LOWEST, 1, "HU"
    data.WindowCenter, data.WindowWidth = 500, 1500  # bone
    return _save_dicom(folder, row, data, (hu - ct.LOWEST).astype(np.uint16), "MONOCHROME2", 12)


def _dicom(row, sop_class, *, size):
    """What both kinds share: patient, study, series, equipment, image."""
    data = Dataset()
    data.SOPClassUID, data.SOPInstanceUID = sop_class, _uid(row.reference, size)
    data.PatientID, data.PatientSex = row.patient_id, row.sex
    data.PatientAge = f"{int(row.age):03d}Y"
    data.QualityControlSubject = "YES"
    for name in ("PatientName", "PatientBirthDate", "StudyDate", "StudyTime", "StudyID", "AccessionNumber"):
        setattr(data, name, "")
    data.ReferringPhysicianName, data.Manufacturer = "", ""
    data.StudyInstanceUID, data.SeriesInstanceUID = _uid(*_study(row)), _uid(*_study(row), size)
    data.SeriesNumber, data.InstanceNumber = 1, row.instance
    data.SeriesDescription, data.BodyPartExamined = "virtual patient", "SPINE"
    data.ImageComments = row.reference
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return data


def _save_dicom(folder, row, data, stored, photometric, bits):
    data.set_pixel_data(stored, photometric, bits, generate_instance_uid=False)
    name = f"images/{row.sample_id}.dcm"
    data.save_as(folder / name, enforce_file_format=True)
    return name


def _save_boxes(folder, row, picture, found, size):
    """LabelImg's Pascal VOC: corners as drawn, 0-based, the maximum exclusive."""
    lines = [
        "<annotation>",
        "\t<folder>images</folder>",
        f"\t<filename>{picture}</filename>",
        f"\t<source>\n\t\t<database>{row.reference.replace('&', '&amp;')}</database>\n\t</source>",
        f"\t<size>\n\t\t<width>{size}</width>\n\t\t<height>{size}</height>\n\t\t<depth>1</depth>\n\t</size>",
        "\t<segmented>0</segmented>",
    ]
    for box in found.itertuples():
        label = "+".join(code for code in DISEASES if getattr(box, code)) or "normal"
        corners = [f"\t\t\t<{name}>{getattr(box, name)}</{name}>" for name in ("xmin", "ymin", "xmax", "ymax")]
        lines += ["\t<object>", f"\t\t<name>{label}-{box.level}</name>", "\t\t<pose>Unspecified</pose>"]
        lines += [f"\t\t<truncated>{int(box.inside < 1)}</truncated>", "\t\t<difficult>0</difficult>", "\t\t<bndbox>"]
        lines += [*corners, "\t\t</bndbox>", "\t</object>"]
    name = f"boxes/{row.sample_id}.xml"
    (folder / name).write_text("\n".join([*lines, "</annotation>", ""]), encoding="utf-8")
    return name


def _stem(row):
    return _study(row)[0]


def _study(row):
    """Stem, virtual patient and knobs of a reference: what all pictures of one virtual patient share."""
    path, _, knobs = row.reference.removeprefix("phantom:").partition("?")
    stem, patient_id, _ = path.split("/")
    return stem, patient_id, knobs


def _uid(*parts):
    """A DICOM UID that follows from what it names (PS3.5 B.2: a UUID under 2.25)."""
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_URL, '|'.join(map(str, parts))).int}"


def _ds(value):
    """A decimal string, which DICOM allows 16 characters."""
    return format_number_as_ds(float(value))
