"""Campaigns: the program is damaged, killed or starved at random, and the outcomes are counted.

``python -m fetalstudio.studies.campaigns NAME --trials N`` runs one. A campaign makes what its
trials need, runs each trial in a child process with limits, and judges how it ended. Each trial has
a seed, so that any outcome can be seen again. The tests run a few trials of each. Most of them need
a POSIX system.
"""
