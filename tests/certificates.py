"""Certificates for tests of TLS, made by openssl: an authority, and servers' and clients' that it signs."""

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Pair:
    """Certificate and private key, as PEM files."""

    certificate: Path
    key: Path


class Authority:
    """A certificate authority of one test."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._own = Pair(folder / f"{name}.crt", folder / f"{name}.key")
        self._openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
                      "-keyout", str(self._own.key), "-out", str(self._own.certificate))  # fmt: skip

    @property
    def certificate(self) -> Path:
        """What a client trusts."""
        return self._own.certificate

    def issue(self, name: str, *, expired: bool = False) -> Pair:
        """Make a certificate for localhost and 127.0.0.1; `expired`: it was valid some years ago."""
        pair = Pair(self._folder / f"{name}.crt", self._folder / f"{name}.key")
        request = self._folder / f"{name}.csr"
        extensions = self._folder / f"{name}.ext"
        extensions.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        self._openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost",
                      "-keyout", str(pair.key), "-out", str(request))  # fmt: skip
        # `openssl x509` of Debian 12 takes no dates, and `openssl ca` wants a database.
        database = self._folder / f"{name}.db"
        database.write_text("")
        configuration = self._folder / f"{name}.cnf"
        configuration.write_text(
            f"[ca]\ndefault_ca=d\n[d]\ndatabase={database}\nnew_certs_dir={self._folder}\nrand_serial=yes\n"
            "default_md=sha256\npolicy=p\nunique_subject=no\n[p]\ncommonName=supplied\n"
        )
        dates = ("20200101000000Z", "20200201000000Z") if expired else ("20200101000000Z", "20990101000000Z")
        self._openssl("ca", "-batch", "-notext", "-config", str(configuration), "-in", str(request),
                      "-out", str(pair.certificate), "-cert", str(self._own.certificate),
                      "-keyfile", str(self._own.key), "-startdate", dates[0], "-enddate", dates[1],
                      "-extfile", str(extensions))  # fmt: skip
        return pair

    @staticmethod
    def _openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=60)
