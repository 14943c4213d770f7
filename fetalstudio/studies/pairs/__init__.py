"""The trial of the pairs: what synthetic pairs add where few real frames are at hand.

Four designs share the machinery: ``carrier`` (a generator that may be shared stands in for frames
that may not), ``confirmation`` (the same with other draws and a stronger control), ``paper`` (the
paper's situation with its missing control) and ``unlabelled`` (frames without ellipses teach the
synthesizer). A design says which frames each training learns from
(:mod:`.carrier`, :mod:`.paper`, :mod:`.unlabelled`). :mod:`.trial` trains and tests one run after
the other, and :mod:`.report` makes tables and figures from the raw results alone.
"""
