from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall.errors import BundleError, SettingsError
from footfall.signing import SIGNING, VERIFY, check_signature, sign, signing_key_in, verify_key, verify_keys_in

# RFC 8032, section 7.1, test 1
SECRET = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
PUBLIC = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")


def keys(*public: str) -> tuple[bytes, ...]:
    return verify_keys_in({VERIFY: ",".join(public)})


def test_the_public_key_is_the_standards() -> None:
    assert base64.b64decode(verify_key(SECRET)) == PUBLIC


def test_keys_come_from_the_environment() -> None:
    secret = base64.b64encode(SECRET).decode()
    assert signing_key_in({SIGNING: f" {secret}\n"}) == SECRET
    assert signing_key_in({}) is signing_key_in({SIGNING: ""}) is None
    assert keys(verify_key(SECRET), " " + verify_key(b"x" * 32)) == (PUBLIC, base64.b64decode(verify_key(b"x" * 32)))
    assert verify_keys_in({}) == verify_keys_in({VERIFY: ""}) == ()


@pytest.mark.parametrize("text", [",", " ", "nonsense", base64.b64encode(b"short").decode(), f"{base64.b64encode(PUBLIC).decode()},"])
def test_keys_that_are_none_are_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        verify_keys_in({VERIFY: text})
    assert text.strip(" ,") == "" or text not in str(caught.value)
    if text.strip() and "," not in text:
        with pytest.raises(SettingsError):
            signing_key_in({SIGNING: text})


def test_a_signature_holds_for_its_bytes_and_its_key_alone() -> None:
    made = sign(b"manifest", SECRET).encode()
    trusted = keys(verify_key(SECRET))
    check_signature(b"manifest", made, trusted, where="here")
    check_signature(b"manifest", made, (*keys(verify_key(b"x" * 32)), *trusted), where="here")
    for manifest, signature, trust, words in (
        (b"manifest", None, trusted, "not signed"),
        (b"Manifest", made, trusted, "not what was signed"),
        (b"manifest", made, keys(verify_key(b"x" * 32)), "foreign key"),
        (b"manifest", made + b"\n", trusted, "cannot be read"),
        (b"manifest", made[:-1], trusted, "cannot be read"),
        (b"manifest", b"", trusted, "cannot be read"),
        (b"manifest", made, (), "foreign key"),
    ):
        with pytest.raises(BundleError, match=words):
            check_signature(manifest, signature, trust, where="here")


def test_a_signature_of_the_bare_bytes_for_another_purpose_is_none() -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    name = sign(b"manifest", SECRET).split()[1]
    bare = base64.b64encode(Ed25519PrivateKey.from_private_bytes(SECRET).sign(b"manifest")).decode()
    with pytest.raises(BundleError, match="not what was signed"):
        check_signature(b"manifest", f"footfall.signature/1 {name} {bare}\n".encode(), keys(verify_key(SECRET)), where="here")


@given(st.binary(min_size=1, max_size=50), st.data())
def test_no_flipped_bit_passes(manifest: bytes, data: st.DataObject) -> None:
    made = bytearray(sign(manifest, SECRET).encode())
    made[data.draw(st.integers(0, len(made) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(BundleError):
        check_signature(manifest, bytes(made), keys(verify_key(SECRET)), where="here")
