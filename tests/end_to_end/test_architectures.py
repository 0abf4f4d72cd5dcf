"""A network from a user's YAML file, trained on augmented images."""

import json
import re
from pathlib import Path

import numpy as np

from tests.conftest import Command
from tests.documents import MANUAL
from tests.end_to_end.sweeps import sweep_of

(NETWORK,) = re.findall(r"```yaml\n(# a network of my own\n.*?)```", (MANUAL / "models.md").read_text(), re.DOTALL)


def test_a_user_defined_network(command: Command, tmp_path: Path) -> None:
    (tmp_path / "mine" / "model").mkdir(parents=True)
    (tmp_path / "mine" / "model" / "my_net.yaml").write_text(NETWORK)
    mine = ("--config-dir", "mine", "model=my_net", "dataset.limit=200", "training.epochs=1", "training.batch_size=64")
    images = ("augmentation=affine", "augmentation.elastic_alpha=8", "augmentation.cutout_probability=0.5")
    done = command("-m", *mine, *images, "augmentation.mixup=0.2", "model.layers.0.filters=2,4", "name=my_net")
    assert done.returncode == 0, done.stderr
    sweep = sweep_of(tmp_path)
    runs = [sweep / f"00{number}_my_net_layers.0.filters={filters}_s7" for number, filters in ((1, 2), (2, 4))]
    summaries = [json.loads((run / "summary.json").read_text()) for run in runs]
    # 26·f of the convolution, 4·f of its batch norm, (9·f + 1)·16 and f·16 of the residual, 17·10 of the logits
    assert [summary["model"]["parameters"] for summary in summaries] == [190 * filters + 186 for filters in (2, 4)]
    for run in runs:
        with np.load(run / "predictions.npz") as predictions:
            assert predictions["probabilities"].shape == (10_000, 10)
    compared = command("compare", str(sweep), "--format", "csv")
    assert compared.stdout.splitlines()[0].split(",")[3] == "model.layers.0.filters"

    wrong = command(*mine, "model.layers.2.layers.1.padding=valid")
    assert wrong.returncode == 2
    assert wrong.stderr.splitlines()[0].startswith("error: model.layers.2.layers: turn 14×14×8 into 6×6×16")
