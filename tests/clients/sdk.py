"""`@dokploy/sdk`: a library for JavaScript, REST; our script calls it (`sdk_call.mjs`)."""

import functools
import json
from pathlib import Path
from typing import Any

from tests.clients.calling import PACKAGES, Client, Outcome, is_read

SCRIPT = Path(__file__).with_name("sdk_call.mjs")


class Sdk(Client):
    """A function per procedure (`registryCreate`), which answers `{data, error, response}` and throws nothing.

    `error` is the body of the refusal as it came. As published, node cannot import it (its modules name each other
    without their ending); a bundler can. Where nothing is answered it says `{}`.
    """

    shows_of_a_refused_login = "401 Unauthorized"

    def call(self, name: str, /, **values: Any) -> Outcome:
        router, _, action = name.partition(".")
        options = {"baseUrl": f"{self.site.url}/api", "headers": {"x-api-key": self.site.key}}
        wish = {
            "name": router + action[0].upper() + action[1:],
            "options": options | {"query" if is_read(name) else "body": values},
        }
        done = self.site.run(["node", str(self._bundle)], {}, stdin=json.dumps(wish))
        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout)
        return Outcome("error" in answer, answer.get("data"), done.stdout + done.stderr)

    @functools.cached_property
    def _bundle(self) -> Path:
        """The script with the whole SDK in one file."""
        bundle = self.site.folder / "sdk_call.mjs"
        words = [str(SCRIPT), "--bundle", "--platform=node", "--format=esm", f"--outfile={bundle}", "--log-level=error"]
        done = self.site.run([str(PACKAGES / ".bin" / "esbuild"), *words], {"NODE_PATH": str(PACKAGES)})
        assert done.returncode == 0, done.stderr
        return bundle
