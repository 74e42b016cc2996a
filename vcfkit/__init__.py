"""vcfkit: thin helpers behind the compendium's notebooks.

The modules follow the line that orders the README and every notebook:

    params → cohort → images → features / model → predictions → metrics → tables, figures → results

========================  =====================================================================
``vcfkit.params``         a profile's typed parameters; published values and where they stand
``vcfkit.phantom``        virtual patients: anatomy, signs, scanners, renderers, cohorts
``vcfkit.cohort``         samples frame: schema, inclusion flow, splits, baseline table
``vcfkit.images``         one way to read a sample: virtual, DICOM, PNG/TIFF, LabelImg boxes
``vcfkit.models``         networks, weights, device choice
``vcfkit.training``       one training loop; predict
``vcfkit.metrics``        one-vs-rest reports, AUC, bootstrap intervals
``vcfkit.explain``        Grad-CAM and its localisation score
``vcfkit.tables``         paper-shaped tables; published beside reproduced
``vcfkit.figures``        one function per kind of figure
``vcfkit.results``        the results folder: predictions, tables, figures, provenance
``vcfkit.run``            runs notebooks with papermill
========================  =====================================================================

Importing the package imports none of them, so that a notebook pays only for what it uses.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("vcfkit")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"
