"""Checks an erasure receipt offline and prints what it states.

    pip install joserfc==1.8.0
    python3 infra/verify_receipt.py RECEIPT.jws KEYS.json [SUPERSEDED.jws]

KEYS.json is what GET /v1.0/erasure-keys answers. Get it once, from the service itself, and keep it: a receipt is only
as trustworthy as the way in which you got the keys. SUPERSEDED.jws is an earlier receipt that this one must supersede.

Exit code: 0 if the receipt is genuine, 1 if it is not, 2 if a file cannot be read.
"""

import hashlib
import json
import pathlib
import sys

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

TYPE = "erasure-receipt+jwt"
ISSUER = "tenure"


class NotGenuine(Exception):
    """A receipt is not genuine; the message says why."""


def claims_of(receipt, keys):
    """Returns the claims of a receipt, if one of the keys signed it as a receipt; raises NotGenuine otherwise."""
    try:
        token = jwt.decode(receipt, keys, algorithms=["ES256"])
    except (JoseError, ValueError) as problem:
        raise NotGenuine(f"not signed by any of the keys, or changed since ({problem})") from problem
    if token.header.get("typ") != TYPE:
        raise NotGenuine(f"signed, but as something else than {TYPE}")
    if token.claims.get("iss") != ISSUER:
        raise NotGenuine(f"signed, but not issued by {ISSUER}")
    return token.claims


def check_superseded(claims, receipt):
    """Raises NotGenuine unless the claims name this receipt as the one that they supersede."""
    if claims.get("supersedes") != hashlib.sha256(receipt.encode()).hexdigest():
        raise NotGenuine("signed, but it supersedes another receipt, or none")


def main(arguments):
    if len(arguments) not in (2, 3):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        receipt, keys, *superseded = (pathlib.Path(name).read_text("utf-8").strip() for name in arguments)
        keys = KeySet.import_key_set(json.loads(keys))
    except (OSError, ValueError, KeyError, TypeError, JoseError) as problem:
        print(f"cannot read: {problem!r}", file=sys.stderr)
        return 2
    try:
        claims = claims_of(receipt, keys)
        for earlier in superseded:
            claims_of(earlier, keys)
            check_superseded(claims, earlier)
    except NotGenuine as problem:
        print(f"NOT GENUINE: {problem}", file=sys.stderr)
        return 1
    print(json.dumps(claims, indent=2))
    if not claims.get("final", True):
        print("Not final: the erasure waits for participants. Another receipt supersedes this one.", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
