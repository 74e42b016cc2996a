"""vcfkit: thin helpers behind the compendium's notebooks.

The modules follow the line that orders the README and every notebook:

    params → cohort → images → features / model → predictions → metrics → tables, figures → results

========================  =====================================================================
``vcfkit.params``         a profile's typed parameters; published values and where they stand
``vcfkit.checks``         arguments refused by name, at the door of every statistic
``vcfkit.estimates``      what an estimate and a test return
``vcfkit.astlof``         score and class of an osteoporotic vertebral fracture (paper 04)
``vcfkit.phantom``        virtual patients: anatomy, signs, scanners, renderers, cohorts
``vcfkit.cohort``         samples frame: schema, inclusion flow, splits, baseline table
``vcfkit.images``         one way to read a sample: virtual, DICOM, PNG, NIfTI, NRRD, boxes, masks
``vcfkit.sagittal``       sagittal slices and boxes out of a CT with labelled vertebrae
``vcfkit.radiomics``      extraction with pyradiomics, ICC of repeated delineations, ComBat over centres
``vcfkit.selection``      feature selection on training rows, its stability; classifiers by grid search
``vcfkit.fusion``         radiomics and deep features to one short list (paper 04)
``vcfkit.models``         networks, weights, device choice
``vcfkit.training``       one training loop; predict
``vcfkit.pretraining``    task pretraining on other virtual patients, with extra labels
``vcfkit.stand_ins``      two small pretrainings where RadImageNet and ImageNet are absent (paper 04)
``vcfkit.detection``      overlap of boxes, hits and misses, average precision
``vcfkit.detector``       Faster R-CNN for vertebrae on slices, its training and offline augmentation
``vcfkit.patches``        from boxes to labelled vertebra patches; resampling of training rows
``vcfkit.metrics``        reports, AUC, bootstrap and DeLong intervals, tests, calibration
``vcfkit.decision``       net benefit and decision curves, nomogram, corrected calibration
``vcfkit.readers``        reader study: operating points, multi-reader multi-case test, virtual readers
``vcfkit.explain``        Grad-CAM and its localisation score; SHAP of a linear model
``vcfkit.audit``          what printed numbers imply; the checks of each paper
``vcfkit.tables``         paper-shaped tables; published beside reproduced
``vcfkit.figures``        one function per kind of figure
``vcfkit.results``        the results folder: predictions, tables, figures, provenance
``vcfkit.run``            runs notebooks with papermill
``vcfkit.report``         the executed notebooks as a static site
``vcfkit.bench``          speed against what a user would write; ``vcfkit.studies`` coverage of intervals, effect sweep
``vcfkit.leakage``        what a network finds in virtual patients where nothing should be
``vcfkit.learnability``   whole radiographs learnt at the size of an hour on one core
========================  =====================================================================

A module imports only what stands before it (from ``results`` on: fronts), so that the arrows run one way.
Importing the package imports none of them, so that a notebook pays only for what it uses.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("vcfkit")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"
