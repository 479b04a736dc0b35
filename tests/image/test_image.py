"""Runs the service in the unpacked root file system of the image, and asks it for a decision.

The service runs as the user of the image with chroot, on files that belong to root, without /tmp, HOME or a shell. An
identity provider with TLS publishes its key set, and its certificate comes from a private authority. Without the
certificate of the authority, the service must reject the key set.

usage: test_image.py ROOT CONFIG
"""

import base64
import http.server
import json
import os
import pathlib
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

ROOT, CONFIG = pathlib.Path(sys.argv[1]), json.load(open(sys.argv[2]))["config"]
COMPANY = "0190a000-0000-7000-8000-000000000001"
SBOM = "usr/share/sbom/iam.cdx.json"
PATIENCE = 60


def check(condition, message):
    if not condition:
        sys.exit(f"image: {message}")


def openssl(*arguments, stdin=None):
    return subprocess.run(["openssl", *arguments], input=stdin, check=True, capture_output=True).stdout


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def wait_until(condition, message):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        result = condition()
        if result:
            return result
        time.sleep(0.02)
    sys.exit(f"image: {message()}")


def check_files():
    """The image contains the programs, their libraries and certificates, and nothing that another user may write."""
    files = {str(path.relative_to(ROOT)) for path in ROOT.rglob("*") if path.is_file() or path.is_symlink()}
    extra = [name for name in files if not re.fullmatch(
        r"usr/local/bin/(iam|iam-http|migration)|(usr/)?lib(64)?/.*\.so[.0-9]*|etc/(passwd|group|nsswitch\.conf)"
        r"|etc/ssl/certs/ca-certificates\.crt|" + re.escape(SBOM), name)]
    check(not extra, f"unexpected files: {extra}")
    # The programs of a release contain the list of their dependencies in the section .dep-v0 (deploy/image/build.sh).
    is_release = b"\0.dep-v0\0" in (ROOT / "usr/local/bin/iam").read_bytes()
    check(is_release == (SBOM in files), "a release has an SBOM and auditable programs, other builds have neither")
    if is_release:
        components = {component["name"] for component in json.loads((ROOT / SBOM).read_text())["components"]}
        check({"actix-web", "iam-domain", "migration", "sea-orm"} <= components, f"incomplete SBOM: {components}")
    for name in ("usr/local/bin/iam", "usr/local/bin/migration", "etc/ssl/certs/ca-certificates.crt"):
        check(name in files, f"{name} is missing")
    for path in [ROOT, *ROOT.rglob("*")]:
        if not path.is_symlink():
            status = path.stat()
            check(status.st_uid == 0 and not status.st_mode & 0o6022, f"{path} belongs to a user, or is writable")


def check_config():
    check(CONFIG["User"] == "65532:65532", f"the user is {CONFIG.get('User')}")
    check(CONFIG["Entrypoint"] == ["/usr/local/bin/iam"], f"the entry point is {CONFIG.get('Entrypoint')}")
    check(set(CONFIG["ExposedPorts"]) == {"3001/tcp", "9464/tcp"}, "the ports differ from those of the Containerfile")
    labels = CONFIG["Labels"]
    for name in ("title", "version", "revision", "description"):
        check(labels.get(f"org.opencontainers.image.{name}"), f"the label {name} is missing")
    containerfile = (pathlib.Path(__file__).parents[2] / "deploy/Containerfile").read_text()
    for variable in CONFIG["Env"]:
        check(variable.startswith("PATH=") or variable in containerfile, f"{variable} is not in the Containerfile")


class Provider:
    """An identity provider on a free port, whose certificate comes from a private authority."""

    def __init__(self, folder):
        self.key, authority, leaf = folder / "key.pem", folder / "authority.pem", folder / "leaf.pem"
        self.authority = authority
        openssl("genrsa", "-out", str(self.key), "2048")
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=Authority", "-keyout",
                str(folder / "authority.key"), "-out", str(authority), "-addext", "keyUsage=critical,keyCertSign")
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-keyout", str(folder / "leaf.key"),
                "-out", str(folder / "leaf.csr"))
        (folder / "leaf.cnf").write_text("subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n")
        openssl("x509", "-req", "-in", str(folder / "leaf.csr"), "-CA", str(authority), "-CAkey",
                str(folder / "authority.key"), "-CAcreateserial", "-days", "2", "-extfile", str(folder / "leaf.cnf"),
                "-out", str(leaf))
        modulus = openssl("rsa", "-in", str(self.key), "-noout", "-modulus").decode().strip().split("=")[1]
        keys = {"keys": [{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "1", "e": "AQAB",
                          "n": base64url(bytes.fromhex(modulus))}]}
        body = json.dumps(keys).encode()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, *_):
                """A client that rejects the certificate is expected."""

        server = Server(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(leaf, folder / "leaf.key")
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.issuer = f"https://localhost:{server.server_port}"

    def token(self):
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": "iam", "sub": "someone", "iat": now, "exp": now + 600}
        parts = [base64url(json.dumps(part).encode()) for part in ({"alg": "RS256", "kid": "1"}, claims)]
        signed = ".".join(parts)
        return f"{signed}.{base64url(openssl('dgst', '-sha256', '-sign', str(self.key), stdin=signed.encode()))}"


class Service:
    """The service in the root file system of the image. Ends with the context."""

    def __init__(self, provider, log, **environment):
        user, group = (int(part) for part in CONFIG["User"].split(":"))
        issuers = [{"issuer": provider.issuer, "jwks_url": provider.issuer + "/keys", "audiences": ["iam"]}]
        environment = dict(variable.split("=", 1) for variable in CONFIG["Env"] if not variable.startswith("PATH=")) | {
            "IAM__SERVER__HOST": "127.0.0.1", "IAM__ADMIN__HOST": "127.0.0.1", "IAM__SERVER__MODE": "production",
            "USE_DATABASE": "false",
            "PORT": "0", "IAM__ADMIN__PORT": "0", "IAM__AUTH__ISSUERS": json.dumps(issuers),
        } | environment

        def enter():
            os.chroot(ROOT)
            os.chdir("/")
            os.setgroups([])
            os.setgid(group)
            os.setuid(user)

        self.log = log
        self.started = time.monotonic()
        with open(log, "wb") as file:
            self.process = subprocess.Popen(CONFIG["Entrypoint"], env=environment, stdout=file, stderr=file,
                                            preexec_fn=enter)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        check(self.process.wait(PATIENCE) == 0, f"the service did not shut down gracefully:\n{self.text()}")

    def text(self):
        return self.log.read_text()

    def port(self):
        def found():
            check(self.process.poll() is None, f"the service ended:\n{self.text()}")
            return re.search(r"listening on http://127\.0\.0\.1:(\d+)", self.text())
        return int(wait_until(found, lambda: f"no port in the log:\n{self.text()}").group(1))

    def ask(self, path, token=None, body=None):
        headers = {"Content-Type": "application/json", "X-Company-Id": COMPANY}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        data = json.dumps(body).encode() if body else None
        request = urllib.request.Request(f"http://127.0.0.1:{self.address}{path}", data, headers)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, None

    def wait_for_port(self):
        self.address = self.port()
        wait_until(lambda: self.ask("/livez")[0] == 200, lambda: f"the service is not alive:\n{self.text()}")
        return time.monotonic() - self.started


def main():
    check_files()
    check_config()
    # Every container runtime provides this file.
    (ROOT / "etc/hosts").write_text("127.0.0.1 localhost\n")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="iam-image-provider."))
    try:
        provider = Provider(folder)
        question = {"view": "/dashboard"}
        with Service(provider, folder / "rejected.log") as service:
            service.wait_for_port()
            wait_until(lambda: "certificate" in service.text(), lambda: f"no rejected certificate:\n{service.text()}")
            status, _ = service.ask("/api/iam/check", provider.token(), question)
            check(status in (401, 503), f"a key set of an unknown authority is trusted: {status}")
        # An operator mounts the certificates of a private authority like this.
        shutil.copy(provider.authority, ROOT / "authority.pem")
        (ROOT / "authority.pem").chmod(0o444)
        with Service(provider, folder / "service.log", SSL_CERT_FILE="/authority.pem") as service:
            started = service.wait_for_port()
            answer = {}

            def decided():
                answer["status"], answer["body"] = service.ask("/api/iam/check", provider.token(), question)
                return answer["status"] == 200

            wait_until(decided, lambda: f"no decision: {answer}\n{service.text()}")
            data = answer["body"]["data"]
            check(data["allowed"] is False and data["reasonCode"] == "no_user_levels", f"unexpected decision: {data}")
        print(f"image: a decision with keys over verified TLS; the service was alive after {started * 1000:.0f} ms")
    finally:
        shutil.rmtree(folder)


main()
