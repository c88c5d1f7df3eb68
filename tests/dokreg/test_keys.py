"""Key files and what a key must be."""

import stat
from pathlib import Path

import pytest

from dokreg.keys import BadKeys, check_fernet_keys, load_or_create, new_key


def test_a_key_file_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    first = load_or_create(tmp_path / "keys", "secret_key")
    assert load_or_create(tmp_path / "keys", "secret_key") == first
    assert stat.S_IMODE((tmp_path / "keys/secret_key").stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "keys").iterdir()] == ["secret_key"]


def test_good_keys_pass_and_one_bad_among_them_does_not() -> None:
    good, secret_key = [new_key(), new_key()], new_key()
    assert [_is_refused(keys, secret_key) for keys in (good, [*good, "short-key"], good)] == [False, True, False]


def test_a_key_given_twice_is_refused() -> None:
    key = new_key()
    with pytest.raises(BadKeys, match="twice"):
        check_fernet_keys([key, key], secret_key=new_key())


def _is_refused(keys: list[str], secret_key: str) -> bool:
    try:
        check_fernet_keys(keys, secret_key=secret_key)
    except BadKeys:
        return True
    return False


@pytest.mark.parametrize("keys", [[], ["mysecret"], [""], ["m", "y"], ["x" * 43 + "!"]])
def test_words_are_no_keys(keys: list[str]) -> None:
    with pytest.raises(BadKeys):
        check_fernet_keys(keys, secret_key="s")


def test_the_secret_key_is_no_fernet_key() -> None:
    key = new_key()
    with pytest.raises(BadKeys, match="DOKREG_SECRET_KEY"):
        check_fernet_keys([key], secret_key=key)


def test_a_key_is_named_by_its_place_and_not_shown() -> None:
    with pytest.raises(BadKeys, match="Key 2") as refusal:
        check_fernet_keys([new_key(), "short-key"], secret_key="s")
    assert "short-key" not in str(refusal.value)
