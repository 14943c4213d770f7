"""How far synthetic frames can be told from real ones.

``python -m fetalstudio.studies.realism PROJECT MODEL`` measures it. :mod:`.pictures` makes what is
compared, :mod:`.measures` compares it, and :mod:`.two_samples` is the network that learns to tell
real from synthetic.
"""
