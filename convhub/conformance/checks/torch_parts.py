"""Reads and writes the parts of torch's state that belong to the caller."""

from __future__ import annotations

import sys
from typing import Any

from .process_parts import Part, functions_of

__all__ = ["parts"]


def parts() -> list[Part]:
    """Return all parts, if torch is imported; none if it is not."""
    torch: Any = sys.modules.get("torch")
    if torch is None:
        return []
    deterministic = torch.are_deterministic_algorithms_enabled
    only_warns = torch.is_deterministic_algorithms_warn_only_enabled
    found = [
        Part("torch's number of threads", torch.get_num_threads, torch.set_num_threads, lambda n: n + 1),
        Part("torch's number of threads between operators", torch.get_num_interop_threads, lambda _: None),
        Part(
            "torch's default dtype",
            torch.get_default_dtype,
            torch.set_default_dtype,
            lambda dtype: torch.float32 if dtype == torch.float64 else torch.float64,
        ),
        Part("torch's default device", torch.get_default_device, lambda _: torch.set_default_device(None)),
        Part("torch's gradient mode", torch.is_grad_enabled, torch.set_grad_enabled, lambda on: not on),
        Part("torch's inference mode", torch.is_inference_mode_enabled, lambda _: None),
        Part(
            "torch's choice of deterministic algorithms",
            lambda: (deterministic(), only_warns()),
            lambda value: torch.use_deterministic_algorithms(value[0], warn_only=value[1]),
            lambda value: (not value[0], not value[0]),
        ),
        Part(
            "the state of torch's random numbers",
            lambda: torch.get_rng_state().numpy().tobytes(),
            lambda value: torch.set_rng_state(torch.frombuffer(bytearray(value), dtype=torch.uint8)),
            lambda _: torch.Generator().manual_seed(8).get_state().numpy().tobytes(),
        ),
        Part(
            "whether torch repeats warnings",
            torch.is_warn_always_enabled,
            torch.set_warn_always,
            lambda on: not on,
        ),
        Part("torch's detection of anomalies", torch.is_anomaly_enabled, torch.set_anomaly_enabled),
        Part(
            "whether torch uses oneDNN",
            lambda: torch._C._get_mkldnn_enabled(),
            lambda on: torch._C._set_mkldnn_enabled(on),
        ),
        *(_autocast(torch, device) for device in ("cpu", "cuda")),
        functions_of(torch),
        functions_of(torch.nn.functional),
    ]
    if not torch.backends.flags_frozen():
        found += [_of_cudnn(torch, name) for name in ("enabled", "benchmark", "deterministic")]
    if torch.cuda.is_initialized():
        found.append(
            Part(
                "the state of CUDA's random numbers",
                lambda: [state.numpy().tobytes() for state in torch.cuda.get_rng_state_all()],
                lambda value: torch.cuda.set_rng_state_all(
                    [torch.frombuffer(bytearray(one), dtype=torch.uint8) for one in value]
                ),
            )
        )
    return found


def _autocast(torch: Any, device: str) -> Part:
    return Part(
        f"torch's autocast on {device}",
        lambda: torch.is_autocast_enabled(device),
        lambda on: torch.set_autocast_enabled(device, on),
    )


def _of_cudnn(torch: Any, name: str) -> Part:
    cudnn = torch.backends.cudnn
    return Part(
        f"torch.backends.cudnn.{name}",
        lambda: getattr(cudnn, name),
        lambda value: setattr(cudnn, name, value),
    )
