"""The trainings of the bundled models, each with the measurement that its card states.

``python -m fetalstudio.studies.pretrain KIND`` runs one. Each kind of model is a module:
:mod:`.segmenter` (also for the judge), :mod:`.outline`, :mod:`.synthesizer` and :mod:`.detail`.
:mod:`.learnt_from` chooses what they learn from, :mod:`.running` how they are run, and
:mod:`.measures` makes the figures of cards.
"""
