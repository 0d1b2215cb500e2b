"""All networks of the gauntlet."""

from __future__ import annotations

from networks import attention, convolutions, gates, norms, regularization, structures

THEMES = (convolutions, norms, gates, attention, structures, regularization)
NETWORKS = tuple(network for theme in THEMES for network in theme.NETWORKS)
# they differ from another network in what ptq alone can tell: the other stages would repeat themselves
# fmt: off
SIBLINGS = frozenset((
    "adaptive_pool", "average_pool_padding", "bilinear", "cosine_classifier", "dilated", "elu", "encoder_layer",
    "feature_dropout", "gaussian_noise", "gelu_convolutions", "global_max_pool", "glu", "gated_mlp", "hardtanh",
    "inputs_rescaled", "instance_norm", "leaky_relu", "local_response_norm", "log_softmax", "max_pool_ceil", "mish",
    "mlp_mixer", "norm_behind_relu", "norm_of_images", "norm_without_gain", "pixel_unshuffle", "prelu_shared",
    "randomized_relu", "relative_bias", "rms_norm", "scalar_gate", "selective_kernel", "spatial_attention",
    "spectral_norm", "strips", "talking_heads", "torchvision_vit", "two_classes", "bare_parameter",
    "channel_attention", "clipped", "channel_norm", "drop_path", "functional_dropout", "in_place", "inception",
    "norm_before_classifier", "one_channel", "own_initialization", "position_ids", "reflect_padding",
    "squeeze_excite", "squeezed_head", "tied_linear", "upsampled", "weight_norm", "linear_attention",
    "several_taps",
))
# fmt: on
