"""Damaged, lying and hostile files and manifests: a row in the fault table each, and nothing else happens."""

import gzip
import os
import resource
import struct
import zlib
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import own_files
import pandas as pd
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian

from vcfkit import cohort, images

FILM, SLICE, WINDOW, VOLUME = (
    "01_xray_fresh_vcf",
    "03_ct_vertebra_diseases",
    "04_xray_ovf_astlof",
    "05_ct_acute_chronic",
)
RNG = np.random.default_rng(11)
GREY = RNG.integers(0, 4000, (48, 40)).astype(np.uint16)
HU, BODY = own_files.spine((24, 24, 24))
SECONDS, BYTES = 30, 2 * 2**30


@pytest.fixture(autouse=True)
def salt(monkeypatch):
    monkeypatch.setenv("VCFKIT_SALT", "salt of the tests")


class Damaged:
    """A cohort folder whose rows each hold one damaged file; ``sure`` are those that cannot pass for sound."""

    def __init__(self, folder):
        self.folder, self.rows, self.sure = folder, [], []

    def add(self, path, *, column="image", sure=True, **row):
        name = f"{len(self.rows)}-{path.name if hasattr(path, 'name') else path}"
        relative = os.path.relpath(path, self.folder) if not isinstance(path, str) else path
        self.rows.append({"sample_id": name, "patient_id": name, column: relative} | row)
        if sure:
            self.sure.append(name)

    def bytes(self, name, content, **more):
        path = self.folder / f"{len(self.rows)}-{name}"
        path.write_bytes(content)
        self.add(path, **more)

    def mutations(self, name, content, count, **more):
        """Cut short, a block of zeros, single bytes, and the same in the header."""
        for k in range(count):
            spoiled, kind = bytearray(content), k % 4
            if kind == 0:
                self.bytes(name, content[: int(len(content) * RNG.uniform(0.02, 0.9))], **more)
                continue
            if kind == 1:
                start = int(RNG.integers(0, len(content)))
                spoiled[start : start + 64] = bytes(len(spoiled[start : start + 64]))
            else:
                reach = len(content) if kind == 2 else min(len(content), 400)
                for place in RNG.integers(0, reach, 6):
                    spoiled[place] ^= int(RNG.integers(1, 256))
            self.bytes(name, bytes(spoiled), sure=False, **more)

    def opened(self, stem, **columns):
        """Opened by a process of its own, whose children are then those that opened these files and no others."""
        own_files.manifest(self.folder, self.rows, **columns)
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            opened, most = pool.submit(inspected, self.folder, stem).result()
        assert most < BYTES
        return opened


def inspected(folder, stem):
    """The cohort as opened, and the most bytes that a process which opened its files has held."""
    return images.inspect(folder, stem=stem), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024


def check(damaged, opened, least):
    """Every sure row is a fault; a row without one could be read, and nothing was lost on the way."""
    assert len(damaged.rows) >= least
    assert opened.samples["sample_id"].tolist() == [row["sample_id"] for row in damaged.rows]
    faulty = {fault.sample for fault in opened.faults}
    assert set(damaged.sure) - faulty == set()
    assert all(fault.required and fault.found and fault.next_step for fault in opened.faults)
    if os.environ.get("SHOW"):
        print(cohort.CohortError(opened.faults))
    unexpected = [fault for fault in opened.faults if "cannot survive" in fault.found or "Error:" in fault.found]
    assert len(unexpected) <= 0.05 * len(damaged.rows), unexpected


def dicom_bytes(folder, **tags):
    return own_files.dicom(folder / "scratch.dcm", GREY, **tags).read_bytes()


def nifti_bytes(folder, values, name="scratch.nii"):
    return own_files.volume(folder / name, values).read_bytes()


def with_fields(content, fields):
    """NIfTI-1 header fields (offset, format, value) overwritten."""
    spoiled = bytearray(content)
    for offset, form, value in fields:
        struct.pack_into(f"<{form}", spoiled, offset, value)
    return bytes(spoiled)


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.fixture
def damaged(tmp_path):
    (tmp_path / "cohort").mkdir()
    return Damaged(tmp_path / "cohort")


def zeros(megabytes, pack):
    """Packed zeros, a thousandth of what they become: one flushed block, again and again."""
    first = pack.compress(bytes(1 << 20)) + pack.flush(zlib.Z_FULL_FLUSH)
    return first + (pack.compress(bytes(1 << 20)) + pack.flush(zlib.Z_FULL_FLUSH)) * (megabytes - 1)


def test_radiographs(damaged, tmp_path):
    sound = dicom_bytes(tmp_path)
    for tags in (
        {"Rows": 65535, "Columns": 65535},
        {"Rows": 0},
        {"NumberOfFrames": 99999},
        {"NumberOfFrames": "-3"},
        {"BitsAllocated": 7},
        {"PixelSpacing": [-0.5, -0.5]},
        {"PixelSpacing": ["NaN", "NaN"]},
        {"RescaleSlope": "NaN", "RescaleIntercept": "0"},
        {"WindowCenter": "NaN", "WindowWidth": "10"},
        {"WindowCenter": "1e400", "WindowWidth": "1e-400"},
        {"Modality": "US"},
        {"PhotometricInterpretation": "RGB"},
    ):
        damaged.bytes("tags.dcm", dicom_bytes(tmp_path, **tags))
    for old, new in ((b"US\x02\0", b"DS\x02\0"), (b"US\x02\0", b"SQ\x02\0"), (b"US\x02\0", b"OB\x02\0")):
        damaged.bytes("vr.dcm", sound.replace(old, new), sure=False)
    damaged.mutations("film.dcm", sound, 60)
    for suffix in ("png", "tif"):
        content = own_files.picture(tmp_path / f"scratch.{suffix}", GREY).read_bytes()
        damaged.mutations(f"film.{suffix}", content, 24)
    huge = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 16, 0, 0, 0, 0))
    damaged.bytes("huge.png", huge + png_chunk(b"IDAT", zeros(4, zlib.compressobj())) + png_chunk(b"IEND", b""))
    wide = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 16, 0, 0, 0, 0))
    damaged.bytes("wide.png", wide + png_chunk(b"IDAT", zeros(64, zlib.compressobj())) + png_chunk(b"IEND", b""))
    deflated = dicom_bytes(tmp_path, PatientComments="x")
    meta = deflated[: deflated.index(b"1.2.840.10008.1.2.1\0") + 20]
    bomb = zeros(1500, zlib.compressobj(9, zlib.DEFLATED, -15))
    uid = DeflatedExplicitVRLittleEndian.encode().ljust(22, b"\0")
    head = meta.replace(struct.pack("<H", 20) + b"1.2.840.10008.1.2.1\0", struct.pack("<H", 22) + uid)
    damaged.bytes("bomb.dcm", head + bomb)
    for name, content in (("empty.dcm", b""), ("text.png", b"hello"), ("page.dcm", b"%PDF-1.4" + bytes(200))):
        damaged.bytes(name, content)
    (tmp_path / "outside.dcm").write_bytes(sound)
    (damaged.folder / "link.dcm").symlink_to(tmp_path / "outside.dcm")
    (damaged.folder / "zero.dcm").symlink_to("/dev/zero")
    (damaged.folder / "loop.dcm").symlink_to(damaged.folder / "loop.dcm")
    os.mkfifo(damaged.folder / "pipe.dcm")
    for name in (
        "link.dcm",
        "zero.dcm",
        "loop.dcm",
        "pipe.dcm",
        "../outside.dcm",
        "../../../etc/hostname",
        "/etc/hostname",
    ):
        damaged.add(name)
    for name in (
        "a" * 5000,
        "nul\0byte.dcm",
        ".",
        "..",
        "~/film.dcm",
        "C:\\films\\film.dcm",
        "\N{GRINNING FACE}",
    ):
        damaged.add(name)
    check(damaged, damaged.opened(FILM, label="fresh"), 140)


def test_slices_and_their_boxes(damaged, tmp_path):
    hu = HU[:, :, 12]
    xml = (
        "<annotation><size><width>24</width><height>24</height></size><object><name>OVCF-L1</name><bndbox><xmin>2</xmin>"
        "<ymin>3</ymin><xmax>9</xmax><ymax>12</ymax></bndbox></object></annotation>"
    )
    (damaged.folder / "good.xml").write_text(xml)
    kept = {"box": "good.xml"}
    sound = own_files.ct_slice(damaged.folder / "sound.dcm", hu).read_bytes()
    for tags in (
        {"Rows": 65535, "Columns": 65535},
        {"RescaleSlope": "NaN"},
        {"PixelSpacing": [0, 0]},
        {"PixelSpacing": [-1, -1]},
        {"Modality": "MR"},
    ):
        extra = {name: value for name, value in tags.items() if name != "PixelSpacing"}
        spacing = tags.get("PixelSpacing", (1.0, 1.0))
        path = own_files.ct_slice(damaged.folder / f"{len(damaged.rows)}-tags.dcm", hu, spacing=spacing, **extra)
        damaged.add(path, **kept)
    for directions in ((1, 0, 0, 0, 1, 0), (1, 0, 0, 0, 0, -1), (0, 5, 0, 0, 0, -1), (0, 1, 0, 0, 1, 0)):
        name = f"{len(damaged.rows)}-turned.dcm"
        damaged.add(own_files.ct_slice(damaged.folder / name, hu, directions=directions), **kept)
    damaged.mutations("slice.dcm", sound, 24, **kept)
    bomb = (
        '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa">'
        + "".join(f'<!ENTITY {chr(98 + k)} "{f"&{chr(97 + k)};" * 10}">' for k in range(9))
        + "]><annotation>&j;</annotation>"
    )
    coco = (
        '{"images": [{"id": 1, "file_name": "sound.png", "width": 24, "height": 24}], "categories": [{"id": 1, "name": '
        '"OVCF-L1"}], "annotations": [{"image_id": 1, "category_id": 1, "bbox": [2, 3, 7, 9]}]}'
    )
    boxes = [
        bomb,
        xml.replace("OVCF-L1", "fracture"),
        xml.replace("OVCF-L1", "OVCF-L9"),
        xml.replace(">9<", ">NaN<"),
        xml.replace(">9<", ">1e99<"),
        xml.replace(">9<", ">90<"),
        xml.replace(">2<", ">-2<"),
        xml.replace(">24<", ">25<"),
        xml[:100],
        coco.replace("sound.png", "sound.png").replace('"categories"', '"kategorien"'),
        coco.replace("[2, 3, 7, 9]", "[2, 3, -7, 9]"),
        coco.replace("[2, 3, 7, 9]", "[2, 3]"),
        coco.replace("[2, 3, 7, 9]", "[NaN, 3, 7, 9]"),
        coco.replace("[2, 3, 7, 9]", "[2, 3, 1e400, 9]"),
        coco.replace('"category_id": 1', '"category_id": 7'),
        coco[:50],
        '{"images": ' + "[" * 100_000,
        "{}",
        "[]",
    ]
    for k, text in enumerate(boxes):
        path = damaged.folder / f"{k}.xml"
        path.write_text(text)
        damaged.add(path, column="box", image="sound.dcm")
    opened = damaged.opened(SLICE)
    # One sound slice under many names is a fault of its own, and not the one that is asked about.
    opened.faults[:] = [fault for fault in opened.faults if "same picture" not in fault.found]
    check(damaged, opened, 50)


def test_masks_of_radiographs(damaged, tmp_path):
    own_files.dicom(damaged.folder / "sound.dcm", GREY)
    mask = np.zeros(GREY.shape, np.uint8)
    mask[10:30, 10:30] = 1
    kept = {"column": "mask", "image": "sound.dcm"}
    for suffix in ("png", "nii.gz", "nrrd", "tif"):
        write = own_files.picture if suffix in ("png", "tif") else own_files.volume
        content = write(tmp_path / f"mask.{suffix}", mask).read_bytes()
        damaged.mutations(f"mask.{suffix}", content, 8, **kept)
    for name, values in (("empty", 0 * mask), ("full", 0 * mask + 1), ("other", mask[:-1]), ("turned", mask.T)):
        damaged.add(own_files.picture(damaged.folder / f"{name}.png", np.ascontiguousarray(values)), **kept)
    damaged.bytes("film.png", dicom_bytes(tmp_path), **kept)
    for spacing in (0.0001, 500):
        content = dicom_bytes(tmp_path, PixelSpacing=[spacing, spacing], PatientName=str(spacing))
        damaged.bytes(
            "spacing.dcm", content, mask=os.path.basename(own_files.picture(damaged.folder / "good.png", mask))
        )
    opened = damaged.opened(WINDOW, label="class_0")
    opened.faults[:] = [fault for fault in opened.faults if "same picture" not in fault.found]
    check(damaged, opened, 38)


def test_volumes(damaged, tmp_path):
    own_files.volume(damaged.folder / "mask.nii.gz", BODY.astype(np.uint8))
    kept = {"mask": "mask.nii.gz"}
    sound = nifti_bytes(tmp_path, HU)
    packed = nifti_bytes(tmp_path, HU, "scratch.nii.gz")
    floats = nifti_bytes(tmp_path, np.where(BODY, np.nan, 1).astype(np.float32), "floats.nii")
    infinite = nifti_bytes(tmp_path, np.where(BODY, np.inf, 1).astype(np.float64), "doubles.nii.gz")
    nrrd = nifti_bytes(tmp_path, HU, "scratch.nrrd")
    for content in (
        floats,
        infinite,
        with_fields(sound, [(42, "h", 32767), (44, "h", 32767), (46, "h", 32767)]),
        with_fields(sound, [(42, "h", -5)]),
        with_fields(sound, [(40, "h", 0)]),
        with_fields(sound, [(40, "h", 99)]),
        with_fields(sound, [(80, "f", -1.0)]),
        with_fields(sound, [(84, "f", 0.0)]),
        with_fields(sound, [(88, "f", float("nan"))]),
        with_fields(sound, [(108, "f", 1e30)]),
        with_fields(sound, [(108, "f", float("nan"))]),
        with_fields(sound, [(72, "h", 12345)]),
        with_fields(sound, [(344, "4s", b"ni1\0")]),
        sound[:348],
        sound[:5000],
        packed[: len(packed) // 2],
        b"\x1f\x8b" + bytes(500),
    ):
        damaged.bytes("ct.nii.gz" if content[:2] == b"\x1f\x8b" else "ct.nii", content, **kept)
    bomb = gzip.compress(sound[:352]) + gzip.compress(bytes(1 << 26)) * 40
    damaged.bytes("small.nii.gz", bomb, sure=False, **kept)  # what follows a small volume is not looked at
    wide = with_fields(sound[:352], [(42, "h", 8000), (44, "h", 8000), (46, "h", 30)])
    damaged.bytes("wide.nii.gz", gzip.compress(wide) + gzip.compress(bytes(1 << 26)) * 40, **kept)
    header, _, values = nrrd.partition(b"\n\n")
    for old, new in (
        (b"sizes: 24 24 24", b"sizes: 99999 99999 99999"),
        (b"sizes: 24 24 24", b"sizes: 24 24 -24"),
        (b"sizes: 24 24 24", b"sizes: 24 24"),
        (b"(1,0,0)", b"(nan,0,0)"),
        (b"type: short", b"type: tall"),
        (b"encoding: ", b"data file: ../../etc/hostname\nencoding: "),
    ):
        assert old in header, header
        damaged.bytes("ct.nrrd", header.replace(old, new) + b"\n\n" + values, **kept)
    damaged.mutations("ct.nii.gz", packed, 20, **kept)
    damaged.mutations("ct.nrrd", nrrd, 12, **kept)
    for k, more in enumerate(({"leave_out": (9,)}, {"gap": 0.0}, {"spacing": (-1.0, -1.0)}, {"Modality": "PT"})):
        damaged.add(own_files.series(damaged.folder / f"series{k}", HU, **more), **kept)
    (damaged.folder / "none").mkdir()
    damaged.add(damaged.folder / "none", **kept)
    mixed = own_files.series(damaged.folder / "mixed", HU)
    own_files.ct_slice(mixed / "localiser", HU[0], SeriesInstanceUID="1.2.3")
    damaged.add(mixed, **kept)
    opened = damaged.opened(VOLUME, label="acute")
    opened.faults[:] = [fault for fault in opened.faults if "same picture" not in fault.found]
    check(damaged, opened, 60)


def test_manifests(tmp_path):
    own_files.dicom(tmp_path / "film.dcm", GREY)
    rows = [{"image": "film.dcm", "patient_id": "p", "label": "fresh", "t_score": "-2.5"} for _ in range(6)]
    sound = (own_files.manifest(tmp_path, rows) / "manifest.csv").read_bytes()
    header = sound.split(b"\n")[0]
    spoiled = [
        b"",
        b"\0" * 400,
        bytes(RNG.integers(0, 256, 2000, dtype=np.uint8)),
        sound.decode().encode("utf-16"),
        sound[: len(header) // 2],
        sound.replace(b",", b";"),
        sound.replace(b",", b"\t"),
        sound.replace(b"\n", b',"\n'),
        header + b"," + header + b"\n",
        header + b"\n",
        sound.replace(b"fresh", b"fr\0esh"),
        sound.replace(b"-2.5", b"NaN(1)"),
        sound.replace(b"-2.5", b"1e999"),
        sound.replace(b",70,", b",nan(7),"),
        sound.replace(b",70,", b",-1,"),
        sound.replace(b"film.dcm", b"../film.dcm"),
        sound.replace(b"film.dcm", b'"film\n.dcm"'),
        sound.replace(b"film.dcm", b"x" * 200_000),
        sound.replace(b"fresh", b"=HYPERLINK(1)"),
        header.replace(b"label", b"lable") + sound[len(header) :],
    ]
    spoiled += [sound[: int(n)] for n in RNG.integers(1, len(header), 8)]
    for _ in range(12):
        copy = bytearray(sound)
        for place in RNG.integers(0, len(header), 12):
            copy[place] = int(RNG.integers(0, 256))
        spoiled.append(bytes(copy))
    for content in spoiled:
        (tmp_path / "manifest.csv").write_bytes(content)
        _, faults = cohort.read_manifest(tmp_path, stem=FILM)
        assert faults, content[:200]
        assert len(str(cohort.CohortError(faults))) < 100_000
    assert len(spoiled) >= 40
    (tmp_path / "manifest.csv").unlink()
    (tmp_path / "manifest.csv").mkdir()
    assert cohort.read_manifest(tmp_path, stem=FILM)[1]


def test_a_decoder_that_dies_or_stalls_costs_its_row_only(tmp_path, monkeypatch):
    from vcfkit.images import guard

    own_files.dicom(tmp_path / "film.dcm", GREY)
    row = {"sample_id": "s", "image": str(tmp_path / "film.dcm"), "label": "fresh", "level": None, "box": None}
    with guard.Guard() as running:
        assert running.examine(FILM, row, frozenset()).faults == []
        running._child.kill()
        assert "cannot survive" in running.examine(FILM, row, frozenset()).faults[0][2]
        monkeypatch.setattr(guard, "SECONDS", 3)
        os.kill(running._child.pid, 19)  # SIGSTOP
        assert "longer than 3 s" in running.examine(FILM, row, frozenset()).faults[0][2]
        monkeypatch.setattr(guard, "SECONDS", 30)
        assert running.examine(FILM, row, frozenset()).shape == GREY.shape


def test_a_run_with_damaged_files_starts_nothing_and_leaves_nothing(damaged, tmp_path):
    from vcfkit import params, run

    damaged.mutations("film.dcm", dicom_bytes(tmp_path), 4)
    own_files.manifest(damaged.folder, damaged.rows, label="acute")
    stem = "02_xray_acute_chronic_pathological"
    parameters = params.load(stem, "reduced", data_dir=str(damaged.folder), results_dir=str(tmp_path / "results"))
    with pytest.raises(cohort.CohortError):
        run.preflight(stem, parameters)
    assert not (tmp_path / "results").exists()
    assert pd.read_csv(damaged.folder / "manifest.csv").shape[0] == 4
