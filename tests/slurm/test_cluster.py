"""The tiny study on a real Slurm: the same numbers as on one machine, and jobs as the cluster is asked for them."""

import pandas as pd
import pytest

from conftest_slurm import SLURM, jobs, jobs_of
