"""Checks the documents against the repository, and pastes their commands into real shells.

    python3 infra/check_docs.py            checks paths, links, tests, decisions and the endpoint table
    python3 infra/check_docs.py --paste [COMMAND …]
                                           also pastes every marked block into bash and zsh, each against a fresh
                                           local stack, which COMMAND starts; by default it and the
                                           command line are built first. Needs curl, jq and zsh, and takes about
                                           a minute

A block is marked by `<!-- paste: NAME [PARAMETER=VALUE …] -->` on the line before it; the parameters are the
stack's. It is pasted twice into each shell: as a bracketed paste, and as plain typing. It fails if a command
fails, or if the output is not as EXPECTED says.

Exit code: 0 if all is well, 1 if not.
"""

import os
import pathlib
import pty
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOCUMENTS = [
    ROOT / "README.md",
    *sorted((ROOT / ".github").glob("*.md")),
    *sorted((ROOT / "infra").glob("*.md")),
    *sorted((ROOT / "infra/decisions").glob("*.md")),
    ROOT / "tests/bench/README.md",
]
BINARIES = ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "debug"
README_LINES, TUTORIAL_LINES = 150, 20

UUID = r"[0-9a-f-]{36}"
TIME = r"20\d\d-[0-9T:.-]+Z"

# What each block prints, in this order; other lines may come between.
EXPECTED = {
    "tutorial": [
        rf'\["{UUID}","Test Company","initial"\]',
        r'"name":"Front desk".*\+15551234567',
        rf'\["frozen","{TIME}"\]',
        r'\["ACCOUNT_FROZEN",".+"\]',
        r'\["initial",null\]',
        rf'\["frozen","{TIME}"\]',
        rf'"{TIME}"',
        rf'\["deleted","","","{TIME}"\]',
        rf'\["{TIME}","{TIME}",.*"numbers":\{{"found":1,"deleted":1\}}',
        r'"iss": "tenure"',
        r'"numbers": 1',
        r'"requested_by": "customer_admin"',
        r'"reason": "unregister"',
    ],
    "operate": [
        r"\[\[\],\{.*\},\{.*\}\]",
        rf'\["{UUID}","initial"\]',
        r'\["LEGAL_HOLD",".+"\]',
        rf'\["{UUID}","initial"\]',
        r'\["PLAN_OUTDATED",.*"account_changed":true',
        r'\["Leaving Ltd","deleted"\]',
        r'\{"settled":true\}',
        rf'\["delete","{TIME}","{TIME}",.*"agents":\{{"found":1,"deleted":1\}}',
        r'"iss": "tenure"',
        r'"requested_by": "project_admin"',
        r'"checked":1,"erased_again":0',
        rf'\["customer_released","default","{TIME}","agent","project_admin","{UUID}"\]',
        rf'\["{UUID}","{TIME}","{UUID}"\]',
    ],
    "day": [
        r'\["Leaving Ltd","frozen"\]',
        rf'\["{TIME}"\]',
        rf'\["Leaving Ltd","{TIME}"\]',
        r'\["Broken Ltd","http://127.0.0.1:\d+/"\]',
        r'\["customer_created","pending",2,".+"\]',
        r'\["customer_created","pending",0\]',
        r'\{"settled":true\}',
        r"\[\]",
        r'\["bot","vb_.+"\]',
        rf'\["bot","{TIME}"\]',
        r'\["Spam Ltd","initial"\]',
        r'\["Spam Ltd"\]',
        rf'\["customer_suspended","{TIME}","project_admin"\]',
        rf'\["accesskey_deleted","{TIME}","project_admin"\]',
        rf'\["accesskey_created","{TIME}","customer_admin"\]',
        rf'\["customer_created","{TIME}","project_admin"\]',
    ],
    "cli": [
        r"Signed in at http://127.0.0.1:\d+ until 20",
        r"name +Leaving Ltd",
        r"The account is held\.",
        r"\(LEGAL_HOLD, request .+\)",
        r"exit code 1",
        r"The hold is lifted\.",
        r"\(PLAN_OUTDATED, request .+\)",
        r"exit code 4",
        rf"{UUID} \(Leaving Ltd\) is deleted\.",
        r"The receipt is genuine\.",
        rf"account +{UUID}",
        r"The receipt is genuine\.",
        r"round +1, final",
        r'\["customer_released","project_admin"\]',
        r'\["customer_created","project_admin"\]',
        r"Signed out\.",
    ],
    "mail": [
        r"\{\}",
        r'\{"settled":true\}',
        r'\["active",true\]',
        r'\["tm_expire","token","username"\]',
    ],
    "events": [
        rf'\["{UUID}","http://127.0.0.1:\d+/"\]',
        r'\["webhook_test","pending"\]',
        r'\{"settled":true\}',
        r'\["webhook_test","delivered",1\]',
        r'\["whsec_.+"\]',
        r'\{"settled":true\}',
        r'"type":"webhook_test"',
        r"(?i)webhook-signature: v1,\S+ v1,\S+",
        r'"type":"customer_updated"',
    ],
    "local": [
        r'"due":0,.*"stopped":false',
        r'\[.*"functions".*\]',
        r'\["tm_expire","token","username"\]',
        r"\[1,\d,\{.*\}\]",
    ],
    "faults": [
        r'"fault":"throttle"',
        r'\["SERVICE_UNAVAILABLE",".+"\]',
        r'\{"faults":\[\]\}',
        r"\[.*\]",
    ],
}

# Error messages of shells and programs.
TROUBLE = re.compile(
    r"command not found|parse error|syntax error|no matches found|unmatched|event not found|bad pattern"
    r"|curl: \(|jq: |Traceback|FAILED-\d"
)


def text_of(document):
    return document.read_text("utf-8")


def name_of(document):
    return str(document.relative_to(ROOT))


# ------------------------------------------------------------------------------------------ static checks


def without_fences(text):
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def missing_paths(document):
    """Yields paths in backticks that exist neither below the root nor below the document's directory."""
    top = tuple(f"{entry.name}/" for entry in ROOT.iterdir() if entry.is_dir())
    beside = document.parent
    for code in re.findall(r"`([^`\s]+)`", without_fences(text_of(document))):
        path = code.split("#")[0].rstrip("/")
        local = re.fullmatch(r"[\w.-]+\.(md|yaml|toml|py|json|rs)|(events|guard|decisions|docs)/[\w./-]+", path)
        if not (code.startswith(top) or local) or re.search(r"[*<{…]", path):
            continue
        if not ((ROOT / path).exists() or (beside / path).exists() or is_made_by_work(path)):
            yield f"{name_of(document)}: `{code}` does not exist"


def is_made_by_work(path):
    """Returns whether git does not track the path: a result of builds or runs, or a file that the reader makes."""
    return path.startswith(("target/", ".local/")) or path in {"packaged.yaml", "keys.json"}


def anchors(document):
    for heading in re.findall(r"^#+ (.+)$", without_fences(text_of(document)), flags=re.MULTILINE):
        plain = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        yield re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")


def broken_links(document):
    for target in re.findall(r"\]\(([^)\s]+)\)", without_fences(text_of(document))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (document.parent / path).resolve() if path else document
        if not file.exists():
            yield f"{name_of(document)}: the link {target} leads nowhere"
        elif anchor and anchor not in anchors(file):
            yield f"{name_of(document)}: {target} has no such heading"


def unknown_tests(document):
    """Yields names in backticks that look like a test, snake_case of four words or more, and are no function's name."""
    sources = [path.read_text("utf-8") for top in ("tests", "shared", "functions", "infra")
               for path in (ROOT / top).rglob("*.rs") if "target" not in path.parts]
    functions = set(re.findall(r"\bfn (\w+)", "\n".join(sources)))
    for code in re.findall(r"`([a-z0-9]+(?:_[a-z0-9]+){3,})`", without_fences(text_of(document))):
        if code not in functions:
            yield f"{name_of(document)}: there is no test or function `{code}`"


def slug(title):
    return re.sub(r"[^a-z0-9]+", "-", title.lower().replace("'", "")).strip("-")


def misshapen_decisions():
    index = text_of(ROOT / "infra/decisions/README.md")
    for record in sorted((ROOT / "infra/decisions").glob("[0-9]*.md")):
        lines = text_of(record).splitlines()
        title = lines[0].removeprefix("# ")
        if record.name != f"{title[:4]}-{slug(title[5:])}.md":
            yield f"{record.name}: its title is {title!r}"
        if [line for line in lines if line.startswith("## ")] != ["## Context", "## Decision", "## Consequences"]:
            yield f"{record.name}: its sections must be Context, Decision, Consequences"
        if f"[{title}]({record.name})" not in index:
            yield f"{record.name}: is not in the index"


def decisions_without_records():
    """Yields numbers of decisions that a tracked file names, and that have no record."""
    numbers = {int(path.name[:4]) for path in (ROOT / "infra/decisions").glob("[0-9]*.md")}
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
    for name in filter(re.compile(r".*\.(md|rs|py|yaml|toml)$").match, tracked.split("\0")):
        if not (ROOT / name).exists():
            continue
        for number in re.findall(r"\b[Dd]ecisions? (\d+)", text_of(ROOT / name)):
            if int(number) not in numbers:
                yield f"{name}: there is no decision {number}"


def endpoints():
    """The template's routes, each with the binary of its function."""
    for function in text_of(ROOT / "template.yaml").split("Type: AWS::Serverless::Function")[1:]:
        binary = re.search(r"Binary: (\w+)", function)[1]
        for method, path in re.findall(r'Method: (\w+), Path: ("[^"]+"|[^}]+)', function):
            yield method + " " + path.strip('"'), binary


def wrong_endpoint_table():
    deployed = set(endpoints())
    rows = re.findall(r"^\| `([A-Z]+ /\S*)` \|.*\| `functions/src/bin/(\w+)\.rs` \|$",
                      text_of(ROOT / "infra/ENDPOINTS.md"), flags=re.MULTILINE)
    for route, file in sorted(deployed ^ set(rows)):
        yield f"infra/ENDPOINTS.md and template.yaml disagree about {route} ({file}.rs)"


def kinds(nature):
    """The plural names of the kinds of this nature, as the domain declares them."""
    source = text_of(ROOT / "shared/src/domain/owned.rs")
    return re.findall(rf'^ +\w+ "\w+" "\w+" "\w+" "(\w+)" {nature};$', source, flags=re.MULTILINE)


def wrong_kinds():
    description = text_of(ROOT / "infra/openapi.yaml")
    resources = kinds("Resource")
    if not resources:
        yield "shared/src/domain/owned.rs declares no kinds as this check reads them"
    for schema, nature in (("ResourceKind", "Resource"), ("OwnedKind", r"\w+")):
        enum = re.search(rf"^    {schema}:\n(?:      .*\n)*?      enum: \[(.*)\]", description, flags=re.MULTILINE)
        if not enum or sorted(enum[1].split(", ")) != sorted(kinds(nature)):
            yield f"infra/openapi.yaml: the enum of {schema} is not the list in shared/src/domain/owned.rs"
    listed = re.search(r"`{kind}` is one of (.*?) \(declared", text_of(ROOT / "infra/ENDPOINTS.md"), flags=re.DOTALL)
    if not listed or re.findall(r"`(\w+)`", listed[1]) != resources:
        yield "infra/ENDPOINTS.md: the list of kinds is not the list in shared/src/domain/owned.rs"


def too_long():
    if (lines := len(text_of(ROOT / "README.md").splitlines())) > README_LINES:
        yield f"README.md has {lines} lines, at most {README_LINES}"


class Block:
    def __init__(self, document, mark, text):
        self.document = name_of(document)
        self.name, *self.parameters = mark.split()
        self.text = text


def blocks():
    for document in DOCUMENTS:
        for mark, text in re.findall(r"^<!-- paste: (.+?) -->\n```sh\n(.*?)^```", text_of(document),
                                     flags=re.MULTILINE | re.DOTALL):
            yield Block(document, mark, text)


def unpasteable(block):
    where = f"{block.document}, block {block.name}"
    if re.search(r"(^|\s)#", block.text):
        yield f"{where}: an interactive zsh takes no comments"
    if "'" in block.text:
        yield f"{where}: has an apostrophe"
    if re.search(r"[?&](token|accesskey)=", block.text):
        yield f"{where}: has a credential in a URL"
    if block.name == "tutorial" and len(block.text.splitlines()) > TUTORIAL_LINES:
        yield f"{where}: has more than {TUTORIAL_LINES} lines"
    if block.name not in EXPECTED:
        yield f"{where}: EXPECTED does not say what it prints"


def static_problems():
    yield from too_long()
    for document in DOCUMENTS:
        yield from missing_paths(document)
        yield from broken_links(document)
        yield from unknown_tests(document)
    yield from misshapen_decisions()
    yield from decisions_without_records()
    yield from wrong_endpoint_table()
    yield from wrong_kinds()
    found = list(blocks())
    for block in found:
        yield from unpasteable(block)
    for name in EXPECTED.keys() - {block.name for block in found}:
        yield f"no document has the block {name}"


# ----------------------------------------------------------------------------------------------- pasting


def need_programs():
    missing = [program for program in ("bash", "curl", "jq", "zsh") if not shutil.which(program)]
    if missing:
        sys.exit(f"install {', '.join(missing)} first: the documents' commands are pasted into real shells")


def build():
    """Builds the local stack and the command line; returns the command that starts the stack without building."""
    # Separately: packages that are built together share features of their dependencies, which would then be rebuilt.
    for packages in (["-p", "functions", "--bins", "-p", "local"], ["-p", "cli"]):
        subprocess.run(["cargo", "build", "--quiet", *packages], cwd=ROOT, check=True)
    return [str(BINARIES / "local"), "--binaries", str(BINARIES)]


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Stack:
    """A fresh local stack."""

    def __init__(self, program, parameters):
        named = [argument for parameter in parameters for argument in ("--parameter", parameter)]
        command = [*program, "--in-memory", "--port", "0", *named]
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=self.log,
                                        start_new_session=True)
        for line in self.process.stdout:
            if match := re.match(r"listening on http://127\.0\.0\.1:(\d+)", line.decode()):
                self.port = match[1]
                return
        self.log.seek(0)
        sys.exit(f"the local stack does not start:\n{self.log.read().decode()}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.killpg(self.process.pid, signal.SIGINT)
        self.process.wait(timeout=60)


# Each shell's command, and the commands that make it report every command that fails.
SHELLS = {
    "bash": (["bash", "--norc", "-i"], "set -o pipefail; trap 'echo FAILED-$?' ERR"),
    "zsh": (["zsh", "-f", "-i"], "setopt pipefail; TRAPZERR() { echo FAILED-$? }"),
}
END = "all-of-it-is-done"


class Shell:
    """An interactive shell in a terminal."""

    def __init__(self, kind, directory):
        command, self.prelude = SHELLS[kind]
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.chdir(directory)
            environment = {"PATH": f"{directory}:{os.environ['PATH']}", "HOME": str(directory), "TERM": "xterm", "LANG": "C.UTF-8",
                           "COLUMNS": "4000", **{name: value for name, value in os.environ.items()
                                                 if name.lower().endswith("_proxy") or name.startswith("PIP_")}}
            os.execvpe(command[0], command, environment)
        self.seen = ""

    def type(self, text):
        """Types text while reading what the terminal shows, so that neither side blocks on a full buffer."""
        data = text.encode()
        while data:
            readable, writable, _ = select.select([self.terminal], [self.terminal], [], 60)
            if readable:
                self.read()
            if writable:
                data = data[os.write(self.terminal, data[:512]):]

    def read(self):
        try:
            self.seen += os.read(self.terminal, 65536).decode(errors="replace")
        except OSError:
            sys.exit(f"the shell has ended:\n{self.seen}")

    def wait_for(self, text, seconds):
        until = time.monotonic() + seconds
        while text not in self.seen:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self.terminal], [], [], left)[0]:
                return False
            self.read()
        return True

    def run(self, block, bracketed):
        # The shell joins the parts of each mark, so that the echo of what is typed is not taken for output.
        self.type(f"{self.prelude}; stty -echo; echo begin-''here\n")
        if not self.wait_for("begin-here", 30):
            return "the shell does not start\n" + self.seen
        time.sleep(0.3)
        self.seen = ""
        if bracketed:
            # A terminal pastes line ends as carriage returns; the last one is typed by the user.
            self.type(f"\x1b[200~{block.rstrip()}\x1b[201~".replace("\n", "\r"))
            self.type("\r")
        else:
            self.type(block)
        self.type(f"echo {END[:4]}''{END[4:]}\n")
        if not self.wait_for(END, 300):
            return "it does not end\n" + self.seen
        # Without the terminal's control sequences, and without the blanks by which zsh begins a prompt.
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|\r| {80,}", "", self.seen)

    def close(self):
        os.kill(self.pid, signal.SIGHUP)
        os.close(self.terminal)
        os.waitpid(self.pid, 0)


def printed(output):
    """Returns the lines of output without echoed input: without lines that look like a command."""
    return [line for line in output.splitlines() if not re.search(r"curl -sS|localhost", line)]


def output_problems(block, output):
    if match := TROUBLE.search(output):
        yield f"says {match[0]!r}"
    lines = iter(printed(output))
    for pattern in EXPECTED[block.name]:
        if not any(re.search(pattern, line) for line in lines):
            yield f"does not print {pattern}, or not in its place"
            return


def paste_problems(block, program, kind, bracketed):
    with tempfile.TemporaryDirectory() as directory, Stack(program, block.parameters) as stack:
        os.symlink(ROOT / "infra", pathlib.Path(directory) / "infra")
        os.symlink(BINARIES / "tenure", pathlib.Path(directory) / "tenure")
        text = block.text.replace("127.0.0.1:3000", f"127.0.0.1:{stack.port}")
        if "9000" in text:
            text = text.replace("9000", str(free_port()))
        shell = Shell(kind, directory)
        output = shell.run(text, bracketed)
        shell.close()
    how = "bracketed paste" if bracketed else "plain paste"
    for problem in output_problems(block, output):
        yield f"{block.document}, block {block.name}, {how} into {kind}: {problem}\n{output}"


def main(arguments):
    if arguments and arguments[0] != "--paste":
        print(__doc__, file=sys.stderr)
        return 1
    problems = list(static_problems())
    if arguments:
        need_programs()
        program = arguments[1:] or build()
        for block in blocks():
            for kind in SHELLS:
                for bracketed in (True, False):
                    found = list(paste_problems(block, program, kind, bracketed))
                    print(f"{'not as it should be' if found else 'ok'}: {block.document}, {block.name}, {kind}"
                          f"{', bracketed' if bracketed else ''}", flush=True)
                    problems += found
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
