"""A credential helper that really keeps what it is given, in a file."""

import sys
from pathlib import Path

HELPER = """#!{python}
import json, pathlib, sys
store = pathlib.Path({store!r})
logins = json.loads(store.read_text()) if store.exists() else {{}}
text, verb = sys.stdin.read(), sys.argv[1]
if verb == "list":
    print(json.dumps({{key: login[0] for key, login in logins.items()}}))
elif verb == "get" and text not in logins:
    print("credentials not found in native keychain")
    sys.exit(1)
elif verb == "get":
    print(json.dumps({{"ServerURL": text, "Username": logins[text][0], "Secret": logins[text][1]}}))
elif verb == "store":
    login = json.loads(text)
    store.write_text(json.dumps(logins | {{login["ServerURL"]: [login["Username"], login["Secret"]]}}))
elif verb == "erase":
    store.write_text(json.dumps({{key: login for key, login in logins.items() if key != text}}))
"""


def put_helper(folder: Path) -> tuple[Path, Path]:
    """Put `docker-credential-lab` into a folder; itself, and the file in which it keeps logins."""
    program, store = folder / "docker-credential-lab", folder / "store.json"
    program.write_text(HELPER.format(python=sys.executable, store=str(store)))
    program.chmod(0o755)
    return program, store
