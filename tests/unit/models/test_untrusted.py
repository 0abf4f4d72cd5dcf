"""Model files from strangers: refused by what they name, without Keras having been asked."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_exp.errors import InputError, IntegrityError
from mnist_exp.models import untrusted
from tests.unit.members import archive

Config = dict[str, Any]

POLICY = {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}, "registered_name": None}


def layer(class_name: str, module: Any = "keras.layers", /, **more: Any) -> Config:
    return {
        "module": module,
        "class_name": class_name,
        "config": {"name": "inner", "dtype": POLICY},
        "registered_name": None,
        **more,
    }


def functional(*layers: Config, **more: Any) -> Config:
    """A model of these layers, as Keras writes it, though it could not compute."""
    config = {"name": "outer", "trainable": True, "layers": list(layers), "input_layers": [], "output_layers": []}
    module = "keras.src.models.functional"
    return {"module": module, "class_name": "Functional", "config": config, "registered_name": "Functional", **more}


def refused(path: Path) -> str:
    """Why a file is refused."""
    with pytest.raises(IntegrityError) as raised:
        untrusted.checked(path)
    assert raised.value.exit_code == 3
    prefix = f"{path}: may not be loaded: "
    assert raised.value.cause.startswith(prefix)
    assert raised.value.remedy == "nothing of it was run; train the run again"
    return raised.value.cause.removeprefix(prefix)


def test_what_this_program_writes_is_taken(tmp_path: Path) -> None:
    shared = layer("Conv2D", config={"dtype": POLICY | {"shared_object_id": 1}, "activation": "relu"})
    same = layer("Dense", config={"dtype": POLICY | {"shared_object_id": 1}}, name="a", inbound_nodes=[], build_config={})
    path = archive(tmp_path / "model.keras", functional(shared, same, functional(layer("Average"))))
    assert untrusted.checked(path) == path.read_bytes()


@pytest.mark.parametrize(
    ("named", "told"),
    [
        (layer("Lambda"), "keras.layers.Lambda"),
        (layer("TFSMLayer"), "keras.layers.TFSMLayer"),
        (layer("TorchModuleWrapper"), "keras.layers.TorchModuleWrapper"),
        (layer("system", "os"), "os.system"),
        (layer("Dense", "keras_hub.layers"), "keras_hub.layers.Dense"),
        (layer("Dense", None), "Dense"),
        (layer("Dense", ["keras.layers"]), "['keras.layers'].Dense"),
        (layer("function", "builtins", config="exec"), "builtins.function"),
        ({"class_name": "__lambda__", "config": {"value": "x"}}, "__lambda__"),
        ({"class_name": "__typespec__", "spec_name": "Spec", "module": "os", "config": []}, "os.__typespec__"),
        ({"module": "os"}, "os.None"),
        (layer("Functional", "keras.src.models.model"), "keras.src.models.model.Functional"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("place", ["layer", "activation", "deep", "whole"])
def test_other_classes_are_named_and_refused(named: Config, told: str, place: str, tmp_path: Path) -> None:
    config = {
        "layer": functional(layer("Dense"), named),
        "activation": functional(layer("Dense", config={"activation": named})),
        "deep": functional(layer("Dense", config={"x": [[{"y": [named]}]]})),
        "whole": named,
    }[place]
    known = "class_name" in config
    reason = f"it names {told}, of which no model of this program is made" if known else "its config.json is no model"
    assert refused(archive(tmp_path / "model.keras", config)) == reason


@pytest.mark.parametrize(
    ("named", "reason"),
    [
        (
            layer("Dense", registered_name="evil>Dense"),
            "it names keras.layers.Dense by the name 'evil>Dense' of another package",
        ),
        (layer("Dense", compile_config={"loss": "x"}), "it has a compiled keras.layers.Dense"),
        (layer("Dense", shared_object_id=1), "it has a keras.layers.Dense with shared_object_id"),
        (layer("Dense", call="x"), "it has a keras.layers.Dense with call"),
        (layer("Dense", config="relu"), "it has a keras.layers.Dense with no settings"),
    ],
)
def test_other_forms_are_refused(named: Config, reason: str, tmp_path: Path) -> None:
    assert refused(archive(tmp_path / "model.keras", functional(named))) == reason


def test_one_object_cannot_pass_for_another(tmp_path: Path) -> None:
    policies = [POLICY | {"shared_object_id": 1}, POLICY | {"config": {"name": "float16"}, "shared_object_id": 1}]
    config = functional(*(layer("Dense", config={"dtype": policy}) for policy in policies))
    reason = "it shares one keras.DTypePolicy under different settings"
    assert refused(archive(tmp_path / "model.keras", config)) == reason


@pytest.mark.parametrize("name", ["/etc/passwd", "../model.py", "assets/x", "config.json/", "CONFIG.JSON"])
def test_other_parts_are_refused(name: str, tmp_path: Path) -> None:
    path = archive(tmp_path / "model.keras", functional(), {name: b"x"})
    assert refused(path) == f"it holds {name!r}"


def test_a_part_that_is_missing_or_there_twice_is_refused(tmp_path: Path) -> None:
    reason = "it does not hold each of its parts once"
    path = archive(tmp_path / "twice.keras", functional())
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(path, "a") as file:
        file.writestr("config.json", json.dumps(layer("Lambda")))
    assert refused(path) == reason
    with zipfile.ZipFile(tmp_path / "few.keras", "w") as file:
        file.writestr("config.json", json.dumps(functional()))
    assert refused(tmp_path / "few.keras") == reason


def test_a_bomb_is_refused_unopened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = archive(tmp_path / "a.keras", functional(), {"model.weights.h5": bytes(50_000_000)}, zipfile.ZIP_DEFLATED)
    large = archive(tmp_path / "b.keras", functional(), {"config.json": b" " * 17_000_000})
    assert packed.stat().st_size < 100_000
    monkeypatch.setattr(zipfile.ZipFile, "open", None)
    assert "is packed, which Keras does not do" in refused(packed)
    assert refused(large) == "its config.json would take 17,000,000 bytes"


def test_a_file_of_any_size_is_not_read_into_memory(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    with path.open("wb") as file:
        file.truncate(2**33)  # a hole, which takes no room
    assert refused(path) == f"it has {2**33:,} bytes"


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ("[" * 100_000, "recursion"),
        ('{"class_name": ', "Expecting value"),
        ("[]", "its config.json is no model"),
        ("{}", "its config.json is no model"),
    ],
)
def test_a_configuration_that_is_none_is_refused(config: str, reason: str, tmp_path: Path) -> None:
    assert reason in refused(archive(tmp_path / "model.keras", config))


def test_damage_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes(b"no archive")
    assert refused(path) == "File is not a zip file"
    content = archive(path, functional()).read_bytes().replace(b"weights", b"weighty", 1)
    path.write_bytes(content if content.count(b"weighty") else b"")
    assert refused(path)
    with pytest.raises(InputError, match="there is no such file"):
        untrusted.checked(tmp_path / "none.keras")


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(
    st.sampled_from(["class_name", "module", "config", "registered_name", "shared_object_id", "compile_config", "x"]), inner
)))  # fmt: skip
def test_nothing_unknown_is_taken(tmp_path_factory: pytest.TempPathFactory, config: Any) -> None:
    path = archive(tmp_path_factory.mktemp("any") / "model.keras", json.dumps(config))
    assert refused(path)


def test_looking_does_not_import_keras(tmp_path: Path) -> None:
    path = archive(tmp_path / "model.keras", functional(layer("Dense")))
    code = "import sys; from pathlib import Path; from mnist_exp.models import untrusted\n"
    code += "untrusted.checked(Path(sys.argv[1]))\n"
    code += "print({'keras', 'tensorflow', 'h5py'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
