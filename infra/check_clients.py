"""Generates clients from infra/openapi.yaml, checks their types, and lets them use the local stack.

    pip install --require-hashes -r infra/requirements/clients.txt
    python3 infra/check_clients.py
    python3 infra/check_clients.py http://127.0.0.1:3000   # a stack that runs already

Needs Node with npm. Everything generated is in target/clients. Fails if a generator has a warning, if a
generated client or a tutorial of infra/clients does not fit its types, or if a tutorial fails.
"""

import os
import pathlib
import shutil
import subprocess
import sys

root = pathlib.Path(__file__).resolve().parent.parent
description, tutorials, target = root / "infra/openapi.yaml", root / "infra/clients", root / "target/clients"
tools = pathlib.Path(sys.executable).parent
NPM = ["openapi-typescript@7.13.0", "openapi-fetch@0.17.0", "typescript@5.9.3", "@types/node@20.19.9"]
# Maximum number of generated modules: more would mean that types without a name have come back.
MOST_MODULES = 240


def run(*command, cwd=root, **environment):
    subprocess.run([str(part) for part in command], cwd=cwd, env={**os.environ, **environment}, check=True)


def python(url):
    package = target / "python"
    shutil.rmtree(package, ignore_errors=True)
    package.mkdir(parents=True)
    # No hooks: generated code that nobody reads needs no formatting.
    (package / "config.yaml").write_text("post_hooks: []\n")
    command = [tools / "openapi-python-client", "generate", "--path", description, "--meta", "none", "--fail-on-warning"]
    run(*command, "--config", package / "config.yaml", "--output-path", package / "tenure_client")
    modules = len(list(package.rglob("*.py")))
    print(f"openapi-python-client: {modules} modules", flush=True)
    assert modules <= MOST_MODULES, "more than there are operations and named types"
    tutorial = tutorials / "tutorial.py"
    strict = [tools / "mypy", "--strict", "--cache-dir", package / ".mypy_cache"]
    run(*strict, package / "tenure_client", tutorial, MYPYPATH=str(package))
    run(sys.executable, "-B", tutorial, url, PYTHONPATH=str(package))
    print("the tutorial passes in Python", flush=True)


def typescript(url):
    package = target / "typescript"
    package.mkdir(parents=True, exist_ok=True)
    (package / "package.json").write_text('{"private": true, "type": "module"}\n')
    run("npm", "install", "--no-audit", "--no-fund", "--loglevel=error", "--save-exact", *NPM, cwd=package)
    run("npx", "openapi-typescript", description, "--output", "api.d.ts", cwd=package)
    shutil.copy(tutorials / "tutorial.ts", package)
    run("npx", "tsc", "--strict", "--module", "nodenext", "--target", "es2022", "tutorial.ts", cwd=package)
    run("node", "tutorial.js", url, cwd=package)
    print("the tutorial passes in TypeScript", flush=True)


def main():
    if len(sys.argv) > 1:
        stack, url = None, sys.argv[1]
    else:
        command = ["cargo", "local", "--in-memory", "--port", "0"]
        stack = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True)
        url = next(line.split()[-1] for line in stack.stdout if line.startswith("listening on "))
    try:
        python(url)
        typescript(url)
    finally:
        if stack:
            stack.terminate()
            stack.wait()


main()
