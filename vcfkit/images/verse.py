"""VerSe (Löffler 2020, Sekuboyina 2021): CT, vertebra masks and centroids made into a cohort of paper 03 or 05.

Files are found by the names that VerSe gives them, in any folder::

    rawdata/sub-verse004/sub-verse004_dir-ax_ct.nii.gz
    derivatives/sub-verse004/sub-verse004_dir-ax_seg-vert_msk.nii.gz
    derivatives/sub-verse004/sub-verse004_dir-ax_seg-subreg_ctd.json

The data set has no acute or chronic, no Kümmell's disease, no age and sex in these files. They come from a table of
the user's; without one the cohort is written with blank labels and a table to fill in, and ``vcfkit.cohort check`` says
so. Nothing is guessed.
"""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import SimpleITK as sitk
from scipy import ndimage

from vcfkit.cohort import COLUMNS, LEVELS, CohortError, Fault

from .convert import check_folders, refuse_folder, take, write_cohort
from .files import ImageError, decode
from .volumes import read_volume

LABELS = {**{8 + k: f"T{k + 1}" for k in range(12)}, **{20 + k: f"L{k + 1}" for k in range(5)}}  # 25: L6; 28: T13
OFFSETS = (-6.0, -3.0, 0.0, 3.0, 6.0)  # mm from the midline: there the canal parts the body from its arch
ASIDE = 8.0  # mm: where the middle of a body lies further from the slice, its arch may hang on to it
HALF_WIDTH = 0.8  # of a body's depth: what lies further aside is no body
TABLE = "labels.csv"
_NAME = re.compile(r"(?:sub-)?(?P<subject>verse\d+)(?P<scan>(?:_(?:split-[^_]+|dir-[^_]+))*)_ct\.nii(?:\.gz)?")


def convert_verse(
    in_folder: str | Path,
    out_folder: str | Path,
    *,
    study: str = "05",
    labels: str | Path | None = None,
    as_cohort: str = "VerSe",
) -> pd.DataFrame:
    """Make a cohort folder of VerSe scans.

    Parameters
    ----------
    in_folder : path
        Searched with its subfolders, never written to.
    out_folder : path
        Must not exist. It gets ``manifest.csv``, images, masks or boxes, and without ``labels`` a ``labels.csv`` to
        fill in, in one step when everything is there.
    study : {"05", "03"}
        05: a row per vertebra, with the body alone as its mask: what lies behind the posterior wall of the middle
        sagittal plane is cut off. 03: up to five sagittal slices within 6 mm of the midline (fewer in a
        crooked spine), square pixels, with a box around every body.
    labels : path, optional
        CSV of ``subject, level, label`` and, if known, ``age, sex``: 05 acute or chronic, and vertebrae that it does
        not list are left out; 03 diseases joined by +, and vertebrae that it does not list are normal.
    as_cohort : str
        Cohort of every row.

    Raises
    ------
    CohortError
        With every scan that lacks a mask or cannot be read, or when there is nothing to convert.
    """
    in_folder, out_folder = Path(in_folder), Path(out_folder)
    check_folders(in_folder, out_folder)
    scans, faults = _scans(in_folder)
    if not scans and not faults:
        refuse_folder("IN", "VerSe scans, *_ct.nii.gz", f"none under {in_folder}", "name the folder of the data set")
    told, more = _told(labels)
    faults += more
    if faults:
        raise CohortError(faults)
    make = {"03": _slices, "05": _bodies}[study]
    columns = (*COLUMNS, *({"03": ("offset_mm",), "05": ("mask_label",)}[study]))
    written = []

    def write(draft):
        for name, (image, mask, centroids) in scans.items():
            try:
                written.extend(make(draft, name, image, mask, centroids, told, as_cohort))
            except ImageError as error:
                faults.append(error.fault(name))
        if faults:
            raise CohortError(faults)
        if labels is None:
            _blank_table(draft / TABLE, scans, written)
        return written

    write_cohort(out_folder, write, columns)
    return pd.DataFrame(written, columns=list(columns))


def _scans(folder):
    """Scan name to (CT, mask, centroids or None), and a fault for each without a mask."""
    files = {path.name: path for path in sorted(folder.rglob("*")) if path.is_file()}
    scans, faults = {}, []
    for name, image in files.items():
        match = _NAME.fullmatch(name)
        if not match:
            continue
        start = name[: name.rindex("_ct.nii")]
        mask = next((files[one] for one in files if one.startswith(f"{start}_seg-vert_msk.nii")), None)
        if mask is None:
            required = f"{start}_seg-vert_msk.nii.gz"
            faults.append(Fault(start, "mask", required, "none", "add it from derivatives/"))
            continue
        centroids = files.get(f"{start}_seg-subreg_ctd.json") or files.get(f"{start}_seg-vb_ctd.json")
        scans[f"{match['subject']}{match['scan']}".replace("_", "-")] = (image, mask, centroids)
    return scans, faults


def _told(path):
    """(subject, level) to what the user's table says, and its faults."""
    if path is None:
        return None, []
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        return None, [Fault(str(path), "labels", "a CSV of subject, level, label", f"{error}", "correct the path")]
    faults, told = [], {}
    for line, row in enumerate(rows, start=2):
        subject, level, label = ((row.get(name) or "").strip() for name in ("subject", "level", "label"))
        if not subject or level.upper() not in LEVELS:
            found = f"subject {subject or '(blank)'}, level {level or '(blank)'}"
            faults.append(Fault(f"line {line}", "labels", "a subject and a level, T1 to L5", found, "correct the line"))
        elif label:
            told[subject.removeprefix("sub-"), level.upper()] = row | {"label": label}
    return told, faults


def _open(image, mask):
    """CT and labels on one grid, in patient axes."""
    ct, labels = read_volume(image), sitk.DICOMOrient(decode(mask, "NIfTI", "mask"), "LPS")
    if ct.GetSize() != labels.GetSize() or not np.allclose(ct.GetOrigin(), labels.GetOrigin(), atol=0.1):
        raise ImageError(
            "mask", "the CT's own grid", f"{labels.GetSize()}, the CT has {ct.GetSize()}", "fetch both again"
        )
    return ct, sitk.GetArrayFromImage(labels).astype(np.int16)


def _middles(labels, centroids, mask):
    """Label to the voxel (z, y, x) in the middle of its body, in patient axes."""
    found = {}
    if centroids is not None:
        stored = sitk.ReadImage(str(mask))
        turned = sitk.DICOMOrient(stored, "LPS")
        try:
            content = json.loads(Path(centroids).read_text(encoding="utf-8"))
            axes = content[0]["direction"]
            for one in content[1:]:
                # Voxels along named axes, e.g. P, I, R: how the published files count.
                place = dict(zip(axes, (one["X"], one["Y"], one["Z"]), strict=True))
                x, y, z = (
                    place[up] if up in place else size - 1 - place[down]
                    for up, down, size in zip("LPS", "RAI", turned.GetSize(), strict=True)
                )
                found[int(one["label"])] = np.clip(np.rint((z, y, x)).astype(int), 0, np.array(labels.shape) - 1)
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise ImageError("centroids", "VerSe's centroid json", f"{error}", "fetch the file again") from error
    for value in np.unique(labels):
        if value and value not in found:
            # Without a centroid: the front half of the vertebra is body.
            z, y, x = np.nonzero(labels == value)
            front = y <= (y.min() + y.max()) / 2
            found[int(value)] = np.rint([z[front].mean(), y[front].mean(), x[front].mean()]).astype(int)
    return found


def _section(labels, value, middle, column):
    """The body's part of a sagittal plane (z, y): the piece of the vertebra nearest the middle of its body."""
    plane = labels[:, :, column] == value
    pieces, count = ndimage.label(plane)
    if not count:
        return plane
    distance = np.hypot(*(np.indices(plane.shape) - np.array(middle[:2])[:, None, None]))
    return pieces == pieces[np.unravel_index(np.where(plane, distance, np.inf).argmin(), plane.shape)]


def _seen(labels, middles):
    """Level, label and middle of vertebrae T1 to L5 that do not touch the top or bottom of the scan."""
    for value, level in LABELS.items():
        rows = np.flatnonzero((labels == value).any(axis=(1, 2)))
        if len(rows) and rows[0] > 0 and rows[-1] < len(labels) - 1:
            yield level, value, middles[value]


def _bodies(draft, name, image, mask, centroids, told, as_cohort):
    """Rows of paper 05, one per vertebra; CT and a mask of the bodies."""
    ct, labels = _open(image, mask)
    middles, subject, rows = _middles(labels, centroids, mask), name.split("-")[0], []
    bodies = np.zeros_like(labels)
    for level, value, middle in _seen(labels, middles):
        row = (told or {}).get((subject, level), {})
        if told is not None and not row:
            continue
        section = _section(labels, value, middle, middle[2])
        tall = np.flatnonzero(section.any(axis=1))
        wall = np.array([np.flatnonzero(section[z])[-1] for z in tall])
        behind = np.interp(np.arange(len(labels)), tall, wall)
        before = np.arange(labels.shape[1])[None, :, None] <= behind[:, None, None]
        # Transverse processes of L5 leave the body in front of that wall; a body is 1.3 to 1.5 times as wide as deep.
        # Rows cross a tilted or collapsed body short; its depth is that of the longest of them.
        depth = np.percentile(wall - section[tall].argmax(axis=1) + 1, 90) * ct.GetSpacing()[1]
        aside = np.abs(np.arange(labels.shape[2]) - middle[2]) * ct.GetSpacing()[0] <= HALF_WIDTH * depth
        bodies[(labels == value) & before & aside[None, None, :]] = value
        rows.append(
            _row(name, subject, level, as_cohort, row)
            | {"image": f"images/{name}.nii.gz", "mask": f"masks/{name}.nii.gz", "mask_label": value}
        )
    if rows:
        take(image, draft / f"images/{name}.nii.gz")
        written = sitk.GetImageFromArray(bodies)
        written.CopyInformation(ct)
        (draft / "masks").mkdir(exist_ok=True)
        sitk.WriteImage(written, str(draft / f"masks/{name}.nii.gz"), useCompression=True)
    return rows


def _slices(draft, name, image, mask, centroids, told, as_cohort):
    """Rows of paper 03, one per slice; slices with square pixels and boxes of their vertebrae."""
    ct, labels = _open(image, mask)
    middles, subject, rows = _middles(labels, centroids, mask), name.split("-")[0], []
    seen = list(_seen(labels, middles))
    if not seen:
        return rows
    step = ct.GetSpacing()
    midline = float(np.mean([middle[2] for *_, middle in seen]))
    pixel = min(step[1:])
    scale = step[2] / pixel, step[1] / pixel
    for folder in ("images", "boxes"):
        (draft / folder).mkdir(exist_ok=True)
    columns = {offset: round(midline + offset / step[0]) for offset in OFFSETS}
    near = {o: c for o, c in columns.items() if all(abs(m[2] - c) * step[0] <= ASIDE for *_, m in seen)}
    for offset, column in (near or {0.0: columns[0.0]}).items():
        hu = ndimage.zoom(sitk.GetArrayViewFromImage(ct)[:, :, column].astype(float), scale, order=1, grid_mode=True,
                          mode="nearest")  # fmt: skip
        height, width = hu.shape
        objects, shown = [], []
        for level, value, middle in seen:
            section = _section(labels, value, middle, column)
            if not section.any():
                continue
            z, y = np.nonzero(section)
            label = "unlabelled" if told is None else (told.get((subject, level)) or {}).get("label", "normal")
            # First row cranial.
            corners = (y.min() * scale[1], height - (z.max() + 1) * scale[0], (y.max() + 1) * scale[1],
                       height - z.min() * scale[0])  # fmt: skip
            objects.append((f"{label}-{level}", [int(np.clip(round(c), 0, max(hu.shape))) for c in corners]))
            shown.append((told or {}).get((subject, level), {}))
        if not objects:
            continue
        sample = f"{name}-{offset:+.0f}mm"
        plane = sitk.GetImageFromArray(np.rint(hu).astype(np.int16)[:, :, None])
        plane.SetSpacing((step[0], pixel, pixel))
        sitk.WriteImage(plane, str(draft / f"images/{sample}.nii.gz"), useCompression=True)
        _write_boxes(draft / f"boxes/{sample}.xml", sample, (width, height), objects)
        row = next((one for one in shown if one.get("age") or one.get("sex")), {})
        row = {key: value for key, value in row.items() if key != "label"}
        files = {"image": f"images/{sample}.nii.gz", "box": f"boxes/{sample}.xml", "offset_mm": offset}
        rows.append(_row(name, subject, "", as_cohort, row) | {"sample_id": sample} | files)
    return rows


def _row(name, subject, level, as_cohort, told):
    return {
        "sample_id": f"{name}-{level}",
        "patient_id": subject,
        "site": "VerSe",
        "cohort": as_cohort,
        "label": told.get("label", ""),
        "age": (told.get("age") or "").strip(),
        "sex": (told.get("sex") or "").strip(),
        "level": level,
    }


def _write_boxes(path, name, size, objects):
    lines = ["<annotation>", f"\t<filename>{name}.nii.gz</filename>", "\t<size>"]
    lines += [f"\t\t<width>{size[0]}</width>", f"\t\t<height>{size[1]}</height>", "\t</size>"]
    for label, corners in objects:
        lines += ["\t<object>", f"\t\t<name>{label}</name>", "\t\t<bndbox>"]
        lines += [f"\t\t\t<{k}>{v}</{k}>" for k, v in zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)]
        lines += ["\t\t</bndbox>", "\t</object>"]
    path.write_text("\n".join([*lines, "</annotation>", ""]), encoding="utf-8")


def _blank_table(path, scans, rows):
    """A table to fill in: every vertebra of every subject once."""
    levels = [(row["patient_id"], row["level"]) for row in rows if row["level"]]
    if not levels:
        levels = [(name.split("-")[0], level) for name in scans for level in LEVELS]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["subject", "level", "label", "age", "sex"])
        writer.writerows([*pair, "", "", ""] for pair in dict.fromkeys(levels))
