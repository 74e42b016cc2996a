"""VinDr-SpineXR (Nguyen 2021): radiographs in DICOM and a table of boxes made into a cohort of paper 01 or 02.

The layout is that of PhysioNet::

    annotations/train.csv, annotations/test.csv     image_id, study_id, lesion_type, xmin, ymin, xmax, ymax, ...
    train_images/<image_id>.dicom, test_images/<image_id>.dicom

Its radiologists marked "Vertebral collapse", and whether it is fresh, old or malignant they could not see. So a film
without one is ``non-fresh`` (01), and every collapse waits for a label of the user's. Patients are not told; a study is
the nearest to one.
"""

import csv
from pathlib import Path

import pandas as pd
from pydicom import dcmread

from vcfkit.cohort import AGE_RANGE, COLUMNS, CohortError, Fault, box_numbers

from .convert import check_folders, refuse_folder, take, write_cohort

COLLAPSE = "vertebral collapse"
TABLE = "labels.csv"
FRONTAL = ("AP", "PA")


def convert_vindr(
    in_folder: str | Path,
    out_folder: str | Path,
    *,
    study: str = "01",
    labels: str | Path | None = None,
    as_cohort: str = "VinDr",
) -> pd.DataFrame:
    """Make a cohort folder of VinDr-SpineXR.

    Parameters
    ----------
    in_folder : path
        Never written to.
    out_folder : path
        Must not exist. It gets ``manifest.csv``, ``images/`` and, without ``labels``, a ``labels.csv`` to fill in.
    study : {"01", "02"}
        01: a row per film, save those that say they are frontal; 02: a row per box of a vertebral collapse.
    labels : path, optional
        CSV of ``sample_id, label``, as ``labels.csv`` has it, and ``level`` where it is known.
    as_cohort : str
        The rows of train.csv and test.csv become ``<as_cohort> train`` and ``<as_cohort> test``.

    Raises
    ------
    CohortError
        With every film that is missing and every box that is none, or when there is nothing to convert.
    """
    in_folder, out_folder = Path(in_folder), Path(out_folder)
    check_folders(in_folder, out_folder)
    told, faults = _told(labels)
    rows, films = [], {}
    for part in ("train", "test"):
        found, more = _part(in_folder, part, study, told, f"{as_cohort} {part}")
        faults += more
        rows += [row for row, _ in found]
        films |= {row["image"]: film for row, film in found}
    if not rows and not faults:
        refuse_folder(
            "IN", "annotations/train.csv and train_images", f"none in {in_folder}", "name the data set's folder"
        )
    if faults:
        raise CohortError(faults)

    def write(draft):
        for image, film in films.items():
            take(film, draft / image)
        if labels is None:
            with (draft / TABLE).open("w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file, lineterminator="\n")
                writer.writerow(["sample_id", "label", "level"])
                writer.writerows([row["sample_id"], "", ""] for row in rows if not row["label"])
        return rows

    write_cohort(out_folder, write)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _told(path):
    if path is None:
        return {}, []
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            return {row["sample_id"]: row for row in csv.DictReader(file)}, []
    except (OSError, UnicodeDecodeError, csv.Error, KeyError) as error:
        return {}, [Fault(str(path), "labels", "a CSV of sample_id, label", f"{error!r}", "correct the file")]


def _part(folder, part, study, told, as_cohort):
    """(row, film) of one half of the data set, and its faults."""
    table = next(
        (path for path in (folder / "annotations" / f"{part}.csv", folder / f"{part}.csv") if path.is_file()), None
    )
    if table is None:
        return [], []
    with table.open(encoding="utf-8-sig", newline="") as file:
        lines = list(csv.DictReader(file))
    missing = [name for name in ("image_id", "study_id", "lesion_type") if lines and name not in lines[0]]
    if missing:
        found = ", ".join(lines[0])
        return [], [
            Fault(
                table.name,
                "columns",
                f"image_id, study_id, lesion_type, xmin, ...; not {missing}",
                found,
                "fetch it again",
            )
        ]
    by_image: dict[str, list] = {}
    for line in lines:
        by_image.setdefault(line["image_id"], []).append(line)
    rows, faults = [], []
    for image_id, marks in by_image.items():
        film = next(
            (p for s in (".dicom", ".dcm") if (p := folder / f"{part}_images" / f"{image_id}{s}").is_file()), None
        )
        if film is None:
            faults.append(Fault(image_id, "image", f"{part}_images/{image_id}.dicom", "none", "fetch the film again"))
            continue
        try:
            tags = dcmread(film, stop_before_pixels=True)
        except Exception as error:  # noqa: BLE001 a damaged file's error is no closed list
            faults.append(Fault(image_id, "image", "a DICOM file", f"{error}"[:200], "fetch the film again"))
            continue
        collapses = [mark for mark in marks if mark["lesion_type"].strip().lower() == COLLAPSE]
        common = {
            "patient_id": marks[0]["study_id"],
            "site": "VinDr",
            "cohort": as_cohort,
            "age": _age(tags.get("PatientAge")),
            "sex": str(tags.get("PatientSex") or "") if str(tags.get("PatientSex")) in ("F", "M") else "",
            "image": f"images/{image_id}.dcm",
        }
        if study == "01":
            if str(tags.get("ViewPosition") or "").upper() in FRONTAL:
                continue
            row = {"sample_id": image_id, "label": "" if collapses else "non-fresh", "level": ""}
            rows.append((common | row | _answer(told, image_id), film))
            continue
        for k, mark in enumerate(collapses):
            name = f"{image_id}-{k}"
            box = ",".join(str(mark.get(corner) or "") for corner in ("xmin", "ymin", "xmax", "ymax"))
            numbers = box_numbers(box)
            if numbers is None:
                faults.append(Fault(name, "box", "four numbers", box, "correct the line of the table"))
                continue
            row = {"sample_id": name, "label": "", "level": "", "box": ",".join(map(str, numbers))}
            rows.append((common | row | _answer(told, name), film))
    return rows, faults


def _answer(told, name):
    return {key: told[name][key].strip() for key in ("label", "level") if (told.get(name) or {}).get(key)}


def _age(text):
    """Years of a DICOM age string, blank where it is none."""
    text = str(text or "")
    years = text[:3] if text[3:] == "Y" else text
    return str(int(years)) if years.isdigit() and int(years) <= AGE_RANGE[1] else ""
