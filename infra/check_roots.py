#!/usr/bin/env python3
"""Checks that the root certificates that functions trust are those of Amazon in Mozilla's list.

Needs certifi, which is that list. If this fails, put the certificates that it names into
shared/src/platform/amazon_roots.pem, or take them out, and change the date there."""

import pathlib
import re
import ssl
import sys

import certifi

OURS = pathlib.Path(__file__).resolve().parent.parent / "shared/src/platform/amazon_roots.pem"
NAMES = ("Amazon Root CA ", "Starfield Services Root Certificate Authority - G2")


def roots(path):
    """Returns the common names of the certificates in a file, by the certificate in DER."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(path)
    named = {}
    for der, read in zip(context.get_ca_certs(binary_form=True), context.get_ca_certs()):
        named[der] = dict(part for names in read["subject"] for part in names).get("commonName", "")
    return named


def main():
    ours = roots(OURS)
    theirs = {der: name for der, name in roots(certifi.where()).items() if name.startswith(NAMES)}
    problems = [f"not Amazon's any more: {ours[der]}" for der in ours.keys() - theirs.keys()]
    problems += [f"missing: {theirs[der]}" for der in theirs.keys() - ours.keys()]
    if len(re.findall("BEGIN CERTIFICATE", OURS.read_text())) != len(ours):
        problems.append("a certificate is there twice, or cannot be read")
    print(f"{len(ours)} roots, compared with certifi {certifi.__version__}")
    sys.exit("\n".join(problems) or 0)


if __name__ == "__main__":
    main()
