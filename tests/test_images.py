"""Reading samples: pictures, DICOM in the standard's order, LabelImg boxes, own cohorts, crops, conversion."""

import json
import re

import numpy as np
import pandas as pd
import PIL.Image
import pytest
import SimpleITK as sitk
import torch
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    RLELossless,
    generate_uid,
)
from typer.testing import CliRunner

from vcfkit import cohort, images
from vcfkit.images import convert
from vcfkit.images.__main__ import app

STEM = "02_xray_acute_chronic_pathological"
CLASSES = ("acute", "chronic", "pathologic")
RNG = np.random.default_rng(20230116)
GREY16 = RNG.integers(0, 65536, size=(40, 60)).astype(np.uint16)
GREY12 = RNG.integers(0, 4096, size=(40, 60)).astype(np.uint16)


@pytest.fixture(autouse=True)
def salt(monkeypatch):
    monkeypatch.setenv("VCFKIT_SALT", "salt of the tests")


def write_picture(path, pixels):
    """Pixels (height, width[, channels]) of any depth, as SimpleITK writes them."""
    sitk.WriteImage(sitk.GetImageFromArray(pixels, isVector=pixels.ndim == 3), str(path))
    return path


def write_dicom(path, stored, *, bits=12, syntax=ExplicitVRLittleEndian, **tags):
    """An uncompressed radiograph of these stored values; ``tags`` set or overwrite elements."""
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = syntax
    data.SOPClassUID, data.SOPInstanceUID = DigitalXRayImageStorageForPresentation, generate_uid()
    data.Modality, data.PhotometricInterpretation, data.SamplesPerPixel = "DX", "MONOCHROME2", 1
    data.PatientName, data.PatientID = "Huber^Anna", "4711"
    data.Rows, data.Columns = stored.shape[-2:]
    data.BitsAllocated, data.BitsStored, data.HighBit = 8 * stored.dtype.itemsize, bits, bits - 1
    data.PixelRepresentation = int(stored.dtype.kind == "i")
    data.PixelData = stored.tobytes()
    data["PixelData"].VR = "OW"
    for name, value in tags.items():
        setattr(data, name, value)
    data.save_as(path, enforce_file_format=True)
    return path


def lookup_table(values, *, first, bits):
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(values), first, bits])
    item.add_new("LUTData", "US", [int(value) for value in values])
    return item


def write_xml(path, *objects, size=(60, 40), root="annotation"):
    """Objects are (name, xmin, ymin, xmax, ymax)."""
    items = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{a}</xmin><ymin>{b}</ymin>"
        f"<xmax>{c}</xmax><ymax>{d}</ymax></bndbox></object>"
        for name, a, b, c, d in objects
    )
    width, height = size
    path.write_text(f"<{root}><size><width>{width}</width><height>{height}</height></size>{items}</{root}>")
    return path


def linear_window(values, center, width):
    """PS3.3 C.11.2.1.2.1, written out."""
    return np.clip((values - (center - 0.5)) / (width - 1) + 0.5, 0, 1)


def refusal(path):
    with pytest.raises(images.ImageError) as error:
        images.read_radiograph(path)
    assert error.value.next_step
    return error.value.required, error.value.found


# PNG and TIFF


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_pictures_keep_their_depth_and_are_scaled_by_the_range_of_their_type(tmp_path, suffix, depth, channels):
    grey = (GREY16 >> (16 - depth)).astype(f"uint{depth}")
    full = 2**depth - 1
    pixels = np.dstack([grey] * 3 + [np.full_like(grey, full)])[..., :channels].squeeze()
    radiograph = images.read_radiograph(write_picture(tmp_path / f"a.{suffix}", pixels))
    assert radiograph.pixels.dtype == np.float32
    np.testing.assert_array_equal(radiograph.pixels, (grey / full).astype(np.float32))
    assert radiograph.spacing is None


def test_a_palette_of_greys_is_read_as_grey(tmp_path):
    grey = (GREY16 >> 8).astype(np.uint8)
    PIL.Image.fromarray(grey).convert("P").save(tmp_path / "a.png")
    np.testing.assert_array_equal(images.read_radiograph(tmp_path / "a.png").pixels, (grey / 255).astype(np.float32))


def test_the_published_crops_are_read_with_16_bits(reference):
    table = pd.read_csv(reference / "spine_xray" / "manifest.csv")
    assert len(table) == 15
    for row in table.itertuples():
        pixels = images.read_radiograph(reference / "spine_xray" / "images" / row.label / row.file).pixels
        assert pixels.shape == (row.height, row.width)
        assert len(np.unique(pixels)) > 256, "8 bits of 16 were lost"


@pytest.mark.parametrize(
    ("name", "pixels", "found"),
    [
        ("a.png", np.dstack([GREY16, GREY16, GREY16[::-1]]), "colours"),
        ("a.png", np.dstack([GREY16] * 4), "transparent pixels"),
        ("a.png", np.full((9, 9), 7, np.uint8), "a blank image"),
        ("a.tif", GREY16.astype(np.float32), "float32"),
        ("a.tif", GREY16.astype(np.int32), "int32"),
    ],
)
def test_pictures_that_are_no_grey_radiograph_are_refused(tmp_path, name, pixels, found):
    assert refusal(write_picture(tmp_path / name, pixels))[1] == found


def test_several_pages_are_refused(tmp_path):
    page = PIL.Image.fromarray((GREY16 >> 8).astype(np.uint8))
    page.save(tmp_path / "a.tif", save_all=True, append_images=[page, page])
    assert refusal(tmp_path / "a.tif") == ("one two-dimensional image", "3 frames or pages")


@pytest.mark.parametrize("cut", [5, 1000])
def test_a_truncated_png_is_refused(tmp_path, cut):
    path = write_picture(tmp_path / "a.png", GREY16)
    path.write_bytes(path.read_bytes()[:-cut])
    assert "truncated" in refusal(path)[1]


def test_a_png_with_a_flipped_byte_is_refused(tmp_path):
    path = write_picture(tmp_path / "a.png", GREY16)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)
    assert "damaged" in refusal(path)[1]


def test_other_files_are_refused_by_their_content_whatever_their_name(tmp_path):
    PIL.Image.fromarray((GREY16 >> 8).astype(np.uint8)).save(tmp_path / "jpeg.png", format="JPEG")
    (tmp_path / "empty.dcm").touch()
    (tmp_path / "text.png").write_text("not an image")
    found = [refusal(tmp_path / name)[1] for name in ("jpeg.png", "empty.dcm", "text.png", "absent.png", ".")]
    assert found == [
        "a JPEG picture",
        "an empty file",
        "another file format",
        "No such file or directory",
        "Is a directory",
    ]
    write_picture(tmp_path / "a.png", GREY16).rename(tmp_path / "a.dcm")
    assert images.read_radiograph(tmp_path / "a.dcm").pixels.shape == GREY16.shape


# DICOM


def test_the_reference_radiograph_is_rescaled_windowed_and_then_inverted(reference):
    path = reference / "dicom" / "CR_cspine_lateral_monochrome1.dcm"
    expected = json.loads((path.parent / "expected.json").read_text())[path.name]
    stored = dcmread(path).pixel_array  # pydicom's own decoder, not used by the code under test
    assert (stored.min(), stored.max(), stored.sum()) == tuple(expected[f"raw_{k}"] for k in ("min", "max", "sum"))
    rescaled = stored * 0.684 + 200
    assert rescaled.mean() == pytest.approx(expected["rescaled_mean"], abs=1e-9)
    radiograph = images.read_radiograph(path)
    np.testing.assert_allclose(radiograph.pixels, 1 - linear_window(rescaled, 1600, 2800), atol=1e-7)
    assert radiograph.spacing == (0.1, 0.1)


def test_a_ct_slice_is_refused_as_a_radiograph_though_its_preamble_looks_like_tiff(reference):
    path = reference / "dicom" / "CT_small.dcm"
    assert path.read_bytes()[:4] == b"II*\0"
    assert refusal(path) == ("Modality CR, DX, DR or RG", "CT")


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize(("slope", "intercept"), [(1, 0), (2, -100), (0.5, 10)])
def test_rescale_window_and_inversion_happen_once_and_in_this_order(tmp_path, signed, photometric, slope, intercept):
    stored = (GREY12.astype(np.int16) - 2048) if signed else GREY12
    path = write_dicom(
        tmp_path / "a.dcm",
        stored,
        PhotometricInterpretation=photometric,
        RescaleSlope=slope,
        RescaleIntercept=intercept,
        WindowCenter=[700, 50],
        WindowWidth=[900, 3],
    )
    expected = linear_window(stored.astype(float) * slope + intercept, 700, 900)
    expected = 1 - expected if photometric == "MONOCHROME1" else expected
    np.testing.assert_allclose(images.read_radiograph(path).pixels, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("LINEAR", lambda v: np.clip((v - 1999.5) / 999 + 0.5, 0, 1)),
        ("LINEAR_EXACT", lambda v: np.clip((v - 2000) / 1000 + 0.5, 0, 1)),
        ("SIGMOID", lambda v: 1 / (1 + np.exp(-4 * (v - 2000) / 1000))),
    ],
)
def test_windows_follow_the_stated_function(tmp_path, function, expected):
    path = write_dicom(tmp_path / "a.dcm", GREY12, WindowCenter=2000, WindowWidth=1000, VOILUTFunction=function)
    np.testing.assert_allclose(images.read_radiograph(path).pixels, expected(GREY12.astype(float)), atol=1e-6)


@pytest.mark.parametrize("tags", [{}, {"WindowCenter": None, "WindowWidth": None}])
def test_without_a_window_the_image_spans_its_own_range(tmp_path, tags):
    pixels = images.read_radiograph(write_dicom(tmp_path / "a.dcm", GREY12, **tags)).pixels
    low, high = int(GREY12.min()), int(GREY12.max())
    np.testing.assert_allclose(pixels, (GREY12 - low) / (high - low), atol=1e-6)


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_a_voi_lut_goes_before_the_window_and_is_scaled_by_its_depth(tmp_path, bits):
    table = np.linspace(2**bits - 1, 0, 3000).round()  # 3000 entries from value 500 on, falling
    path = write_dicom(
        tmp_path / "a.dcm",
        GREY12,
        VOILUTSequence=[lookup_table(table, first=500, bits=bits)],
        WindowCenter=1,
        WindowWidth=2,
    )
    expected = table[np.clip(GREY12.astype(int) - 500, 0, 2999)] / (2**bits - 1)
    np.testing.assert_allclose(images.read_radiograph(path).pixels, expected, atol=1e-6)


def test_a_modality_lut_of_12_bits_stands_in_for_the_rescale(tmp_path):
    table = (np.arange(4096) ** 2 / 4095).round()
    path = write_dicom(
        tmp_path / "a.dcm",
        GREY12,
        ModalityLUTSequence=[lookup_table(table, first=0, bits=12)],
        WindowCenter=2000,
        WindowWidth=1000,
    )
    np.testing.assert_allclose(images.read_radiograph(path).pixels, linear_window(table[GREY12], 2000, 1000), atol=1e-6)


def test_spacing_is_the_pixels_and_else_the_detectors_rows_first(tmp_path):
    both = {"PixelSpacing": [0.2, 0.1], "ImagerPixelSpacing": [0.3, 0.3]}
    assert images.read_radiograph(write_dicom(tmp_path / "a.dcm", GREY12, **both)).spacing == (0.2, 0.1)
    only = {"ImagerPixelSpacing": [0.3, 0.15]}
    assert images.read_radiograph(write_dicom(tmp_path / "b.dcm", GREY12, **only)).spacing == (0.3, 0.15)
    assert images.read_radiograph(write_dicom(tmp_path / "c.dcm", GREY12)).spacing is None


def test_bits_above_those_stored_are_ignored(tmp_path):
    plain = images.read_radiograph(write_dicom(tmp_path / "a.dcm", GREY12)).pixels
    overlaid = images.read_radiograph(write_dicom(tmp_path / "b.dcm", GREY12 | 0x8000)).pixels
    np.testing.assert_array_equal(overlaid, plain)


@pytest.fixture(params=["deflated", "rle", "jpeg 2000", "jpeg lossless"])
def packed(request, tmp_path):
    """A packed MONOCHROME1 radiograph of GREY12 with rescale and window."""
    tags = {
        "PhotometricInterpretation": "MONOCHROME1",
        **{"RescaleSlope": 2, "RescaleIntercept": -100, "WindowCenter": 3000, "WindowWidth": 4000},
    }
    path = tmp_path / "packed.dcm"
    if request.param == "deflated":
        return write_dicom(path, GREY12, syntax=DeflatedExplicitVRLittleEndian, **tags)
    if request.param == "rle":
        data = dcmread(write_dicom(path, GREY12, **tags))
        data.compress(RLELossless)
    else:
        writer = sitk.ImageFileWriter()
        writer.SetImageIO("GDCMImageIO")
        writer.SetFileName(str(path))
        writer.UseCompressionOn()
        writer.SetCompressor({"jpeg 2000": "JPEG2000", "jpeg lossless": "JPEG"}[request.param])
        writer.Execute(sitk.GetImageFromArray(GREY12))
        data = dcmread(path)
        assert data.file_meta.TransferSyntaxUID in (JPEG2000Lossless, JPEGLosslessSV1)
        data.Modality = "DX"
        for name, value in tags.items():
            setattr(data, name, value)
    data.save_as(path)
    return path


def test_compressed_files_open_to_the_same_values(packed):
    expected = 1 - linear_window(GREY12 * 2.0 - 100, 3000, 4000)
    np.testing.assert_allclose(images.read_radiograph(packed).pixels, expected, atol=1e-6)


@pytest.mark.parametrize("cut", [30, 900])
def test_truncated_dicom_is_refused_compressed_or_not(packed, tmp_path, cut):
    packed.write_bytes(packed.read_bytes()[:-cut])
    assert refusal(packed)[0] == "an intact DICOM file"
    plain = write_dicom(tmp_path / "plain.dcm", GREY12)
    plain.write_bytes(plain.read_bytes()[:-cut])
    assert refusal(plain) == ("an intact DICOM file", f"a truncated one, {4800 - cut} of 4800 bytes of pixels")


@pytest.mark.parametrize(
    ("tags", "required", "found"),
    [
        ({"Modality": "MG"}, "Modality CR, DX, DR or RG", "MG"),
        ({"Modality": ""}, "Modality CR, DX, DR or RG", "no Modality"),
        ({"PhotometricInterpretation": "RGB"}, "MONOCHROME1 or MONOCHROME2", "RGB"),
        ({"SOPClassUID": CTImageStorage, "Modality": "CT"}, "Modality CR, DX, DR or RG", "CT"),
    ],
)
def test_dicom_that_is_no_grey_radiograph_is_refused(tmp_path, tags, required, found):
    assert refusal(write_dicom(tmp_path / "a.dcm", GREY12, **tags)) == (required, found)


def test_several_frames_are_refused(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", np.stack([GREY12, GREY12]), NumberOfFrames=2)
    assert refusal(path) == ("one two-dimensional image", "2 frames or pages")


def test_unusable_tags_and_reports_without_pixels_are_refused(tmp_path):
    window = write_dicom(tmp_path / "a.dcm", GREY12, WindowCenter=100, WindowWidth=0)
    assert refusal(window)[0] == "well-formed rescale, window and spacing tags"
    data = dcmread(write_dicom(tmp_path / "b.dcm", GREY12))
    del data.PixelData
    data.save_as(tmp_path / "b.dcm")
    assert refusal(tmp_path / "b.dcm")[1] == "no PixelData: truncated, or no image"
    (tmp_path / "c.dcm").write_bytes(bytes(128) + b"DICM" + RNG.bytes(500))
    assert refusal(tmp_path / "c.dcm")[0] == "an intact DICOM file"


# LabelImg


def test_labelimg_boxes_are_the_published_ones_number_for_number(reference):
    folder = reference / "voc_xml" / "labelimg"
    expected = pd.read_csv(folder / "expected_boxes.csv")
    found = [
        (f"{path.stem}.jpg", box.name, box.xmin, box.ymin, box.xmax, box.ymax)
        for path in sorted(folder.glob("*.xml"))
        for box in images.read_labelimg(path)
    ]
    columns = ["filename", "class", "xmin", "ymin", "xmax", "ymax"]
    assert sorted(found) == sorted(expected[columns].itertuples(index=False, name=None))


def test_pascal_boxes_are_those_of_the_coco_file(reference):
    folder = reference / "voc_xml" / "pascal"
    coco = json.loads((folder / "same_boxes_coco.json").read_text())
    for image in coco["images"]:
        expected = [a["bbox"] for a in coco["annotations"] if a["image_id"] == image["id"]]
        boxes = images.read_labelimg((folder / image["file_name"]).with_suffix(".xml"))
        assert sorted([b.xmin, b.ymin, b.xmax - b.xmin, b.ymax - b.ymin] for b in boxes) == sorted(expected)


def test_a_box_counts_from_zero_and_excludes_its_maxima(tmp_path):
    path = write_picture(tmp_path / "a.png", GREY16)
    write_xml(tmp_path / "a.xml", ("Acute-L1", 10, 5, 34, 29))
    whole = images.read_radiograph(path).pixels
    crop = images.read_crops(samples(image=str(path), box=str(tmp_path / "a.xml")), size=24)[0]
    np.testing.assert_array_equal(crop.numpy(), np.round(whole[5:29, 10:34].astype(float) * 255).astype(np.uint8))


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("", "one that cannot be read: no element found"),
        ("<annotation><object>", "one that cannot be read: no element found"),
        ("<html/>", "XML of another kind, <html>"),
        ("<annotation><object><name>x</name></object></annotation>", "object x with corners ,,,"),
    ],
)
def test_xml_that_holds_no_boxes_is_refused(tmp_path, content, found):
    (tmp_path / "a.xml").write_text(content)
    with pytest.raises(images.ImageError) as error:
        images.read_labelimg(tmp_path / "a.xml")
    assert error.value.found.startswith(found)


# Own cohorts


def samples(**columns):
    """A validated frame of one own vertebra."""
    row = dict(zip(cohort.COLUMNS, ["s", "p", "Site 1", "testing", "acute", 70, "F", "L1", "", "", ""], strict=True))
    return cohort.validate(pd.DataFrame([row | columns]), stem=STEM, source="own")


@pytest.fixture
def own(tmp_path):
    """A function that writes a manifest of (sample_id, label, level, image, box) and returns its folder."""
    write_picture(tmp_path / "a.png", GREY16)

    def write(*rows):
        table = pd.DataFrame(rows, columns=["sample_id", "label", "level", "image", "box"])
        table = table.assign(patient_id="P-1", site="Site 1", cohort="development", age="", sex="")
        table.to_csv(tmp_path / "manifest.csv", index=False)
        return tmp_path

    return write


def faults_of(folder):
    with pytest.raises(cohort.CohortError) as error:
        images.open_own(folder, stem=STEM)
    return error.value.faults


def test_an_own_cohort_opens_with_numeric_boxes_and_pseudonyms(own, tmp_path):
    write_xml(tmp_path / "a.xml", ("Acute-L1", 1, 2, 30, 40), ("Chronic-L12", 5, 6, 20, 21))
    opened = images.open_own(
        own(
            ("P-1", "acute", "L1", "a.png", "a.xml"),
            ("P-2", "Chronic", "T12", "a.png", "a.xml"),
            ("P-3", "pathological", "", "a.png", "0,0,60,40"),
            ("P-4", "acute", "", "a.png", ""),
        ),
        stem=STEM,
    )
    assert opened["box"].tolist()[:3] == ["1,2,30,40", "5,6,20,21", "0,0,60,40"]
    assert pd.isna(opened["box"].iloc[3])
    assert opened["label"].tolist() == ["acute", "chronic", "pathologic", "acute"]
    assert opened["patient_id"].str.fullmatch("own-[0-9a-f]{12}").all()
    assert opened.index.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("box", "required", "found"),
    [
        ("10,20,900,700", "a box inside the image, in its pixels", "10,20,900,700 lies outside the image (60 x 40)"),
        ("-1,0,9,9", "a box inside the image, in its pixels", "-1,0,9,9 lies outside the image (60 x 40)"),
        ("0,0,60,41", "a box inside the image, in its pixels", "0,0,60,41 lies outside the image (60 x 40)"),
        ("30,0,10,20", "xmin < xmax and ymin < ymax", "30,0,10,20 is empty or inverted"),
        ("5,5,5,20", "xmin < xmax and ymin < ymax", "5,5,5,20 is empty or inverted"),
        ("1,2,x,4", "xmin,ymin,xmax,ymax in pixels", "1,2,x,4"),
        ("1,2,3", "xmin,ymin,xmax,ymax in pixels", "1,2,3"),
        ("1,2,nan,4", "xmin,ymin,xmax,ymax in pixels", "1,2,nan,4"),
    ],
)  # fmt: skip
def test_a_wrong_box_is_refused_in_these_words(own, box, required, found):
    (fault,) = faults_of(own(("P-0412", "acute", "L1", "a.png", box)))
    assert (fault.sample, fault.field, fault.required, fault.found) == ("P-0412", "box", required, found)


@pytest.mark.parametrize(
    ("objects", "found"),
    [
        ([], "no object"),
        ([("Acute-L2", 1, 1, 9, 9)], "Acute-L2"),
        ([("Chronic-L1", 1, 1, 9, 9)], "Chronic-L1"),
        ([("fracture", 1, 1, 9, 9), ("fracture", 2, 2, 9, 9)], "fracture, fracture"),
        ([("Acute-L1", 1, 1, 9, 9), ("Acute-L1", 2, 2, 9, 9)], "Acute-L1, Acute-L1"),
    ],
)
def test_xml_objects_that_do_not_tell_the_vertebra_are_refused(own, tmp_path, objects, found):
    write_xml(tmp_path / "a.xml", *objects)
    (fault,) = faults_of(own(("P-1", "acute", "L1", "a.png", "a.xml")))
    assert (fault.required, fault.found) == ("one object named Acute-L1", found)


def test_a_single_object_of_any_other_name_is_the_vertebra(own, tmp_path):
    write_xml(tmp_path / "a.xml", ("fracture", 1, 2, 30, 31))
    opened = images.open_own(own(("P-1", "acute", "L1", "a.png", "a.xml")), stem=STEM)
    assert opened["box"].tolist() == ["1,2,30,31"]


def test_xml_drawn_on_another_image_is_refused(own, tmp_path):
    write_xml(tmp_path / "a.xml", ("Acute-L1", 1, 2, 30, 31), size=(650, 417))
    (fault,) = faults_of(own(("P-1", "acute", "L1", "a.png", "a.xml")))
    assert fault.found == "boxes of an image of 650 x 417, this one is 60 x 40"


def test_all_faults_of_manifest_images_and_boxes_come_at_once_in_the_manifests_order(own, tmp_path):
    write_dicom(tmp_path / "ct.dcm", GREY12, Modality="CT")
    (tmp_path / "broken.png").write_bytes((tmp_path / "a.png").read_bytes()[:200])
    (tmp_path / "broken.xml").write_text("<annotation>")
    folder = own(
        ("P-1", "acute", "L1", "ct.dcm", ""),
        ("P-2", "sound", "L1", "a.png", "1,2,3,400"),
        ("P-3", "acute", "L9", "gone.png", "9,9,1,1"),
        ("P-4", "acute", "L1", "broken.png", "broken.xml"),
        ("P-5", "acute", "L1", "ct.dcm", ""),
    )
    faults = faults_of(folder)
    assert [(fault.sample, fault.field) for fault in faults] == [
        ("P-1", "image"),
        ("P-2", "label"),
        ("P-2", "box"),
        ("P-3", "level"),
        ("P-3", "image"),
        ("P-3", "box"),
        ("P-4", "image"),
        ("P-4", "box"),
        ("P-5", "image"),
    ]
    assert str(cohort.CohortError(faults)).startswith("9 faults in the cohort; nothing was run.\nsample")


# Crops


def test_a_crop_of_the_final_size_is_only_quantised(tmp_path):
    grey = (GREY16[:40, :40] >> 8).astype(np.uint8)
    path = write_picture(tmp_path / "a.png", grey)
    np.testing.assert_array_equal(images.read_crops(samples(image=str(path)), size=40)[0].numpy(), grey)


def test_crops_are_squares_that_do_not_keep_the_aspect_ratio(tmp_path):
    stripes = np.zeros((40, 80), np.uint8)
    stripes[:, 40:] = 200
    crop = images.read_crops(samples(image=str(write_picture(tmp_path / "a.png", stripes))), size=20)
    assert crop.dtype == torch.uint8
    assert crop.shape == (1, 20, 20)
    assert (crop[0, :, :9] == 0).all()
    assert (crop[0, :, 11:] == 200).all()


def test_shrinking_is_antialiased(tmp_path):
    board = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
    crop = images.read_crops(samples(image=str(write_picture(tmp_path / "a.png", board))), size=8)
    assert ((crop - 127).abs() <= 2).all()


@pytest.fixture
def renderer(monkeypatch):
    """A stand-in that writes the patient's number into the crop, so that order can be told."""
    from vcfkit.phantom import render

    def vertebra_crops(rows, *, size, device="cpu", masks=False):
        numbers = torch.tensor([int(re.search(r"/V(\d+)/", image)[1]) for image in rows["image"]])
        return numbers.to(torch.uint8).view(-1, 1, 1).expand(-1, size, size).clone()

    monkeypatch.setattr(render, "vertebra_crops", vertebra_crops)


def test_files_and_phantom_references_may_be_mixed_and_keep_their_order(tmp_path, renderer):
    paths = [write_picture(tmp_path / f"{grey}.png", flat(grey)) for grey in (200, 150)]
    rows = [
        samples(image=str(paths[1]), sample_id="a", box="0,0,8,8"),
        samples(image="phantom:02/V7/L1", sample_id="b"),
        samples(image=str(paths[0]), sample_id="c", box="0,0,8,8"),
        samples(image="phantom:02/V3/L1", sample_id="d"),
        samples(image=str(paths[1]), sample_id="e", box="0,0,8,8"),
    ]
    crops = images.read_crops(pd.concat(rows), size=4)
    assert crops[:, 0, 0].tolist() == [150, 7, 200, 3, 150]
    assert images.read_crops(pd.concat(rows).iloc[[3, 0]], size=4)[:, 0, 0].tolist() == [3, 150]


def flat(grey):
    """One grey value but for a corner: a file of one value alone counts as blank."""
    pixels = np.full((16, 16), grey, np.uint8)
    pixels[15, 15] = 0
    return pixels


@pytest.fixture
def many(tmp_path):
    """132 vertebrae of four files, in no order."""
    rows = []
    for i in range(4):
        path = write_picture(tmp_path / f"{i}.png", np.roll(GREY16, i))
        rows += [samples(image=str(path), sample_id=f"{i}-{j}", box=f"{j % 9},{j % 7},50,40") for j in range(33)]
    return pd.concat(rows).sample(frac=1, random_state=0)


def test_a_crop_is_the_same_whatever_it_is_read_together_with(many):
    together = images.read_crops(many, size=12)
    alone = torch.cat([images.read_crops(many.iloc[[i]], size=12) for i in range(0, len(many), 11)])
    assert torch.equal(together[::11], alone)
    assert len(torch.unique(together, dim=0)) == len(many)


@pytest.mark.slow
def test_several_processes_give_the_same_bytes(many):
    assert torch.equal(images.read_crops(many, size=12), images.read_crops(many, size=12, n_jobs=2))


def test_crops_that_cannot_be_read_are_all_named(tmp_path):
    write_picture(tmp_path / "a.png", GREY16)
    rows = [
        samples(image=str(tmp_path / "gone.png"), sample_id="one"),
        samples(image=str(tmp_path / "a.png"), sample_id="two", box="0,0,61,40"),
        samples(image=str(tmp_path / "a.png"), sample_id="three"),
    ]
    with pytest.raises(cohort.CohortError) as error:
        images.read_crops(pd.concat(rows), size=8)
    assert sorted((fault.sample, fault.field) for fault in error.value.faults) == [("one", "image"), ("two", "box")]


# Own beside virtual


def test_own_test_cohorts_stand_beside_virtual_patients_and_own_training_replaces_them(own):
    virtual = samples(sample_id="v", image="phantom:02/V1/L1", cohort="development")
    folder = own(("P-1", "acute", "L1", "a.png", ""))
    assert images.with_own(virtual, None, stem=STEM)["sample_id"].tolist() == ["v"]
    assert images.with_own(virtual, folder, stem=STEM)["source"].tolist() == ["own"]
    manifest = (folder / "manifest.csv").read_text()
    (folder / "manifest.csv").write_text(manifest.replace("development", "Our hospital"))
    both = images.with_own(virtual, folder, stem=STEM)
    assert both[["cohort", "source"]].to_numpy().tolist() == [["development", "virtual"], ["Our hospital", "own"]]
    (folder / "manifest.csv").write_text(manifest.replace("development", "testing"))
    with pytest.raises(cohort.CohortError, match="rename testing, or add training rows"):
        images.with_own(virtual, folder, stem=STEM)


# Conversion


def test_the_published_crops_become_a_cohort_that_opens(reference, tmp_path):
    written = images.convert_vcfnet(reference / "spine_xray", tmp_path / "out")
    expected = pd.read_csv(reference / "spine_xray" / "manifest.csv")
    opened = images.open_own(tmp_path / "out", stem=STEM)
    assert len(opened) == len(expected) == 15
    assert opened["label"].value_counts().to_dict() == dict.fromkeys(CLASSES, 5)
    assert sorted(written["patient_id"]) == sorted(expected["sex_age_key"])
    assert sorted(written["level"]) == sorted(
        {1: "L1", 2: "L2", 4: "L4", 12: "T12"}[code] for code in expected["level_code"]
    )
    assert sorted(opened["age"]) == sorted(expected["age"].astype(float))
    crops = images.read_crops(opened, size=32)
    assert crops.shape == (15, 32, 32)
    assert (crops.float().std(dim=(1, 2)) > 5).all()


def test_names_that_do_not_follow_the_pattern_are_all_refused_and_nothing_is_written(tmp_path):
    source = tmp_path / "in" / "Acute"
    source.mkdir(parents=True)
    for name in ("1-Acute-1-80-F.png", "1-acute-1-81-F.png", "2-Acute-9-80-F.png", "crop.png", "notes.txt"):
        (source / name).write_bytes(b"x")
    with pytest.raises(cohort.CohortError) as error:
        images.convert_vcfnet(tmp_path / "in", tmp_path / "out")
    assert [(fault.sample, fault.field) for fault in error.value.faults] == [
        ("Acute/2-Acute-9-80-F.png", "level code"),
        ("Acute/crop.png", "name"),
        ("acute-1-L1", "name"),
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_the_command_converts_a_read_only_folder_and_refuses_to_overwrite(tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    write_picture(source / "7-Pathologic-11-60-m.png", GREY16).chmod(0o400)
    source.chmod(0o500)
    command = ["convert", "vcfnet", str(source), str(tmp_path / "deep" / "out")]
    first, second = (CliRunner().invoke(app, command) for _ in range(2))
    source.chmod(0o700)
    assert (first.exit_code, second.exit_code) == (0, 1)
    assert "1 rows" in first.output
    assert "exists" in second.output
    manifest = (tmp_path / "deep" / "out" / "manifest.csv").read_text().splitlines()
    assert manifest[1] == (
        "pathologic-7-T11,M60,VCFNet,VCFNet sample,pathologic,60,M,T11,images/pathologic-7-T11.png,,"
    )
    assert sorted(p.name for p in (tmp_path / "deep").iterdir()) == ["out"]


def test_an_interrupted_conversion_leaves_nothing(tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    for name in ("1-Acute-1-80-F.png", "2-Acute-1-80-F.png"):
        (tmp_path / "in" / name).write_bytes(b"x")

    def full_disk(source, target):
        raise OSError("No space left on device")

    monkeypatch.setattr(convert.shutil, "copyfile", full_disk)
    with pytest.raises(OSError, match="No space left"):
        images.convert_vcfnet(tmp_path / "in", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_a_body_is_cropped_with_its_margin_and_an_empty_mask_is_named():
    pictures = torch.zeros(2, 40, 40, dtype=torch.uint8)
    masks = torch.zeros(2, 40, 40, dtype=torch.bool)
    masks[0, 10:30, 5:25], masks[1, :20, :20] = True, True
    pictures[0, 8:32, 3:27] = 200  # body and a margin of a tenth of 20 pixels: two on every side
    pictures[1, :22, :22] = 100  # where the window ends the margin does
    crops = images.crop_to_bodies(pictures, masks, size=32)
    assert crops.shape == (2, 32, 32)
    assert (crops[0] == 200).all()
    assert (crops[1] == 100).all()
    masks[1] = False
    with pytest.raises(ValueError, match=r"none in 1 .first: number 1"):
        images.crop_to_bodies(pictures, masks, size=32)
