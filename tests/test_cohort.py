"""The samples frame: what is refused and in which words, pseudonyms, splits, flow and baseline table."""

import hashlib
import re
import stat
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from vcfkit import cohort
from vcfkit.cohort import privacy

STEM = "02_xray_acute_chronic_pathological"
CLASSES = ("acute", "chronic", "pathologic")
HEADER = ",".join(cohort.COLUMNS)
GOOD = "P-1-L1,P-1,Site 1,development,acute,71,F,L1,a.png,,"


@pytest.fixture(autouse=True)
def salt(monkeypatch):
    monkeypatch.setenv("VCFKIT_SALT", "salt of the tests")


@pytest.fixture
def folder(tmp_path):
    """A function that writes manifest.csv (a header is added) and returns its folder; a.png and b.png exist."""
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"content of " + name.encode())

    def write(*rows, header=HEADER):
        (tmp_path / "manifest.csv").write_text("\n".join((header, *rows)) + "\n")
        return tmp_path

    return write


def faults_of(folder, **fields):
    """The manifest's faults, narrowed to those that have these fields."""
    _, faults = cohort.read_manifest(folder, stem=STEM)
    return [fault for fault in faults if all(getattr(fault, name) == value for name, value in fields.items())]


def frame(n_patients=60, seed=0, per_patient=2, cohort_name="development"):
    """Virtual patients with ``per_patient`` vertebrae each, labels 5 : 3 : 2."""
    rng = np.random.default_rng(seed)
    n = n_patients * per_patient
    patient = np.repeat(np.arange(n_patients), per_patient)
    return pd.DataFrame(
        {
            "sample_id": [f"V-{i:04d}" for i in range(n)],
            "patient_id": [f"V{p:04d}" for p in patient],
            "site": "Site 1",
            "cohort": cohort_name,
            "label": rng.choice(CLASSES, size=n, p=[0.5, 0.3, 0.2]),
            "age": rng.normal(70, 8, size=n_patients).round(1)[patient],
            "sex": rng.choice(["F", "M"], size=n_patients)[patient],
            "level": rng.choice(["T12", "L1", "L4"], size=n),
            "image": [f"phantom:02/V{p:04d}/L1" for p in patient],
            "mask": np.nan,
            "box": np.nan,
            "source": "virtual",
        }
    )


# The door


def test_a_good_manifest_has_no_faults_and_canonical_cells(folder):
    where = folder(
        '007,P-1,Site 1,Development,Pathological,071,f,l1,a.png,," 1,2,30,40"',
        "008,P-2,GZFPH,GZFPH,ACUTE,NA,NaN,na,b.png,,",
    )
    samples, faults = cohort.read_manifest(where, stem=STEM)
    assert faults == []
    assert list(samples) == [*cohort.COLUMNS, "source"]
    assert samples["sample_id"].tolist() == ["007", "008"]
    assert samples["label"].tolist() == ["pathologic", "acute"]
    assert samples["cohort"].tolist() == ["development", "GZFPH"]
    assert samples.iloc[0][["age", "sex", "level", "box"]].tolist() == [71.0, "F", "L1", "1,2,30,40"]
    assert samples.iloc[1][["age", "sex", "level", "mask", "box"]].isna().all()
    assert samples["age"].dtype == float
    assert samples["image"].tolist() == [str(where / "a.png"), str(where / "b.png")]
    assert set(samples["source"]) == {"own"}


def test_validate_gives_back_a_virtual_frame_unchanged():
    samples = frame()
    checked = cohort.validate(samples, stem=STEM, source="virtual")
    pd.testing.assert_frame_equal(checked, samples, check_dtype=False)


def test_mask_and_box_may_be_absent_and_further_columns_are_kept_last(folder):
    header = ",".join((*cohort.COLUMNS[:9], "t_score"))
    samples, faults = cohort.read_manifest(
        folder("s,p,Site 1,development,acute,,,,a.png,-2.9", header=header), stem=STEM
    )
    assert faults == []
    assert list(samples) == [*cohort.COLUMNS, "t_score", "source"]
    assert samples["t_score"].tolist() == ["-2.9"]


@pytest.mark.parametrize(
    ("column", "cell", "found", "required"),
    [
        ("label", "fracture", "fracture", "one of acute, chronic, pathologic"),
        ("label", "", "(blank)", "one of acute, chronic, pathologic"),
        ("patient_id", "", "(blank)", "a value"),
        ("site", "", "(blank)", "a value"),
        ("cohort", "", "(blank)", "a value"),
        ("image", "", "(blank)", "a value"),
        ("age", "seventy", "seventy", "years from 0 to 120, or blank"),
        ("age", "085Y", "085Y", "years from 0 to 120, or blank"),
        ("age", "-3", "-3", "years from 0 to 120, or blank"),
        ("age", "430", "430", "years from 0 to 120, or blank"),
        ("age", "inf", "inf", "years from 0 to 120, or blank"),
        ("sex", "X", "X", "one of F, M, or blank"),
        ("level", "L6", "L6", "T1 to T12, L1 to L5, or blank"),
        ("image", "nowhere.png", "nowhere.png does not exist", "an existing file"),
        ("image", "/nowhere/at/all.png", "/nowhere/at/all.png leads out of the folder", "an existing file"),
        ("image", "../nowhere.png", "../nowhere.png leads out of the folder", "an existing file"),
        ("image", ".", ". is a folder", "an existing file"),
        ("mask", "m.png", "m.png does not exist", "an existing file"),
        (
            "box",
            "b.xml",
            "b.xml does not exist",
            "an existing file (LabelImg XML, COCO json), or xmin,ymin,xmax,ymax",
        ),
    ],
)
def test_a_wrong_cell_is_one_fault_that_names_sample_field_required_and_found(folder, column, cell, found, required):
    cells = dict(zip(cohort.COLUMNS, GOOD.split(","), strict=True)) | {column: cell}
    (fault,) = faults_of(folder(",".join(cells.values())))
    assert (fault.sample, fault.field, fault.required, fault.found) == ("P-1-L1", column, required, found)
    assert fault.next_step


def test_a_path_may_not_leave_the_folder_by_its_root_its_dots_or_a_link(folder, tmp_path, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "c.png").write_bytes(b"c")
    (tmp_path / "link.png").symlink_to(elsewhere / "c.png")
    (tmp_path / "inner.png").symlink_to(tmp_path / "a.png")
    where = folder(
        f"s1,p1,Site 1,development,acute,,,,{elsewhere / 'c.png'},,",
        f"s2,p2,Site 1,development,acute,,,,../{elsewhere.name}/c.png,,",
        "s3,p3,Site 1,development,acute,,,,link.png,,",
        "s4,p4,Site 1,development,acute,,,,inner.png,,",
        f"s5,p5,Site 1,development,acute,,,,{tmp_path / 'a.png'},,",
    )
    faults = faults_of(where)
    assert [fault.sample for fault in faults] == ["s1", "s2", "s3"]
    assert all("out of the folder" in fault.found for fault in faults)
    assert "link" in faults[2].found


def test_a_windows_path_is_told_to_use_slashes(folder):
    (fault,) = faults_of(folder(GOOD.replace("a.png", r"images\a.png")))
    assert fault.next_step == r"write / instead of \ in the path"


def test_all_missing_columns_are_named_at_once_with_the_nearest_present_name(folder):
    header = "Sample,patient_id,site,cohort,class,age,gender,level,image"
    found = {f.field: f.next_step for f in faults_of(folder("s,p,x,development,acute,,,,a.png", header=header))}
    assert set(found) == {"sample_id", "label", "sex"}
    assert found["sample_id"] == 'rename "Sample" to "sample_id"'
    assert found["label"] == 'add the column "label"'


def test_rows_are_checked_although_a_column_is_missing(folder):
    header = ",".join(c for c in cohort.COLUMNS if c != "site")
    faults = faults_of(folder("s,p,development,acute,old,,,gone.png,,", header=header))
    assert [fault.field for fault in faults] == ["site", "age", "image"]


def test_a_repeated_sample_names_the_line_where_it_stood_first(folder):
    (fault,) = faults_of(folder(GOOD, GOOD))
    assert (fault.required, fault.found) == ("unique", "P-1-L1 again, also line 2")


def test_a_row_without_a_name_is_called_by_its_line(folder):
    (fault,) = faults_of(folder(GOOD, "," + GOOD.split(",", 1)[1]))
    assert (fault.sample, fault.field) == ("line 3", "sample_id")


def test_a_patient_in_two_cohorts_is_refused_without_being_named(folder):
    where = folder(
        "s1,Huber-1950,Site 1,training,acute,,,,a.png,,",
        "s2,Huber-1950,Site 1,testing,acute,,,,b.png,,",
        "s3,other,Site 1,training,acute,,,,b.png,,",
    )
    (fault,) = faults_of(where)
    assert fault.sample == "s1"
    assert fault.found == "training, and the same patient in testing as s2"
    assert "Huber" not in str(fault)


def test_a_virtual_patient_may_stand_in_training_and_testing_only():
    samples = frame(n_patients=2)
    samples["cohort"] = ["training", "testing", "training", "training"]
    cohort.validate(samples, stem=STEM, source="virtual")
    samples["cohort"] = ["training", "prospective", "training", "training"]
    with pytest.raises(cohort.CohortError, match="every patient in one cohort only"):
        cohort.validate(samples, stem=STEM, source="virtual")


def test_folder_and_file_faults_come_alone_with_a_next_step(tmp_path, folder):
    cases = {
        "nothing there": tmp_path / "absent",
        "a file": tmp_path / "a.png",
        "none in the folder": tmp_path,
    }
    for found, where in cases.items():
        (fault,) = faults_of(where)
        assert (fault.found, bool(fault.next_step)) == (found, True)
    (tmp_path / "Manifest.csv.txt").write_text("")
    (tmp_path / "manifest.tsv").write_text("")
    assert faults_of(tmp_path)[0].next_step == 'rename "manifest.tsv" to manifest.csv'


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "an empty file"),
        (b"\n\n", "an empty file"),
        (HEADER.encode() + b"\n", "none"),
        (HEADER.replace(",", ";").encode() + b"\ns;p", "semicolons"),
        (HEADER.replace(",", "\t").encode() + b"\ns\tp", "tabs"),
        (HEADER.encode() + b",label\n", "twice: label"),
        ((HEADER + "\n" + GOOD.replace("Site 1", "广州")).encode("gbk"), "unreadable"),
        ((HEADER + "\n" + '"' + GOOD).encode(), "unreadable"),
    ],
)
def test_an_unusable_csv_is_one_fault(tmp_path, content, found):
    (tmp_path / "manifest.csv").write_bytes(content)
    (fault,) = faults_of(tmp_path)
    assert fault.found.startswith(found)


def test_a_byte_order_mark_and_empty_spreadsheet_columns_do_no_harm(tmp_path):
    (tmp_path / "a.png").write_bytes(b"a")
    (tmp_path / "manifest.csv").write_text(f"{HEADER},,\n{GOOD},,\n", encoding="utf-8-sig")
    assert faults_of(tmp_path) == []


def test_an_unquoted_box_is_told_to_be_quoted_and_other_rows_are_still_checked(folder):
    where = folder(GOOD + "10,20,90,70", "P-2,P-2,Site 1,development,sound,,,,a.png,,")
    cells, label = faults_of(where)
    assert (cells.sample, cells.found) == ("line 2", "14 cells")
    assert "quotes" in cells.next_step
    assert (label.sample, label.field) == ("P-2", "label")


def test_the_error_prints_a_table_with_a_line_per_fault_in_the_manifests_order(folder):
    _, faults = cohort.read_manifest(
        folder(GOOD.replace("acute", "new").replace("71", "old"), GOOD.replace("P-1-L1", "P-9").replace(",F,", ",?,")),
        stem=STEM,
    )
    lines = str(cohort.CohortError(faults)).splitlines()
    assert lines[0] == "3 faults in the cohort; nothing was run."
    assert [cell.strip() for cell in lines[1].split("|")] == ["sample", "field", "required", "found", "next step"]
    assert [tuple(cell.strip() for cell in line.split("|")[:2]) for line in lines[3:]] == [
        ("P-1-L1", "label"),
        ("P-1-L1", "age"),
        ("P-9", "sex"),
    ]
    assert len({line.index("|") for line in lines[1:] if "+" not in line}) == 1


def test_validate_raises_all_faults_at_once():
    samples = frame(n_patients=3)
    samples.loc[0, "label"], samples.loc[2, "sex"], samples.loc[4, "age"] = "sound", "?", 200
    with pytest.raises(cohort.CohortError) as error:
        cohort.validate(samples, stem=STEM, source="virtual")
    assert [fault.field for fault in error.value.faults] == ["label", "sex", "age"]


# Pseudonyms and what may be written


def test_patients_of_a_manifest_become_pseudonyms_also_inside_sample_names(folder):
    where = folder(
        "MRN4711-L1,MRN4711,Site 1,development,acute,,,L1,a.png,,",
        "MRN4711_L2,MRN4711,Site 1,development,acute,,,L2,a.png,,",
        "s-011,11,Site 1,development,acute,,,,a.png,,",
        "11-L3,11,Site 1,development,acute,,,,a.png,,",
    )
    samples, _ = cohort.read_manifest(where, stem=STEM)
    mrn, eleven = cohort.pseudonym("MRN4711"), cohort.pseudonym("11")
    assert re.fullmatch("own-[0-9a-f]{12}", mrn)
    assert samples["patient_id"].tolist() == [mrn, mrn, eleven, eleven]
    assert samples["sample_id"].tolist() == [f"{mrn}-L1", f"{mrn}_L2", "s-011", f"{eleven}-L3"]


def test_a_virtual_patient_exported_to_a_manifest_keeps_its_name(folder):
    row = f"{GOOD},virtual,phantom:{STEM}/P-1/L1?seed=0&effect=1.0&nuisance=1.0"
    samples, faults = cohort.read_manifest(folder(row, header=HEADER + ",source,reference"), stem=STEM)
    assert faults == []
    assert samples[["sample_id", "patient_id", "source"]].iloc[0].tolist() == ["P-1-L1", "P-1", "virtual"]


@pytest.mark.parametrize(
    "reference",
    ["", "phantom:", f"phantom:{STEM}/P-1/L1", "phantom:05_ct_acute_chronic/Huber-1950/L1", "Huber-1950"],
)
def test_a_person_cannot_be_declared_virtual(folder, reference):
    rows = [f"s{i},Huber-1950,Site 1,{name},acute,71,F,L1,a.png,,,virtual,{reference}" for i, name in enumerate("ab")]
    faults = faults_of(folder(*rows, header=HEADER + ",source,reference"), field="source")
    assert [fault.sample for fault in faults] == ["s0", "s1"]
    assert {fault.next_step for fault in faults} == {"leave out the columns source and reference"}
    assert "Huber" not in "".join(map(str, faults))


def test_a_manifest_with_a_source_and_no_references_holds_own_patients_only(folder):
    header = HEADER + ",source"
    (fault,) = faults_of(folder(GOOD + ",virtual", header=header))
    assert (fault.field, fault.found) == ("source", "virtual with no reference")
    samples, faults = cohort.read_manifest(folder(GOOD + ",own", header=header), stem=STEM)
    assert (faults, samples["patient_id"].tolist()) == ([], [cohort.pseudonym("P-1")])


def test_pseudonyms_depend_on_the_salt(monkeypatch):
    first = cohort.pseudonym("P-1")
    assert cohort.pseudonym("P-1") == first != cohort.pseudonym("P-2")
    monkeypatch.setenv("VCFKIT_SALT", "another")
    assert cohort.pseudonym("P-1") != first


def test_without_the_variable_a_salt_is_made_once_for_its_owner_only(monkeypatch, tmp_path):
    monkeypatch.delenv("VCFKIT_SALT")
    monkeypatch.setattr(privacy, "SALT_FILE", tmp_path / ".vcfkit-salt")
    first = cohort.pseudonym("P-1")
    assert stat.S_IMODE(privacy.SALT_FILE.stat().st_mode) == 0o600
    assert len(privacy.SALT_FILE.read_text().strip()) == 64
    assert cohort.pseudonym("P-1") == first
    assert [path.name for path in tmp_path.iterdir()] == [".vcfkit-salt"]


def test_where_no_salt_can_be_kept_the_variable_is_asked_for(monkeypatch, tmp_path):
    monkeypatch.delenv("VCFKIT_SALT")
    monkeypatch.setattr(privacy, "SALT_FILE", tmp_path / "absent" / ".vcfkit-salt")
    with pytest.raises(cohort.CohortError, match=r"set \$VCFKIT_SALT"):
        cohort.pseudonym("P-1")


def test_results_hold_no_path_no_identifier_and_no_unknown_column_of_own_rows(folder):
    where = folder(
        'x,Huber-1950,Site 1,development,acute,71,F,L1,a.png,b.png,"1,2,3,4",Huber,-2.5',
        header=HEADER + ",name,t_score",
    )
    own, faults = cohort.read_manifest(where, stem=STEM)
    assert faults == []
    shown = cohort.for_results(own, extras=["t_score"])
    assert list(shown) == [*cohort.COLUMNS, "t_score", "source"]
    row = shown.iloc[0]
    assert re.fullmatch("sha256:[0-9a-f]{16}", row["image"])
    assert row["image"] != row["mask"]
    assert (row["box"], row["t_score"]) == ("1,2,3,4", "-2.5")
    text = shown.to_csv()
    assert "Huber" not in text
    assert str(where) not in text


def test_results_name_a_file_by_its_content_not_by_its_place(folder):
    (folder(GOOD) / "copy.png").write_bytes(b"content of a.png")
    where = folder(GOOD, GOOD.replace("P-1-L1", "P-1-L2").replace("a.png", "copy.png"))
    shown = cohort.for_results(cohort.read_manifest(where, stem=STEM)[0])
    assert shown["image"].nunique() == 1
    assert shown["image"].iloc[0] == "sha256:" + hashlib.sha256(b"content of a.png").hexdigest()[:16]


def test_virtual_rows_are_written_as_they_are_beside_own_ones(folder):
    virtual = frame(n_patients=2).assign(height_loss=0.3)
    own, _ = cohort.read_manifest(folder(GOOD + ",0.9", header=HEADER + ",height_loss"), stem=STEM)
    shown = cohort.for_results(pd.concat([virtual, own], ignore_index=True))
    pd.testing.assert_frame_equal(shown.iloc[: len(virtual)], virtual, check_dtype=False)
    assert pd.isna(shown["height_loss"].iloc[-1])


# Splits


def test_the_vertebra_split_takes_a_fifth_of_every_class():
    samples = cohort.split(frame(200), test_fraction=0.2, seed=1)
    assert set(samples["cohort"]) == {"training", "testing"}
    for _, rows in samples.groupby("label"):
        assert (rows["cohort"] == "testing").sum() == round(0.2 * len(rows))


@pytest.mark.parametrize("unit", ["vertebra", "patient"])
def test_a_split_depends_on_the_seed_and_not_on_the_order_of_rows(unit):
    samples = frame(60)
    split = cohort.split(samples, test_fraction=0.2, unit=unit, seed=3)
    shuffled = cohort.split(samples.sample(frac=1, random_state=0), test_fraction=0.2, unit=unit, seed=3)
    pd.testing.assert_series_equal(shuffled["cohort"].sort_index(), split["cohort"])
    other = cohort.split(samples, test_fraction=0.2, unit=unit, seed=4)
    assert (other["cohort"] != split["cohort"]).any()
    assert (samples["cohort"] == "development").all(), "the caller's frame was changed"


@pytest.mark.parametrize("seed", range(5))
def test_the_patient_split_shares_nobody_and_keeps_the_class_shares(seed):
    samples = cohort.split(frame(200), test_fraction=0.2, unit="patient", seed=seed)
    assert cohort.shared_patients(samples) == 0
    share = (samples["cohort"] == "testing").groupby(samples["label"]).mean()
    assert share.between(0.17, 0.23).all(), share


def test_the_vertebra_split_shares_patients_and_counts_them():
    samples = cohort.split(frame(200), test_fraction=0.2, seed=0)
    sides = samples.groupby("patient_id")["cohort"].agg(set)
    assert cohort.shared_patients(samples) == sum(side == {"training", "testing"} for side in sides) > 0


def test_other_cohorts_are_left_alone_and_do_not_move_the_split():
    external = frame(20, seed=9, cohort_name="WHTH").assign(sample_id=lambda f: "W" + f["sample_id"])
    alone = cohort.split(frame(), test_fraction=0.2, seed=0)
    both = cohort.split(pd.concat([external, frame()], ignore_index=True), test_fraction=0.2, seed=0)
    assert (both["cohort"].iloc[: len(external)] == "WHTH").all()
    assert both["cohort"].iloc[len(external) :].tolist() == alone["cohort"].tolist()


@pytest.mark.parametrize("unit", ["vertebra", "patient"])
def test_a_class_too_small_for_both_sides_is_refused(unit):
    samples = frame(30)
    samples["label"] = samples["label"].replace("pathologic", "acute")
    samples.loc[7, "label"] = "pathologic"
    with pytest.raises(cohort.CohortError) as error:
        cohort.split(samples, test_fraction=0.2, unit=unit, seed=0)
    (fault,) = error.value.faults
    assert fault.sample == "class pathologic"


def test_a_manifests_own_split_is_kept_but_must_hold_a_test_cohort():
    samples = frame(30)
    samples["cohort"] = np.where(samples.index < 45, "training", "testing")
    pd.testing.assert_frame_equal(cohort.split(samples, test_fraction=0.2, seed=0), samples)
    with pytest.raises(cohort.CohortError, match="training and a test cohort"):
        cohort.split(samples[samples["cohort"] == "training"], test_fraction=0.2, seed=0)
    elsewhere = samples.assign(cohort=samples["cohort"].replace("testing", "another hospital"))
    pd.testing.assert_frame_equal(cohort.split(elsewhere, test_fraction=0.2, seed=0), elsewhere)
    samples.loc[0, "cohort"] = "development"
    with pytest.raises(cohort.CohortError, match="1 development rows beside 59"):
        cohort.split(samples, test_fraction=0.2, seed=0)


def test_wrong_split_settings_say_what_is_required():
    with pytest.raises(ValueError, match='"vertebra" or "patient" required'):
        cohort.split(frame(), test_fraction=0.2, unit="image", seed=0)
    with pytest.raises(ValueError, match="between 0 and 1"):
        cohort.split(frame(), test_fraction=20, seed=0)


# Counts and Table 1


def test_the_flow_counts_patients_vertebrae_and_classes_and_nobody_twice_in_the_total():
    samples = pd.concat([frame(3, cohort_name="WHTH"), frame(3, cohort_name="testing"), frame(2)])
    samples["label"] = ["acute"] * 6 + ["chronic"] * 6 + ["acute", "chronic"] * 2
    table = cohort.flow(samples)
    assert table.index.tolist() == ["development", "testing", "WHTH", "total"]
    assert table.columns.tolist() == ["patients", "vertebrae", "acute", "chronic"]
    assert table.loc["development"].tolist() == [2, 4, 2, 2]
    assert table.loc["WHTH"].tolist() == [3, 6, 6, 0]
    assert table.loc["total"].tolist() == [3, 16, 8, 8]


def three_cohorts():
    return pd.concat(
        [frame(40, seed=i, cohort_name=c).assign(patient_id=lambda f, c=c: c + f["patient_id"])
         for i, c in enumerate(["training", "testing", "WHTH"])],
        ignore_index=True,
    )  # fmt: skip


def test_the_baseline_table_is_text_free_of_warnings_and_the_same_every_time(capfd):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", DeprecationWarning)  # of tableone's own code; Python shows them to nobody
        tables = [cohort.baseline_table(three_cohorts()) for _ in range(2)]
    pd.testing.assert_frame_equal(*tables)
    assert tables[0].columns.tolist() == [
        *("variable", "value", "missing", "overall", "training", "testing", "WHTH", "p_value", "test")
    ]
    assert all(isinstance(cell, str) for cell in tables[0].to_numpy().ravel())
    assert capfd.readouterr() == ("", "")


def test_age_and_sex_count_patients_and_level_and_label_count_vertebrae():
    samples = three_cohorts()
    table = cohort.baseline_table(samples).replace("", np.nan).ffill().set_index(["variable", "value"])
    training = samples[samples["cohort"] == "training"]
    patients = training.drop_duplicates("patient_id")
    age = f"{patients['age'].mean():.1f} ({patients['age'].std():.1f})"
    assert table.xs("age in years, mean (SD)")["training"].tolist() == [age]
    women, lumbar = (patients["sex"] == "F").sum(), training["level"].str.startswith("L").sum()
    assert table.loc[("sex, n (%)", "F"), "training"] == f"{women} ({100 * women / 40:.1f})"
    assert table.loc[("level group, n (%)", "lumbar"), "training"] == f"{lumbar} ({100 * lumbar / 80:.1f})"


def test_the_tests_are_named_and_their_p_values_are_scipys():
    samples = three_cohorts()
    table = cohort.baseline_table(samples)
    rows = table[table["test"] != ""].set_index("variable")
    assert rows["test"].to_dict() == {
        "age in years, mean (SD)": "One-way ANOVA",
        "sex, n (%)": "Chi-squared",
        "level group, n (%)": "Chi-squared",
        "label, n (%)": "Chi-squared",
    }
    patients = samples.drop_duplicates("patient_id")
    age = stats.f_oneway(*[rows["age"] for _, rows in patients.groupby("cohort")]).pvalue
    label = stats.chi2_contingency(pd.crosstab(samples["cohort"], samples["label"])).pvalue
    assert rows.loc["age in years, mean (SD)", "p_value"] == f"{age:.3f}"
    assert rows.loc["label, n (%)", "p_value"] == f"{label:.3f}"


def test_small_groups_get_fishers_exact_test_or_a_warning_in_the_tests_name():
    samples = pd.concat([frame(3, cohort_name="training"), frame(3, seed=1, cohort_name="testing")])
    samples["sex"] = [*"FFFFMM", *"FFMMMM"]
    samples["label"] = [*CLASSES, *CLASSES] * 2
    samples["patient_id"] += samples["cohort"]
    tests = cohort.baseline_table(samples).set_index("variable")["test"]
    assert tests["sex, n (%)"] == "Fisher's exact"
    assert tests["label, n (%)"] == "Chi-squared (warning: expected count < 5)"


def test_blank_cells_are_counted_and_a_group_without_values_is_not_tested():
    samples = three_cohorts()
    samples.loc[samples["cohort"] == "WHTH", "age"] = np.nan
    samples.loc[samples["cohort"] == "testing", "age"] = [80, *[np.nan] * 79]
    samples["sex"] = None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", DeprecationWarning)
        table = cohort.baseline_table(samples).set_index("variable")
    age, sex = table.loc["age in years, mean (SD)"], table.loc["sex, n (%)"]
    assert (age["missing"], age["WHTH"], age["p_value"]) == ("79", "", "")
    assert age["testing"].startswith("80.0")
    assert (sex["missing"], sex["overall"], sex["p_value"]) == ("120", "", "")


def test_one_cohort_alone_is_described_without_tests():
    table = cohort.baseline_table(frame())
    assert "p_value" not in table
    assert table["development"].iloc[0] == "60"


def _people(*, age=None, seed=0):
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame({"patient_id": [f"P{k}" for k in range(60)], "group": ["a"] * 35 + ["b"] * 25})
    rows["age"] = rng.normal(60, 10, 60) if age is None else age
    rows["sex"] = rng.choice(["F", "M"], 60)
    return rows


def test_groups_are_compared_with_the_tests_that_the_rule_names():
    rows = _people()
    a, b = (rows.loc[rows["group"] == g, "age"] for g in "ab")
    table = cohort.compare_groups(rows, by="group").set_index("variable")
    assert table.loc["age", "test"] == "Student's t"
    assert table.loc["age", "p_value"] == pytest.approx(stats.ttest_ind(a, b).pvalue)
    counts = pd.crosstab(rows["sex"], rows["group"])
    assert table.loc["sex", "test"] == "chi-squared"
    assert table.loc["sex", "p_value"] == pytest.approx(stats.chi2_contingency(counts, correction=False).pvalue)
    assert table.loc["patients", ["a", "b"]].tolist() == ["35", "25"]

    skewed = _people(age=np.exp(np.random.default_rng(1).normal(0, 1, 60)))
    skewed.loc[skewed.index[1:], "sex"] = "F"
    skewed.loc[0, "sex"] = "M"
    table = cohort.compare_groups(skewed, by="group").set_index("variable")
    assert table.loc["age", "test"] == "Mann–Whitney U"
    assert table.loc["sex", "test"] == "Fisher's exact"
    assert table.loc["sex", "p_value"] == pytest.approx(
        stats.fisher_exact(pd.crosstab(skewed["sex"], skewed["group"]))[1]
    )


def test_printed_p_values_of_paper_01_come_out_of_its_counts():
    """Table 3: sex 0.677 and 0.331, fresh fractures 0.714 and below 0.001."""
    from vcfkit import phantom

    films = phantom.draw("01_xray_fresh_vcf")
    for site, sex, fresh in (("YHDH", 0.677, 0.714), ("BMUH", 0.331, 0.0)):
        table = cohort.compare_groups(films[films["cohort"] == site], by="has_old_vcf", kinds=("sex", "label"))
        p_values = table.set_index("variable")["p_value"]
        assert round(p_values["sex"], 3) == sex
        assert round(p_values["label"], 3) == fresh


def test_groups_too_small_to_test_say_so_and_a_patient_in_two_rows_is_refused():
    rows = _people().iloc[33:37]
    table = cohort.compare_groups(rows.assign(sex="F"), by="group").set_index("variable")
    assert table.loc[["age", "sex"], "p_value"].isna().all()
    assert table.loc["age", "test"].startswith("not tested")
    with pytest.raises(ValueError, match="one row per patient"):
        cohort.compare_groups(pd.concat([rows, rows]), by="group")
