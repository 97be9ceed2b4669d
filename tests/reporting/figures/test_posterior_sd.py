"""SD of the posterior: of every convolution, from input to output."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from cardiouq.errors import CardiouqError
from cardiouq.reporting.figures.posterior_sd import draw_posterior_sd, posterior_sds
from tests.reporting.figures.drawn import check_saved

RHO = ".parametrizations.weight.0.rho"
LAYERS = {
    "input_block.conv1.conv": "input 1",
    "input_block.conv2.conv": "input 2",
    "downsamples.0.conv1.conv": "down1 1",
    "downsamples.1.conv1.conv": "down2 1",
    "bottleneck.conv1.conv": "bottom 1",
    "upsamples.0.transp_conv.conv": "up1 T",
    "upsamples.0.conv_block.conv1.conv": "up1 1",
    "upsamples.0.conv_block.conv2.conv": "up1 2",
    "upsamples.10.transp_conv.conv": "up11 T",
    "output_block.conv.conv": "output",
}


def write_checkpoint(path: Path, rhos: dict[str, float]) -> Path:
    tensors = {f"{name}{RHO}": np.full((4, 3, 3, 3), rho, np.float32) for name, rho in rhos.items()}
    tensors |= {"bottleneck.norm1.weight": np.ones(4, np.float32)}
    tensors |= {"bottleneck.conv1.conv.parametrizations.weight.original": np.ones(4, np.float32)}
    save_file(tensors, path)
    return path


def test_layers_come_from_input_to_output_and_heads_are_left_out(tmp_path: Path) -> None:
    names = [*reversed(LAYERS), "deep_supervision_heads.0.conv.conv"]
    path = write_checkpoint(tmp_path / "c.safetensors", dict.fromkeys(names, -5.0))
    assert list(posterior_sds(path)) == list(LAYERS.values())


def test_layers_of_the_network_that_is_trained_are_known(tmp_path: Path, plan: object) -> None:
    from cardiouq.methods.bayes_by_backprop import Variant, gaussian_layers
    from cardiouq.recipes.network import build_network
    from cardiouq.training.checkpoints import save_tensors

    network = Variant(initial_sd=0.02).network(build_network(plan, {"p": 0.0, "place": "all"}))
    save_tensors(dict(network.named_parameters()), tmp_path / "c.safetensors")
    sds = posterior_sds(tmp_path / "c.safetensors")
    heads = [name for name in gaussian_layers(network) if name.startswith("deep_supervision")]
    assert len(sds) == len(gaussian_layers(network)) - len(heads)
    np.testing.assert_allclose(np.concatenate(list(sds.values())), 0.02, rtol=1e-5)


def test_sd_is_softplus_of_rho(tmp_path: Path) -> None:
    rhos = {"input_block.conv1.conv": 0.0, "output_block.conv.conv": 100.0}
    sds = posterior_sds(write_checkpoint(tmp_path / "c.safetensors", rhos))
    assert sds["input 1"].shape == (4 * 3 * 3 * 3,)
    np.testing.assert_allclose(sds["input 1"], np.log(2), rtol=1e-6)
    np.testing.assert_allclose(sds["output"], 100, rtol=1e-6)


@pytest.mark.parametrize(
    ("rhos", "message"),
    [({}, "expected weights whose names end with"), ({"head.conv1.conv": 0.0}, "is in none of")],
)
def test_other_checkpoints_are_refused(
    tmp_path: Path, rhos: dict[str, float], message: str
) -> None:
    path = write_checkpoint(tmp_path / "c.safetensors", rhos)
    with pytest.raises(CardiouqError, match=message):
        posterior_sds(path)


def test_figure_has_a_box_per_layer_and_the_line_of_the_start(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "c.safetensors", dict.fromkeys(LAYERS, -5.0))
    posterior = {"label": "BBB", "checkpoint": str(path), "prior_sd": 0.1, "initial_sd": 0.005}
    figure = draw_posterior_sd([posterior, {**posterior, "label": "BBB, wide"}])
    assert [axis.get_title(loc="left") for axis in figure.axes] == [
        "BBB: SD of the prior 0.1",
        "BBB, wide: SD of the prior 0.1",
    ]
    first = figure.axes[0]
    assert [text.get_text() for text in first.get_xticklabels()] == list(LAYERS.values())
    lines = {line.get_label(): line.get_ydata()[0] for line in first.get_lines()}
    assert lines["before training (0.005)"] == 0.005
    check_saved(figure, tmp_path)
