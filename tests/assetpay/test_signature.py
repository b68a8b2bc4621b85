"""The signature header: what is accepted, and that nothing else is."""

import hashlib
import random
import re
from datetime import UTC, datetime
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from withdrawals.assetpay.signature import BadSignature, Malformed, parse_header, self_test, sign, verify

# Both made with OpenSSL: printf '%s' "$ID.$TIME.$BODY" | openssl dgst -sha256 -hmac "$SECRET"
BODY = b'{"trade":{"id":"a1b2","type":"withdraw","status":"pending"}}'
ID = "whk_01HZY"
TIME = "2026-05-01T12:00:00.000Z"
SECRET = b"correct horse battery staple"
PREVIOUS_SECRET = b"previous secret, also long"
SIGNATURE = "8787b575d4eeea4e558ea81ca7bde170b7279c96f32ddbf1fe1bc5fedf9bf981"
PREVIOUS_SIGNATURE = "58bbb0ac1ceb105ac515ace93a3076fdd88a0f4ca9948ee28d7ec9fee106a29e"
HEADER = f"t={TIME},id={ID},s={SIGNATURE}"


def accepts(header: str, body: bytes = BODY, secrets: tuple[bytes, ...] = (SECRET,)) -> bool:
    """Whether a callback passes both gates; any exception but the two documented ones fails the test."""
    try:
        verify(parse_header(header), body, secrets)
    except (Malformed, BadSignature):
        return False
    return True


def flips(data: bytes) -> list[bytes]:
    return [
        data[:place] + bytes([data[place] ^ (1 << bit)]) + data[place + 1 :]
        for place in range(len(data))
        for bit in range(8)
    ]


def test_a_signature_made_elsewhere_is_recognised():
    assert accepts(HEADER)


def test_the_parts_are_read_as_they_stand():
    parsed = parse_header(f"v=1,{HEADER},s1={PREVIOUS_SIGNATURE}")

    assert parsed.time_text == TIME
    assert parsed.signed_at == datetime(2026, 5, 1, 12, tzinfo=UTC)
    assert parsed.delivery_id == ID
    assert parsed.signatures == (SIGNATURE, PREVIOUS_SIGNATURE)


def test_our_own_signer_writes_what_openssl_computed():
    assert sign(BODY, SECRET, ID, TIME) == HEADER


def test_the_self_test_passes():
    self_test()


def test_the_self_test_notices_another_algorithm(monkeypatch):
    monkeypatch.setattr("withdrawals.assetpay.signature.hashlib.sha256", hashlib.sha3_256)

    with pytest.raises(RuntimeError, match="not recognised"):
        self_test()


def test_the_self_test_notices_a_comparison_that_always_agrees(monkeypatch):
    monkeypatch.setattr("withdrawals.assetpay.signature.hmac.compare_digest", lambda one, other: True)

    with pytest.raises(RuntimeError, match="changed body"):
        self_test()


def test_a_header_of_512_characters_is_read_and_a_longer_one_is_not():
    filled = f"{HEADER},x=".ljust(512, "y")

    assert accepts(filled)
    assert not accepts(filled + "y")


@pytest.mark.parametrize(
    ("ours", "theirs"),
    list(product(product((True, False), repeat=2), repeat=2)),
)
def test_any_secret_of_ours_may_match_any_signature_of_theirs(ours, theirs):
    strangers = (b"a secret nobody knows", b"another one like that")
    secrets = tuple(
        genuine if held else stranger
        for held, genuine, stranger in zip(ours, (SECRET, PREVIOUS_SECRET), strangers, strict=True)
    )
    sent = [
        genuine if sent else "0" * 64 for sent, genuine in zip(theirs, (SIGNATURE, PREVIOUS_SIGNATURE), strict=True)
    ]

    accepted = accepts(f"t={TIME},id={ID},s={sent[0]},s1={sent[1]}", secrets=secrets)

    assert accepted == any(held and came for held, came in zip(ours, theirs, strict=True))


def test_no_flipped_bit_of_a_body_passes():
    body = b'{"trade":{"id":"%s"}}' % (b"x" * 481)
    header = sign(body, SECRET, ID, TIME)
    assert len(body) == 500
    assert accepts(header, body)

    passed = [changed for changed in flips(body) if accepts(header, changed)]

    assert passed == []


def test_no_flipped_bit_of_a_header_passes():
    passed = [changed for changed in flips(HEADER.encode()) if accepts(changed.decode("latin-1"))]

    assert passed == []


def test_no_scrambled_body_passes():
    chance = random.Random(25)

    for _ in range(3000):
        changed = bytearray(BODY)
        for place in chance.sample(range(len(BODY)), chance.randint(2, 8)):
            changed[place] = chance.randrange(256)
        assert bytes(changed) == BODY or not accepts(HEADER, bytes(changed))


@pytest.mark.parametrize("length", range(64))
def test_a_truncated_signature_is_malformed(length):
    with pytest.raises(Malformed):
        parse_header(f"t={TIME},id={ID},s={SIGNATURE[:length]}")


@pytest.mark.parametrize(
    "header",
    [
        "",
        ",",
        "s=",
        "t,id,s",
        HEADER.upper(),
        HEADER + ",",
        "," + HEADER,
        HEADER.replace(",", ";"),
        HEADER.replace(",", ",  "),
        HEADER + f",s={SIGNATURE}",
        HEADER + f",id={ID}",
        HEADER + ",x=1,x=1",
        HEADER + ",nothing",
        HEADER + ",k=wörd",
        HEADER + ",k=a\x00b",
        HEADER + "\n",
        HEADER + "," + "x" * 30 + "=" + "y" * 512,
        f"t={TIME},id={ID}",
        f"t={TIME},s={SIGNATURE}",
        f"id={ID},s={SIGNATURE}",
        f"t={TIME},id={ID},s1={SIGNATURE}",
        f"t={TIME},id={ID},s={SIGNATURE}{SIGNATURE}",
        f"t={TIME},id={ID},s={SIGNATURE},s1=",
        f"t={TIME},id={ID},s={'g' * 64}",
        f"t={TIME},id={ID},s={chr(0x660) * 64}",
        f"t={TIME},id={ID},s={SIGNATURE.upper()}",
        f"t={TIME},id={ID}.x,s={SIGNATURE}",
        f"t={TIME},id=,s={SIGNATURE}",
        f"t={TIME},id={'x' * 65},s={SIGNATURE}",
    ],
)
def test_a_header_outside_the_grammar_is_malformed(header):
    with pytest.raises(Malformed):
        parse_header(header)


@pytest.mark.parametrize(
    "time_text",
    [
        "",
        "2026-05-01",
        "2026-05-01T12:00:00",
        "2026-05-01T12:00:00+00:00",
        "2026-05-01 12:00:00Z",
        "2026-05-01T12:00:00.Z",
        "2026-05-01T12:00:00.1234567Z",
        "2026-02-30T12:00:00Z",
        "2026-13-01T12:00:00Z",
        "2026-05-01T25:00:00Z",
        "2026-05-01T12:00:60Z",
        "0000-01-01T00:00:00Z",
        "1777636800",
    ],
)
def test_a_time_that_is_none_is_malformed(time_text):
    with pytest.raises(Malformed):
        parse_header(f"t={time_text},id={ID},s={SIGNATURE}")


def test_a_blank_after_a_comma_is_harmless():
    assert accepts(HEADER.replace(",", ", "))


def test_a_body_cannot_lend_its_dots_to_the_header():
    """Signed are id, time and body joined by dots: no other split of the same bytes may pass."""
    body = b"a.b.2026-05-01T12:00:00Z.c." + BODY
    signature = parse_header(sign(body, SECRET, ID, TIME)).signatures[0]
    signed = f"{ID}.{TIME}.".encode() + body
    dots = [match.start() for match in re.finditer(rb"\.", signed)]

    splits = [
        (signed[:first], signed[first + 1 : second], signed[second + 1 :])
        for first, second in product(dots, dots)
        if first < second
    ]
    passed = [
        split for split in splits if accepts(f"t={split[1].decode()},id={split[0].decode()},s={signature}", split[2])
    ]

    assert len(splits) > 10
    assert passed == [(ID.encode(), TIME.encode(), body)]


@pytest.mark.parametrize("secrets", [[], [b""], [b"fifteen bytes.."], [SECRET, b""]])
def test_a_missing_or_short_secret_is_an_error_of_ours(secrets):
    with pytest.raises(ValueError, match="secret"):
        verify(parse_header(HEADER), BODY, secrets)


@settings(max_examples=120, deadline=None)
@given(
    st.binary(max_size=200).map(lambda data: data.decode("latin-1")) | st.from_regex(r"([a-z1]{1,2}=[-:.TZ0-9a-f]*,?)*")
)
def test_no_invented_header_is_accepted(header):
    assert not accepts(header)


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_no_changed_header_is_accepted(data):
    place = data.draw(st.integers(0, len(HEADER) - 1))
    gone = data.draw(st.integers(0, 3))
    put = data.draw(st.text(alphabet="tids1=,.:-TZ09af \x00\xe9", max_size=3))
    changed = HEADER[:place] + put + HEADER[place + gone :]

    # Blanks after commas and further unknown parts are allowed; they change nothing that was signed.
    unchanged = {part.removeprefix(" ") for part in changed.split(",")} >= set(HEADER.split(","))

    assert unchanged or not accepts(changed)
