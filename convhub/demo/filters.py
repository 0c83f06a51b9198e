"""Makes two banks of filters for a photograph, as weights of a convolution."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["FRAME_SIZE", "FRAME_STRIDE", "cosine_frame", "gabor_bank"]

#: The side of the frame's filters in pixels, and the step from one window to the next: half of it.
FRAME_SIZE, FRAME_STRIDE = 8, 4

Array32 = NDArray[np.float32]


def cosine_frame() -> Array32:
    """Return filters that decompose a colour picture such that the transposed convolution rebuilds it.

    Each is a product of three orthonormal cosine transforms: of the colours, of 8 rows and of 8 columns.
    Windows overlap by half, so that four cover each pixel; with each filter halved, the bank is a tight
    frame: with stride 4 and padding 4, ``conv_transpose2d(conv2d(x, w), w)`` is x, for any picture x with
    sides that are multiples of 4. Keeping only strong coefficients of such a frame is the cycle spinning of
    Coifman and Donoho (1995), without the blocks of JPEG. The cosine transform of the colours is close to
    the principal axes of photographs that Ohta, Kanade and Sakai (1980) found.

    Returns
    -------
    array, shape (192, 3, 8, 8)
        Filter ``64 c + 8 u + v`` has colour c (brightness; red against blue; green against both), and u and v
        half waves down and across.

    Examples
    --------
    >>> cosine_frame().shape
    (192, 3, 8, 8)
    """
    waves = _cosines(FRAME_SIZE)
    bank = np.einsum("kc,ui,vj->kuvcij", _cosines(3), waves, waves) * FRAME_STRIDE / FRAME_SIZE
    return np.asarray(bank.reshape(3 * FRAME_SIZE**2, 3, FRAME_SIZE, FRAME_SIZE), np.float32)


def gabor_bank(orientations: int = 8, size: int = 13, wavelength: float = 5.0, width: float = 2.2) -> Array32:
    """Return pairs of waves under a Gaussian, in `orientations` directions, for a grey picture.

    The two of a pair are a quarter of a wave apart, so that the root of the sum of their squares is the
    strength of an edge or a line anywhere within the wave (Daugman, 1985).

    Parameters
    ----------
    orientations : int
        The number of directions, evenly spaced over half a turn.
    size : int
        Pixels along a side.
    wavelength, width : float
        The wavelength, and the standard deviation of the Gaussian, in pixels.

    Returns
    -------
    array, shape (2 * orientations, 1, size, size)
        All even waves (cosine), then all odd ones (sine); each of sum 0 and norm 1.
    """
    rows, columns = np.mgrid[:size, :size] - (size - 1) / 2
    angles = np.arange(orientations)[:, None, None] * np.pi / orientations
    across = columns * np.cos(angles) + rows * np.sin(angles)
    envelope = np.exp(-(rows**2 + columns**2) / (2 * width**2))
    phase = 2 * np.pi * across / wavelength
    bank = np.concatenate([np.cos(phase), np.sin(phase)]) * envelope
    # The cosine's mean is removed in the envelope's shape, so that flat areas give zero.
    bank -= envelope * (bank.sum((1, 2), keepdims=True) / envelope.sum())
    bank /= np.sqrt((bank**2).sum((1, 2), keepdims=True))
    return np.asarray(bank[:, None], np.float32)


def _cosines(size: int) -> NDArray[np.float64]:
    """Return the orthonormal cosine transform of `size` points (DCT-II), a row for each wave."""
    wave, point = np.mgrid[:size, :size]
    matrix: NDArray[np.float64] = np.cos(np.pi * wave * (point + 0.5) / size) * np.sqrt(2 / size)
    matrix[0] /= np.sqrt(2)
    return matrix
