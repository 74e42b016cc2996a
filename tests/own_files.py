"""Small files as hospitals send them, for the tests of own cohorts."""

import numpy as np
import pandas as pd
import SimpleITK as sitk
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

PLANTED = {
    "PatientName": "Huber^Annegret",
    "PatientID": "MRN8844213",
    "PatientBirthDate": "19470303",
    "AccessionNumber": "ACC5512907",
    "InstitutionName": "Klinikum Musterstadt",
    "ReferringPhysicianName": "Doktor^Eisenbart",
    "StudyDescription": "LWS seitlich Huber",
}


def dicom(path, stored, **tags):
    """A radiograph, or with ``Modality="CT"`` a slice, of stored values (height, width), with a patient in its tags."""
    of_ct = tags.get("Modality") == "CT"
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID = CTImageStorage if of_ct else DigitalXRayImageStorageForPresentation
    data.SOPInstanceUID = generate_uid()
    data.Modality, data.PhotometricInterpretation, data.SamplesPerPixel = "DX", "MONOCHROME2", 1
    data.Rows, data.Columns = stored.shape
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, 16, 15
    data.PixelRepresentation = int(stored.dtype.kind == "i")
    data.PixelData = stored.tobytes()
    data["PixelData"].VR = "OW"
    for name, value in (PLANTED | {"PixelSpacing": [0.5, 0.5]} | tags).items():
        setattr(data, name, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)
    return path


def ct_slice(path, hu, *, place=(0.0, 0.0, 0.0), directions=(0, 1, 0, 0, 0, -1), spacing=(1.0, 1.0), **tags):
    """A CT slice of HU, stored as HU + 1024."""
    return dicom(
        path,
        (hu + 1024).astype(np.uint16),
        **({"Modality": "CT", "RescaleSlope": 1, "RescaleIntercept": -1024} | tags),
        ImagePositionPatient=list(place),
        ImageOrientationPatient=list(directions),
        PixelSpacing=list(spacing),
    )


def series(folder, hu, *, gap=1.0, spacing=(1.0, 1.0), leave_out=(), seed=0, **tags):
    """An axial CT series (slices, rows, columns) under names and instance numbers in no order."""
    folder.mkdir(parents=True, exist_ok=True)
    order = np.random.default_rng(seed).permutation(len(hu))
    uid = generate_uid()
    for number, k in enumerate(order):
        if k not in leave_out:
            extra = {"SeriesInstanceUID": uid, "InstanceNumber": int(number) + 1} | tags
            place = (-10.0, -20.0, gap * k)
            directions = (1, 0, 0, 0, 1, 0)
            ct_slice(folder / f"{number:03d}", hu[k], place=place, directions=directions, spacing=spacing, **extra)
    return folder


def volume(path, values, *, spacing=(1.0, 1.0, 1.0), origin=(0.0, 0.0, 0.0)):
    """NIfTI or NRRD, by the name; values (z, y, x)."""
    image = sitk.GetImageFromArray(values)
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path))
    return path


def picture(path, pixels):
    """PNG or TIFF, by the name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(sitk.GetImageFromArray(pixels), str(path))
    return path


def spine(shape, seed=0):
    """HU (z, y, x) with a bright body in the middle of soft tissue, and its mask."""
    rng = np.random.default_rng(seed)
    grid = np.indices(shape) - (np.array(shape)[:, None, None, None] - 1) / 2
    body = (grid**2).sum(axis=0) < (min(shape) / 4) ** 2
    return np.where(body, 300, 50).astype(np.int16) + rng.integers(-20, 20, shape).astype(np.int16), body


def manifest(folder, rows, **columns):
    """``manifest.csv`` of rows (dicts), with what every study needs filled in where it is missing."""
    usual = {"site": "Site", "cohort": "elsewhere", "age": "70", "sex": "F", "level": "L1"} | columns
    table = [{"sample_id": f"s{k}", "patient_id": f"p{k}"} | usual | row for k, row in enumerate(rows)]
    pd.DataFrame(table).to_csv(folder / "manifest.csv", index=False)
    return folder
