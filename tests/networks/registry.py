"""All networks of the gauntlet."""

from networks import attention, convolutions, gates, norms, regularization, structures

THEMES = (convolutions, norms, gates, attention, structures, regularization)
NETWORKS = tuple(network for theme in THEMES for network in theme.NETWORKS)
