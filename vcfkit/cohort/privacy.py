"""Nobody's identifier reaches the results: pseudonyms under a salt, and the frame as it may be written."""

import hashlib
import hmac
import os
import re
import secrets
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from .faults import CohortError, Fault
from .schema import COLUMNS, PHANTOM, READERS, REFERENCE, box_numbers, study_of

SALT_VARIABLE = "VCFKIT_SALT"
SALT_FILE = Path(__file__).resolve().parents[2] / ".vcfkit-salt"


def pseudonym(patient_id: str) -> str:
    """``own-`` and 12 hexadecimal digits: HMAC-SHA-256 of the identifier under this machine's salt.

    The salt is ``$VCFKIT_SALT``, or the file ``.vcfkit-salt`` in the project root, made at first use and
    readable by its owner only. Without the salt the pseudonym can be neither reversed nor guessed; with the
    same salt it is the same again.
    """
    digest = hmac.new(_salt().encode(), patient_id.encode(), hashlib.sha256).hexdigest()
    return f"own-{digest[:12]}"


def pseudonymise(samples: pd.DataFrame) -> pd.DataFrame:
    """Replace the patient identifiers of all rows that are not virtual.

    A ``sample_id`` that holds its row's ``patient_id`` (``P-0412-L1`` of patient ``P-0412``) gets the
    pseudonym in its place: sample names are written to every results file. Shorter identifiers than four
    characters are replaced only where they stand apart from other letters and digits.
    """

    def hide(sample_id, patient_id, source):
        if source == "virtual" or not isinstance(patient_id, str):
            return sample_id, patient_id
        pattern = re.escape(patient_id)
        if len(patient_id) < 4:
            pattern = rf"(?<![0-9A-Za-z]){pattern}(?![0-9A-Za-z])"
        hidden = pseudonym(patient_id)
        if isinstance(sample_id, str):
            sample_id = re.sub(pattern, hidden, sample_id, flags=re.IGNORECASE)
        return sample_id, hidden

    names = [hide(*row) for row in samples[["sample_id", "patient_id", "source"]].itertuples(index=False, name=None)]
    hidden = pd.DataFrame(names, columns=["sample_id", "patient_id"], index=samples.index, dtype="str")
    return samples.assign(sample_id=hidden["sample_id"], patient_id=hidden["patient_id"])


def for_results(samples: pd.DataFrame, *, stem: str | None = None, extras: Sequence[str] = ()) -> pd.DataFrame:
    """The frame as it may be written to ``cohort.csv``: no path, no identifier.

    Files become ``sha256:`` and the first 16 hexadecimal digits of their content's hash, wherever they lie (a folder:
    of its files' hashes, by name); a ``box`` is kept when it is four numbers. An exported virtual sample stands under
    its phantom reference again. Columns beyond ``COLUMNS`` and ``source`` may hold anything in an own manifest, so own
    rows lose them, except the numbers, flags and words of the study, which the door has checked.

    Parameters
    ----------
    samples : DataFrame, one row per unit of the study
        A validated frame.
    stem : str, optional
        The study.
    extras : sequence of str
        Further columns of own rows known to identify nobody.
    """
    hashes: dict[str, str] = {}

    def fingerprint(cell):
        if not isinstance(cell, str) or not cell or cell.startswith(PHANTOM):
            return cell
        if cell not in hashes:
            hashes[cell] = f"sha256:{_digest(Path(cell))[:16]}"
        return hashes[cell]

    shown = samples.copy()
    if REFERENCE in shown:
        exported = (shown["source"] == "virtual") & shown[REFERENCE].astype("str").str.startswith(PHANTOM)
        shown["image"] = shown["image"].mask(exported, shown[REFERENCE])
        for column in ("mask", "box"):
            shown[column] = shown[column].mask(exported)
        shown = shown.drop(columns=REFERENCE)
    known = [] if stem is None else [extra for extra in study_of(stem).extras if extra.name in shown]
    shown = shown.drop(columns=[f"mask_{reader}" for reader in READERS], errors="ignore")
    for column in ("image", "mask"):
        shown[column] = shown[column].map(fingerprint)
    shown["box"] = [box if isinstance(box, str) and box_numbers(box) else fingerprint(box) for box in shown["box"]]
    own = shown["source"] != "virtual"
    kept = {extra.name for extra in known if not extra.personal}
    private = [c for c in shown.columns if c not in (*COLUMNS, "source", *kept, *extras)]
    if own.all():
        return shown.drop(columns=private)
    for column in private:
        shown[column] = shown[column].mask(own)
    return shown


def _digest(path: Path) -> str:
    """sha256 of a file, or of the names and hashes of a folder's files."""
    if path.is_dir():
        inside = sorted(file for file in path.iterdir() if file.is_file())
        return hashlib.sha256("".join(_digest(file) for file in inside).encode()).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _salt() -> str:
    """The salt of this machine's pseudonyms, made when there is none."""
    if salt := os.environ.get(SALT_VARIABLE, "").strip():
        return salt
    try:
        if not SALT_FILE.exists():
            # A link appears whole or not at all: two notebooks that start together cannot make two salts.
            handle, draft = tempfile.mkstemp(prefix=f"{SALT_FILE.name}-", dir=SALT_FILE.parent)  # mode 0600
            try:
                with os.fdopen(handle, "w") as file:
                    file.write(secrets.token_hex(32) + "\n")
                if not SALT_FILE.exists():
                    os.link(draft, SALT_FILE)
            except FileExistsError:
                pass  # the other notebook was first, and its salt is as good
            finally:
                Path(draft).unlink()
        salt = SALT_FILE.read_text().strip()
    except OSError as error:
        raise CohortError([_no_salt(f"{error.strerror or error}")]) from error
    if not salt:
        raise CohortError([_no_salt("an empty file")])
    return salt


def _no_salt(found: str) -> Fault:
    return Fault(
        SALT_FILE.name,
        "salt",
        "a secret for the pseudonyms of your patients",
        found,
        f"set ${SALT_VARIABLE} to a long random text and keep it to yourself",
    )
