"""Reading whatever an agent pasted: which ids may be in it. Plain text work; what exists is for the database to say."""

import re
from dataclasses import dataclass
from urllib.parse import unquote

# Steam's numbers of a person: an account number counts from this Steam64 on.
FIRST_STEAM64 = 76561197960265728
SHORTEST_TAIL = 4
# As many characters as `Head` indexes; the head of a Mongo id is a time, so fewer would name a whole minute.
SHORTEST_HEAD = 8
# A word in a sentence is taken for an id from here on, unless brackets, quotes or "#" mark it as one.
SHORTEST_ID_IN_A_SENTENCE = 5
MOST_IDS = 60

INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\x00]")
ELLIPSIS = re.compile(r"…|\.{2,}")
STEAM_PROFILE = re.compile(r"steamcommunity\.com/profiles/(\d{17})\b", re.IGNORECASE)
STEAM_NAME = re.compile(r"steamcommunity\.com/id/([\w.-]+)", re.IGNORECASE)
TOKEN = re.compile(r"token(?:=|%3D)[^&\s\"'<>]*", re.IGNORECASE)
TRADE_LINK = re.compile(r"[?&]partner(?:=|%3D)(\d{1,10})\b", re.IGNORECASE)
TRADE_OFFER = re.compile(r"steamcommunity\.com/tradeoffer/(\d+)\b", re.IGNORECASE)
STEAM_ID_3 = re.compile(r"\[U:1:(\d{1,10})\]", re.IGNORECASE)
STEAM_ID_2 = re.compile(r"\bSTEAM_[01]:([01]):(\d{1,10})\b", re.IGNORECASE)
LINK = re.compile(r"\bhttps?://\S+|\b(?:www\.)?steamcommunity\.com/\S+", re.IGNORECASE)
# Straight and curly quotation marks of the languages that customers write in.
QUOTES = "\"'`\u00b4\u201e\u201c\u201d\u2018\u2019\u00ab\u00bb\u2039\u203a"
ROUND = f" \t\r\n{QUOTES}<>()[]{{}}*|~.,;:!?#=/\\"
MARKED = re.compile(rf"[{QUOTES}#(\[{{<]")
WITHIN = re.compile(rf"[\s{QUOTES}<>()\[\]{{}}|,;=&?/\\]+|:(?=\S)")


@dataclass(frozen=True)
class Pasted:
    """What may be meant, best guess first; each part may be empty.

    `ids` are whole ids, `ends` the tails and heads of AssetPay's ids as (head, tail), `name` what is left to look for
    among names. `is_word` says that the text is plain letters, more likely a name than the tail of an id.
    `steam_name` is a Steam address that only Steam could turn into a number.
    """

    ids: tuple[str, ...] = ()
    ends: tuple[tuple[str, str], ...] = ()
    name: str = ""
    is_word: bool = False
    steam_name: str = ""


def read_pasted(text: str) -> Pasted:
    """The ids, ends of ids and name in `text`. A trade link gives its owner's Steam id; its token goes no further."""
    if "%2F" in text and "/" not in text:
        text = unquote(text)
    text = TOKEN.sub("", INVISIBLE.sub("", text)).strip()
    steam_ids = [
        *STEAM_PROFILE.findall(text),
        *(str(FIRST_STEAM64 + int(number)) for number in (*TRADE_LINK.findall(text), *STEAM_ID_3.findall(text))),
        *(str(FIRST_STEAM64 + 2 * int(half) + int(odd)) for odd, half in STEAM_ID_2.findall(text)),
    ]
    links = LINK.findall(text)
    named = STEAM_NAME.search(text)
    rest = STEAM_ID_2.sub(" ", STEAM_ID_3.sub(" ", LINK.sub(" ", text))).strip()
    ids = [*steam_ids, *TRADE_OFFER.findall(text)]
    ids += [piece for link in links if "steamcommunity" not in link.lower() for piece in _pieces(unquote(link))]
    bare = rest.strip(ROUND)
    # Somebody else's id may hold spaces or any other sign, so the whole text is an id too.
    ids += [whole for whole in (rest, bare) if whole and len(whole) <= 128]
    chunks = rest.split()
    for chunk in chunks:
        ids += _ids_of(chunk, alone=len(chunks) == 1)
    return Pasted(
        ids=tuple(dict.fromkeys(ids))[:MOST_IDS],
        ends=tuple(dict.fromkeys(_ends_of(chunks)))[:MOST_IDS],
        name=" ".join(rest.split()),
        is_word=bare.isalpha(),
        steam_name=named[1] if named else "",
    )


def _ids_of(chunk: str, *, alone: bool) -> list[str]:
    shortest = 1 if alone or MARKED.search(chunk) else SHORTEST_ID_IN_A_SENTENCE
    wholes = [chunk.strip(ROUND), *_pieces(chunk)]
    return [whole for whole in wholes if len(whole) >= shortest and (alone or _may_be_an_id(whole))]


def _pieces(chunk: str) -> list[str]:
    pieces = [piece.strip(ROUND) for piece in WITHIN.split(chunk)]
    return [piece for piece in pieces if len(piece) >= SHORTEST_TAIL and _may_be_an_id(piece)]


def _may_be_an_id(text: str) -> bool:
    return len(text) <= 128 and any(sign.isdigit() or sign in "-_" for sign in text)


def _ends_of(chunks: list[str]) -> list[tuple[str, str]]:
    ends = []
    for chunk in chunks:
        inner = chunk.strip(ROUND.replace(".", ""))
        parts = ELLIPSIS.split(inner)
        if len(parts) == 2:
            head, tail = parts[0].strip(ROUND), parts[1].strip(ROUND)
            if (len(head) >= SHORTEST_HEAD or not head) and (len(tail) >= SHORTEST_TAIL or not tail) and head + tail:
                ends.append((head, tail))
            elif len(tail) >= SHORTEST_TAIL:
                ends.append(("", tail))
        elif len(chunks) == 1 and len(whole := inner.strip(ROUND)) >= SHORTEST_TAIL:
            ends.append(("", whole))
            if len(whole) >= SHORTEST_HEAD:
                ends.append((whole, ""))
    return ends
