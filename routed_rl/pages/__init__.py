"""The report page: what a run, or a folder of runs, learnt, to look at and to play with."""
