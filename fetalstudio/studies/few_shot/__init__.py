"""What synthetic pairs add where a segmenter knows heads already, for docs/evidence/few-shot.md.

``python -m fetalstudio.studies.few_shot PROJECT OUT`` trains and tests, and :mod:`.figure` shows
the results. The trial with segmenters that know no heads is :mod:`fetalstudio.studies.pairs`.
"""
