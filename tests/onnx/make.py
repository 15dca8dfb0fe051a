"""Writes the models in this folder, by PyTorch and scikit-learn, as their users would.

Needs torch==2.13.0, onnxscript and skl2onnx, which the tests do not.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from skl2onnx import to_onnx
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier
from torch import nn

HERE = Path(__file__).resolve().parent


class Residual(nn.Module):
    """Blocks that add to what they were given."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(12, 16)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(16, 24), nn.ReLU(), nn.Linear(24, 16)) for _ in range(5)
        )
        self.tail = nn.Linear(16, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.relu(self.head(x))
        for block in self.blocks:
            h = h + block(h)
        return self.tail(h)


class Unrolled(nn.Module):
    """A recurrent network, one step after another."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.RNNCell(3, 8, nonlinearity="relu")
        self.out = nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.zeros(x.shape[0], 8)
        for t in range(6):
            h = self.cell(x[:, t], h)
        return self.out(h)


class Recurrent(nn.Module):
    """A recurrent layer, which ONNX has an operator for."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.RNN(3, 8, nonlinearity="relu", batch_first=True)
        self.out = nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y, _ = self.rnn(x)
        return self.out(y[:, -1])


class Bidirectional(nn.Module):
    """Two recurrent layers that go through a sequence both ways."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.RNN(3, 4, 2, nonlinearity="relu", bidirectional=True)
        self.out = nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y, _ = self.rnn(x.transpose(0, 1))
        return self.out(y[-1] + y.mean(0))


def networks() -> dict[str, tuple[nn.Module, torch.Tensor]]:
    """Return each network and an input."""
    torch.manual_seed(0)
    mlp = nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 4))
    cnn = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 8, 3, stride=2, padding=1),
        nn.LeakyReLU(0.1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 3),
        nn.LogSoftmax(dim=1),
    )
    with torch.no_grad():
        cnn(torch.randn(64, 1, 12, 12) * 2 + 1)  # running statistics other than 0 and 1
    return {
        "torch_mlp": (mlp, torch.randn(5, 12)),
        "torch_cnn": (cnn, torch.randn(5, 1, 12, 12)),
        "torch_residual": (Residual(), torch.randn(5, 12)),
        "torch_unrolled": (Unrolled(), torch.randn(5, 6, 3)),
        "torch_recurrent": (Recurrent(), torch.randn(5, 6, 3)),
        "torch_bidirectional": (Bidirectional(), torch.randn(5, 6, 3)),
    }


def strip(path: Path) -> None:
    """Take out where in PyTorch's code each node comes from."""
    model = onnx.load(path)
    for part in (model, model.graph, *model.graph.node, *model.graph.value_info):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    onnx.save(model, path)


def main() -> None:
    warnings.simplefilter("ignore")
    for name, (network, x) in networks().items():
        network.eval()
        for dynamo in (False, True):
            if dynamo and name in ("torch_recurrent", "torch_bidirectional"):
                continue  # that exporter takes the operator apart
            more = (
                {"dynamic_shapes": ({0: torch.export.Dim("batch")},)}
                if dynamo
                else {"dynamic_axes": {"x": {0: "batch"}}}
            )
            path = HERE / f"{name}{'_dynamo' if dynamo else ''}.onnx"
            torch.onnx.export(
                network, (x,), str(path), input_names=["x"], dynamo=dynamo, external_data=False, **more
            )
            strip(path)
    x, y = load_digits(return_X_y=True)
    classifier = MLPClassifier((24,), max_iter=30, random_state=0).fit(x / 16, y)
    (HERE / "sklearn_mlp.onnx").write_bytes(to_onnx(classifier, x[:1].astype(np.float32)).SerializeToString())


if __name__ == "__main__":
    main()
