"""Attention in its spellings: timm, torchvision, torch.nn, forum posts."""

from __future__ import annotations

import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional

from networks.parts import MeanHead, Patches, Residual, head, mlp, stem
from networks.record import collector, without_channels

NETWORKS, network = collector()
WIDTH, HEADS = 32, 4


class Attention(nn.Module):
    """Fused queries, keys and values; variants change the scores or the weights."""

    def __init__(self, width: int = WIDTH, heads: int = HEADS):
        super().__init__()
        self.heads = heads
        self.norm, self.qkv, self.project = nn.LayerNorm(width), nn.Linear(width, 3 * width), nn.Linear(width, width)

    def split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        count, places, width = x.shape
        qkv = self.qkv(self.norm(x)).reshape(count, places, 3, self.heads, width // self.heads)
        return qkv.permute(2, 0, 3, 1, 4).unbind(0)

    def scores(self, q: Tensor, k: Tensor) -> Tensor:
        return q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5

    def weights(self, scores: Tensor) -> Tensor:
        return scores.softmax(-1)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.split(x)
        mixed = self.weights(self.scores(q, k)) @ v
        return x + self.project(mixed.transpose(1, 2).reshape(x.shape))


class Fused(Attention):
    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.split(x)
        mixed = functional.scaled_dot_product_attention(q, k, v)
        return x + self.project(mixed.transpose(1, 2).flatten(2))


class RelativeBias(Attention):
    """A bias of each head for each offset between two places, looked up by an integer buffer."""

    def __init__(self, side: int):
        super().__init__()
        self.table = nn.Parameter(torch.randn((2 * side - 1) ** 2, self.heads) * 0.02)
        place = torch.stack(torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")).flatten(1)
        offset = place[:, :, None] - place[:, None, :] + side - 1
        self.register_buffer("index", offset[0] * (2 * side - 1) + offset[1], persistent=False)

    def scores(self, q: Tensor, k: Tensor) -> Tensor:
        bias = self.table[self.index.flatten()].view(*self.index.shape, -1).permute(2, 0, 1)
        return super().scores(q, k) + bias[None]


class TalkingHeads(Attention):
    def __init__(self):
        super().__init__()
        self.before, self.after = nn.Linear(HEADS, HEADS), nn.Linear(HEADS, HEADS)

    def weights(self, scores: Tensor) -> Tensor:
        mixed = self.before(scores.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return self.after(mixed.softmax(-1).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Linear(Attention):
    """Kernel attention: no matrix of places by places."""

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.split(x)
        q, k = functional.elu(q) + 1, functional.elu(k) + 1
        context = k.transpose(-2, -1) @ v
        scale = 1 / (q @ k.sum(-2, keepdim=True).transpose(-2, -1) + 1e-6)
        return x + self.project((q @ context * scale).transpose(1, 2).reshape(x.shape))


class Windows(nn.Module):
    """Attention within 2x2 windows of a grid that is shifted by one place (Swin)."""

    def __init__(self, side: int):
        super().__init__()
        self.side, self.attention = side, RelativeBias(2)

    def forward(self, x: Tensor) -> Tensor:
        side, half, width = self.side, self.side // 2, x.shape[-1]
        grid = torch.roll(x.view(-1, side, side, width), (-1, -1), (1, 2))
        windows = grid.view(-1, half, 2, half, 2, width).transpose(2, 3).reshape(-1, 4, width)
        grid = self.attention(windows).view(-1, half, half, 2, 2, width).transpose(2, 3).reshape(-1, side, side, width)
        return torch.roll(grid, (1, 1), (1, 2)).flatten(1, 2)


class ClassToken(nn.Module):
    """A learned token in front, learned positions, the classifier reads that token."""

    def __init__(self, channels: int, places: int, classes: int, *blocks: nn.Module):
        super().__init__()
        self.patches = Patches(channels)
        self.token = nn.Parameter(torch.randn(1, 1, WIDTH) * 0.02)
        self.positions = nn.Parameter(torch.randn(1, places + 1, WIDTH) * 0.02)
        self.blocks = nn.Sequential(*blocks)
        self.norm, self.classifier = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x)
        x = torch.cat((self.token.expand(x.shape[0], -1, -1), x), 1) + self.positions
        return self.classifier(self.norm(self.blocks(x))[:, 0])


class PositionIds(nn.Module):
    """Positions are embedded from an integer buffer that is cut to length."""

    def __init__(self, places: int):
        super().__init__()
        self.table = nn.Embedding(2 * places, WIDTH)
        self.register_buffer("ids", torch.arange(2 * places)[None])

    def forward(self, x: Tensor) -> Tensor:
        return x + self.table(self.ids[:, : x.shape[1]])


class OwnQueries(nn.Module):
    """nn.MultiheadAttention reads all places with one learned query (attention pooling)."""

    def __init__(self, classes: int):
        super().__init__()
        self.query = nn.Parameter(torch.randn(1, 1, WIDTH) * 0.02)
        self.attention = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        self.classifier = nn.Linear(WIDTH, classes)

    def forward(self, x: Tensor) -> Tensor:
        pooled, _ = self.attention(self.query.expand(x.shape[0], -1, -1), x, x)
        return self.classifier(pooled[:, 0])


class SelfAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.attention = nn.LayerNorm(WIDTH), nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x)
        return x + self.attention(y, y, y, need_weights=False)[0]


class NonLocal(nn.Module):
    """Attention over pixels with 1x1 convolutions (non-local block, SAGAN), started by a scalar gate."""

    def __init__(self, width: int):
        super().__init__()
        self.q, self.k, self.v = (nn.Conv2d(width, size, 1) for size in (width // 2, width // 2, width))
        self.gate = nn.Parameter(torch.tensor(0.5))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (layer(x).flatten(2) for layer in (self.q, self.k, self.v))
        weights = torch.bmm(q.transpose(1, 2), k).softmax(-1)
        return self.gate * torch.bmm(v, weights.transpose(1, 2)).view_as(x) + x


def _places(size: tuple[int, int], patch: int = 4) -> int:
    return (size[0] // patch) * (size[1] // patch)


def _tokens(channels: int, classes: int, *blocks: nn.Module) -> nn.Sequential:
    return nn.Sequential(Patches(channels), *blocks, MeanHead(classes))


@network(integer=0.905, reason="products of two activations")
def fused_qkv(channels, size, classes):
    """Vision transformer with one linear for queries, keys and values"""
    return _tokens(channels, classes, Attention(), Residual(mlp()))


@network(integer=0.899, reason="products of two activations")
def sdpa_class_token(channels, size, classes):
    """Class token, learned positions, scaled_dot_product_attention (timm's ViT)"""
    return ClassToken(channels, _places(size), classes, Fused(), Residual(mlp()))


@network(integer=0.905, reason="products of two activations")
def multihead_attention(channels, size, classes):
    """nn.MultiheadAttention, whose input weights are no layer of their own"""
    return _tokens(channels, classes, SelfAttention(), Residual(mlp()))


@network(integer=0.905, reason="products of two activations")
def encoder_layer(channels, size, classes):
    """nn.TransformerEncoderLayer, with its fused path for inference"""
    layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 2 * WIDTH, dropout=0.1, batch_first=True)
    return _tokens(channels, classes, layer)


@network(
    integer=0.983,
    reason="products of two activations",
    refused={"masks": "where pruned weights would not be zero"} | without_channels("have a fixed size"),
)
def attention_pooling(channels, size, classes):
    """A learned query pools the places, with its own key and value"""
    return nn.Sequential(Patches(channels), OwnQueries(classes))


@network(integer=0.905, reason="products of two activations")
def relative_bias(channels, size, classes):
    """Relative position bias looked up with integer indices"""
    return _tokens(channels, classes, RelativeBias(size[0] // 4), Residual(mlp()))


@network(integer=0.974, reason="products of two activations")
def shifted_windows(channels, size, classes):
    """Attention in shifted windows (Swin)"""
    return _tokens(channels, classes, Windows(size[0] // 4), Residual(mlp()))


@network(integer=0.947, reason="products of two activations")
def linear_attention(channels, size, classes):
    """Linear attention: products of activations without softmax"""
    return _tokens(channels, classes, Linear(), Residual(mlp()))


@network(integer=0.857, reason="products of two activations")
def talking_heads(channels, size, classes):
    """Linears across the heads, before and after the softmax"""
    return _tokens(channels, classes, TalkingHeads())


@network(integer=0.846, reason="products of two activations")
def position_ids(channels, size, classes):
    """Integer position ids, cut to length and embedded"""
    return _tokens(channels, classes, PositionIds(_places(size)), Attention())


@network(
    integer=0.587,
    reason="products of two activations",
    refused=without_channels("a reshape mixes them with more channels than any layer has"),
)
def non_local(channels, size, classes):
    """Non-local block: attention over pixels, started by a scalar gate"""
    return nn.Sequential(stem(channels), NonLocal(16), head(classes))


@network(integer=0.899, reason="products of two activations")
def torchvision_vit(channels, size, classes):
    """torchvision's VisionTransformer"""
    return torchvision.models.VisionTransformer(size[0], 4, 1, HEADS, WIDTH, 2 * WIDTH, num_classes=classes)


class Mixer(nn.Module):
    """MLPs along the places and along the channels."""

    def __init__(self, places: int):
        super().__init__()
        self.norm, self.places, self.channels = nn.LayerNorm(WIDTH), nn.Linear(places, places), mlp()

    def forward(self, x: Tensor) -> Tensor:
        x = x + functional.gelu(self.places(self.norm(x).transpose(1, 2))).transpose(1, 2)
        return x + self.channels(x)


@network()
def mlp_mixer(channels, size, classes):
    """Linears along the places and along the channels (MLP-Mixer)"""
    return _tokens(channels, classes, Mixer(_places(size)))
