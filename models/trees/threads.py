"""How trainings use threads. To be imported before numpy and xgboost, which read the environment when they load."""

import os

# Part of what makes a run repeatable: histograms are summed per thread.
THREADS = 2
# Sums in one order, however many cores the machine has; and threads that wait sleep, since beside other work they spin at its cost.
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
