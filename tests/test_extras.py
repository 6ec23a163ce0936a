"""Optional packages: imported, or asked for by the name of the extra."""

import sys
import types

import pytest

from keras_convnext.extras import is_installed, require


def test_gives_the_module():
    import json.decoder

    assert require("json", extra="cli") is json
    assert require("json.decoder", extra="cli") is json.decoder


@pytest.mark.parametrize("module", ["package_that_is_not_there", "package_that_is_not_there.part"])
def test_names_the_package_and_the_extra(module):
    message = r'package_that_is_not_there, .* pip install "keras-convnext\[hub\]"'
    with pytest.raises(ModuleNotFoundError, match=message) as raised:
        require(module, extra="hub")
    assert raised.value.name == "package_that_is_not_there"


def test_a_blocked_package_counts_as_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "json", None)
    with pytest.raises(ModuleNotFoundError, match="keras-convnext"):
        require("json", extra="cli")


def test_what_a_package_itself_lacks_is_not_blamed_on_the_extra(tmp_path, monkeypatch):
    (tmp_path / "half_installed.py").write_text("import package_that_is_not_there\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError) as raised:
        require("half_installed", extra="cli")
    assert raised.value.name == "package_that_is_not_there"
    assert "keras-convnext" not in str(raised.value)


def test_a_part_that_an_installed_package_has_not_is_not_blamed_on_the_extra():
    with pytest.raises(ModuleNotFoundError) as raised:
        require("json.part_that_is_not_there", extra="cli")
    assert "keras-convnext" not in str(raised.value)


def test_sees_what_is_installed_without_importing_it(tmp_path, monkeypatch):
    (tmp_path / "some_package").mkdir()
    (tmp_path / "some_package" / "__init__.py").write_text("raise SystemExit('imported')")
    (tmp_path / "a_folder").mkdir()
    (tmp_path / "a_script.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    assert is_installed("numpy")
    assert is_installed("some_package")
    for name in ("a_folder", "a_script", "package_that_is_not_there"):
        assert not is_installed(name)
    for module in (None, types.ModuleType("a_module_without_a_spec")):
        monkeypatch.setitem(sys.modules, "numpy", module)
        assert not is_installed("numpy")
