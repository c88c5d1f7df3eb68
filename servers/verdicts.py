"""What can go wrong on the way to a server's Docker daemon, why, and what to do about it.

A verdict is a stable code with sentences for people. The texts by which Docker's own failures are recognised
were observed with its CLI 20.10 and 28, those of 29 in its users' reports.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

Subject = Literal["server", "registry", "credentials", "image", "dokreg"]

_NOT_FOUND_STATUS = 127
_NOT_EXECUTABLE_STATUS = 126
# What `timeout` answers when the time was up: by itself, and after it had to send SIGKILL.
TIME_IS_UP = frozenset({124, 137})
_WORDS_LIMIT = 300
_NO_ROOM = re.compile(r"no space left|disk quota exceeded", re.IGNORECASE)
# The reason stands at the end; a longer text would let a hostile server keep the patterns busy.
_SEARCHED_LIMIT = 16 * 1024


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why something failed.

    `code` never changes once published. `cause` and `fix` are sentences. `permanent`: trying again without
    a change does not help. `subject`: whose side has to change.
    """

    code: str
    cause: str
    fix: str
    permanent: bool
    subject: Subject


@dataclass(frozen=True, slots=True)
class Row:
    """A text in Docker's output and what it means.

    `cause` and `fix` are templates for `str.format`, filled with the caller's facts and with the named
    groups of the pattern.
    """

    code: str
    pattern: re.Pattern[str]
    cause: str
    fix: str
    permanent: bool
    subject: Subject

    def verdict(self, facts: Mapping[str, object]) -> Verdict:
        """The row's sentences with the facts in them."""
        return Verdict(self.code, self.cause.format(**facts), self.fix.format(**facts), self.permanent, self.subject)


def row(code: str, pattern: str, *, cause: str, fix: str, permanent: bool, subject: Subject) -> Row:
    """A row whose pattern ignores case and crosses lines."""
    return Row(code, re.compile(pattern, re.IGNORECASE | re.DOTALL), cause, fix, permanent, subject)


def recognise(rows: Iterable[Row], output: str, facts: Mapping[str, object]) -> Verdict | None:
    """The verdict of the first row whose text is in the output, or None."""
    end = output[-_SEARCHED_LIMIT:]
    for candidate in rows:
        if match := candidate.pattern.search(end):
            found = {name: shown(text) for name, text in match.groupdict(default="").items()}
            return candidate.verdict({**facts, **found})
    return None


def shown(text: str) -> str:
    """Foreign text as it may stand in a sentence: one line, bounded; of a long text its end, the reason."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= _WORDS_LIMIT else f"…{line[-_WORDS_LIMIT:]}"


def said(output: str, status: int) -> str:
    """A sentence that quotes what a command printed."""
    words = shown(output)
    return f"It said: {words}" if words else f"It said nothing and ended with status {status}."


# SSH: Docker was never reached.


def ssh_unreachable(*, address: str, detail: str) -> Verdict:
    """No connection to the SSH port; `detail` is the system's reason, such as "connection refused"."""
    return Verdict(
        "ssh_unreachable",
        f"dokreg could not reach the server at {address}: {detail}.",
        ("Check the address and the SSH port, that the server is running, and that its firewall lets dokreg in."),
        permanent=False,
        subject="server",
    )


def ssh_timeout(*, address: str) -> Verdict:
    """The SSH port gave no answer at all."""
    return Verdict(
        "ssh_timeout",
        f"The server did not answer at {address} in time.",
        "Check that it is running, and that no firewall on the way drops the connection.",
        permanent=False,
        subject="server",
    )


def ssh_silent(*, address: str) -> Verdict:
    """The connection was accepted, and then nothing came that an SSH server would say."""
    return Verdict(
        "ssh_silent",
        f"Something accepts connections at {address}, but it did not answer as an SSH server does.",
        (
            "Check that this is the SSH port. If it is, the server may be overloaded or turn away too many "
            "logins at once (MaxStartups in sshd_config)."
        ),
        permanent=False,
        subject="server",
    )


def ssh_undecided(*, address: str) -> Verdict:
    """The server spoke SSH, and did not say in time whether it lets the key in."""
    return Verdict(
        "ssh_undecided",
        f"The server at {address} did not decide in time whether it lets dokreg’s key in.",
        "It may be overloaded, or ask a directory (LDAP, sssd, PAM) that does not answer: ssh -v shows where it waits.",
        permanent=False,
        subject="server",
    )


def no_session(*, address: str) -> Verdict:
    """The server has as many sessions of dokreg's at once as it takes, and none of them ended in time."""
    return Verdict(
        "no_session",
        f"The server at {address} had no session free for dokreg in time.",
        "Try again once what dokreg does there has ended, or raise MaxSessions in its sshd_config (10 is usual).",
        permanent=False,
        subject="server",
    )


def ssh_auth_refused(*, user: str) -> Verdict:
    """The server does not let this user in with this key."""
    return Verdict(
        "ssh_auth_refused",
        f"The server refused the SSH key for the user {user}.",
        (f"Add the key's public half to ~/.ssh/authorized_keys of {user} on the server, and check the user's name."),
        permanent=True,
        subject="server",
    )


def host_key_unconfirmed(*, fingerprint: str) -> Verdict:
    """First contact: nobody has confirmed the server's host key."""
    return Verdict(
        "host_key_unconfirmed",
        f"The server's host key has not been confirmed yet. Its fingerprint is {fingerprint}.",
        ("Compare it with the one on the server (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub), then confirm it."),
        permanent=True,
        subject="server",
    )


def host_key_changed(*, pinned: str, seen: str) -> Verdict:
    """The server shows another host key than the confirmed one; both as fingerprints."""
    return Verdict(
        "host_key_changed",
        f"The server shows another host key than the confirmed one: {seen} instead of {pinned}.",
        (
            "If the server was set up anew, compare the new fingerprint there and confirm it. If not, "
            "somebody may stand between: confirm nothing, and ask who keeps the server."
        ),
        permanent=True,
        subject="server",
    )


def address_forbidden(*, address: str, loopback: bool) -> Verdict:
    """The name leads to an address that dokreg never talks to."""
    way_out = (
        "To use this machine itself, start dokreg with DOKREG_ALLOW_LOOPBACK=true."
        if loopback
        else "Enter the server's own address. If it is right, who runs dokreg can say which are allowed."
    )
    return Verdict(
        "address_forbidden",
        f"The name leads to {address}, an address that dokreg does not talk to.",
        way_out,
        permanent=True,
        subject="server",
    )


def name_not_found(*, host: str) -> Verdict:
    """The server's name does not resolve where dokreg runs."""
    return Verdict(
        "name_not_found",
        f"The name {host} was not found in the DNS, as seen from dokreg.",
        "Check it for typing errors, or enter the server's IP address.",
        permanent=False,
        subject="server",
    )


def connection_lost(*, address: str) -> Verdict:
    """The SSH connection ended before the command did."""
    return Verdict(
        "connection_lost",
        f"The SSH connection to {address} ended before the answer was complete.",
        "Try again. If it happens again, look into the server's SSH log, and for restarts.",
        permanent=False,
        subject="server",
    )


def private_key_unreadable() -> Verdict:
    """The stored SSH key is not one that can be used."""
    return Verdict(
        "private_key_unreadable",
        "The SSH key that is stored for this server cannot be used as a private key.",
        "Replace it under Settings, SSH keys, by a key without a passphrase in OpenSSH or PEM form.",
        permanent=True,
        subject="dokreg",
    )


# dokreg itself.


def secret_unreadable() -> Verdict:
    """A stored secret cannot be decrypted."""
    return Verdict(
        "secret_unreadable",
        "A secret that is stored for this could not be decrypted, so nothing was tried.",
        "Check that DOKREG_FERNET_KEYS still holds the key it was saved with, or enter the secret again.",
        permanent=True,
        subject="dokreg",
    )


def own_host_not_used() -> Verdict:
    """dokreg was told not to use Docker on its own host."""
    return Verdict(
        "own_host_not_used",
        "dokreg does not use Docker on its own host here.",
        "Choose a server to test on. Who runs dokreg can allow its own host with DOKREG_LOCAL_DOCKER=true.",
        permanent=True,
        subject="dokreg",
    )


def server_gone(*, server: str) -> Verdict:
    """The server was deleted before the test began."""
    return Verdict(
        "server_gone",
        f"The server {server} was deleted before this test began.",
        "Choose another server and test again.",
        permanent=True,
        subject="dokreg",
    )


def no_shell(*, user: str, status: int) -> Verdict:
    """SSH let us in, and no command was run: a forced command, no shell, an account that has expired."""
    return Verdict(
        "no_shell",
        f"The server let dokreg in as {user}, but ran no command (status {status}).",
        f"Give {user} a shell there (usermod -s /bin/sh {user}), and look for a forced command in authorized_keys and "
        "for an expired password.",
        permanent=True,
        subject="server",
    )


def database_away() -> Verdict:
    """dokreg's own database was not there."""
    return Verdict(
        "database_away",
        "dokreg's database was away for a moment, and this was broken off.",
        "Run it again.",
        permanent=False,
        subject="dokreg",
    )


def internal_error() -> Verdict:
    """A defect in dokreg."""
    return Verdict(
        "internal_error",
        "dokreg made a mistake and broke off.",
        "The worker's log says where. Please report it.",
        permanent=False,
        subject="dokreg",
    )


def too_much_output(*, limit: int) -> Verdict:
    """A command printed more than `limit` bytes."""
    return Verdict(
        "too_much_output",
        f"The command printed more than {limit // 1024} KiB and was stopped.",
        (
            "Something on the server prints far too much: look at the login files of its user (.profile, "
            ".bashrc) and at what the command docker is there."
        ),
        permanent=True,
        subject="server",
    )


def deadline_passed() -> Verdict:
    """The command was started and did not end in time."""
    return Verdict(
        "deadline_passed",
        "The command did not end in time and was stopped.",
        ("Try again. If it happens again, look at the load of the server and at whether its Docker daemon hangs."),
        permanent=False,
        subject="server",
    )


def worker_lost() -> Verdict:
    """The worker that ran this is gone."""
    return Verdict(
        "worker_lost",
        "The worker that ran this stopped before it was done.",
        "Run it again. If it happens again, look into the worker's log.",
        permanent=False,
        subject="dokreg",
    )


def restored() -> Verdict:
    """A backup has been restored that was taken before this was over."""
    return Verdict(
        "restored",
        "A backup was restored that was taken while this was under way; how it ended is not known here.",
        "Run it again if it is still wanted.",
        permanent=False,
        subject="dokreg",
    )


def no_worker() -> Verdict:
    """No worker took this up in time."""
    return Verdict(
        "no_worker",
        "No worker took this up in time.",
        "Check that a worker for the queue ssh is running and reaches the broker, then run it again.",
        permanent=False,
        subject="dokreg",
    )


def disk_low(*, server: str, free: str) -> Verdict:
    """A warning: there is little room left where Docker keeps its images; `free` is an amount for people."""
    return Verdict(
        "disk_low",
        f"There is little room left for images on {server}: {free}.",
        "Remove what is no longer used (docker system prune), or make the disk larger.",
        permanent=False,
        subject="server",
    )


# The Docker config of the user on the server.


def config_unreadable(*, server: str, user: str, path: str, detail: str) -> Verdict:
    """The config is not one that Docker or dokreg can read; `detail` says why, without a word of its content."""
    return Verdict(
        "config_unreadable",
        f"The Docker config {path} on {server} cannot be read, so nothing was changed: {detail}.",
        (
            f"Mend it there as {user}, or move it away, and try again. Do not run docker login before: it would "
            "replace the file, and every other login in it would be lost."
        ),
        permanent=True,
        subject="server",
    )


def config_not_writable(*, server: str, user: str, path: str, detail: str) -> Verdict:
    """The config cannot be replaced by a changed one; `detail` is what the system said."""
    if _NO_ROOM.search(detail):
        return Verdict(
            "config_disk_full",
            f"The Docker config {path} on {server} could not be changed: its disk is full. It stays as it was.",
            f"Make room in the home folder of {user} there.",
            permanent=False,
            subject="server",
        )
    return Verdict(
        "config_not_writable",
        f"The Docker config {path} on {server} cannot be changed: {shown(detail)}. It stays as it was.",
        f"Check there that its folder belongs to {user}, may be written to, and is on no read-only file system.",
        permanent=True,
        subject="server",
    )


def config_no_home(*, server: str, user: str, path: str) -> Verdict:
    """The user has no home folder, and so no place for a Docker config."""
    return Verdict(
        "config_no_home",
        f"The user {user} has no home folder on {server} ({path}), and so no place for Docker's config.",
        f"Make the folder there and give it to {user}, or set DOCKER_CONFIG for {user} to a folder that is there.",
        permanent=True,
        subject="server",
    )


def config_locked(*, server: str, path: str) -> Verdict:
    """Another change has held the lock for too long."""
    return Verdict(
        "config_locked",
        f"Another change of the Docker config {path} on {server} has not come to an end.",
        "Try again. If it happens again, look there for what holds the file .dokreg.lock in that folder (fuser -v).",
        permanent=False,
        subject="server",
    )


def config_busy(*, server: str, path: str) -> Verdict:
    """Whenever the change was ready, the config was another one."""
    return Verdict(
        "config_busy",
        f"The Docker config {path} on {server} changes so often that dokreg could not add its own change.",
        "Look there for what writes it (such as a docker login in a loop or in cron), then try again.",
        permanent=False,
        subject="server",
    )


def login_not_kept(*, registry: str, server: str, path: str) -> Verdict:
    """The login was written, and is not there."""
    return Verdict(
        "login_not_kept",
        f"The login at {registry} was right, but {path} on {server} does not hold it after it was written.",
        "Look there for what else writes this file, or the credential store that it names, then try again.",
        permanent=False,
        subject="server",
    )


def login_not_removed(*, registry: str, server: str, path: str) -> Verdict:
    """The login was removed, and is still there."""
    return Verdict(
        "login_not_removed",
        f"The login at {registry} is still there on {server} after it was removed from {path}.",
        "Look there for what else writes this file, or the credential store that it names, then try again.",
        permanent=False,
        subject="server",
    )


def login_not_saved_helper(*, helper: str, server: str, user: str, path: str) -> Verdict:
    """The config names a credential helper, which did not do what it was asked."""
    return Verdict(
        "login_not_saved_helper",
        f"{path} on {server} leaves its logins to the credential helper {shown(helper)}, which does not work.",
        f"Install docker-credential-{shown(helper)} there and try it as {user}, or take it out of that file.",
        permanent=True,
        subject="server",
    )


# Docker on the server, recognised by what it says.

_CLI_ROWS = (
    row(
        "docker_not_executable",
        r"docker: permission denied|cannot execute|exec format error",
        cause="The docker command on {server} cannot be run by this user.",
        fix="Check its permissions, and that it was built for the server's processor.",
        permanent=True,
        subject="server",
    ),
    row(
        "docker_not_found",
        r"docker['\"]?: (?:command )?not found|command not found: docker|unknown command:? ['\"]?docker"
        r"|docker: no such file or directory",
        cause="There is no docker command on {server}, or not on the PATH of a non-interactive shell.",
        fix="Install Docker there. If it is installed, link it into /usr/local/bin or /usr/bin.",
        permanent=True,
        subject="server",
    ),
)
_DAEMON_ROWS = (
    row(
        "docker_socket_denied",
        r"permission denied while trying to connect to the docker|dial unix \S+: connect: permission denied",
        cause="The user {user} on {server} may not talk to the Docker daemon.",
        fix="Run this there as root: usermod -aG docker {user}. It holds from the next login on.",
        permanent=True,
        subject="server",
    ),
    row(
        "docker_context_broken",
        r"unable to resolve docker endpoint|context \S+: context not found|context not found"
        r"|unable to parse docker host|current context \S+ is not found",
        cause="The Docker context or DOCKER_HOST that {user} uses on {server} does not lead to a daemon.",
        fix=("Look at docker context ls there, choose one with docker context use default, and check DOCKER_HOST."),
        permanent=True,
        subject="server",
    ),
    row(
        "docker_daemon_down",
        r"cannot connect to the docker daemon|is the docker daemon running"
        r"|failed to connect to the docker api",
        cause="The Docker daemon on {server} is not running.",
        fix=("Start it there: systemctl enable --now docker. If it does not stay up, journalctl -u docker says why."),
        permanent=False,
        subject="server",
    ),
    row(
        "docker_endpoint_unreachable",
        r"error during connect",
        cause="Docker on {server} is set up to use a daemon elsewhere, and could not reach it.",
        fix="Check docker context ls and DOCKER_HOST there, and the machine that they lead to.",
        permanent=False,
        subject="server",
    ),
    row(
        "docker_version_mismatch",
        r"client version (?P<client>[\d.]+) is too (?P<age>new|old)",
        cause="The docker command and the Docker daemon on {server} do not fit: the command is too {age}.",
        fix=("Update Docker there so that both are of the same release, and check that DOCKER_API_VERSION is not set."),
        permanent=True,
        subject="server",
    ),
    row(
        "docker_disk_full",
        r"no space left on device|disk quota exceeded",
        cause="The disk of {server} is full.",
        fix="Remove what is no longer used (docker system prune), or make the disk larger.",
        permanent=False,
        subject="server",
    ),
    row(
        "docker_daemon_failing",
        r"request returned .{3,60} for api route|error response from daemon: dial unix",
        cause="The Docker daemon on {server} answers with errors of its own.",
        fix="Look into its log there (journalctl -u docker), and restart it.",
        permanent=False,
        subject="server",
    ),
)


def of_docker(output: str, status: int, *, server: str, user: str) -> Verdict | None:
    """The verdict if the trouble lies in the server's Docker, whatever it was asked to do; else None."""
    facts = {"server": server, "user": user}
    return _of_cli(output, status, server=server) or recognise(_DAEMON_ROWS, output, facts)


def of_cli(output: str, status: int, *, server: str) -> Verdict:
    """Why the docker command did not run; `status` is its exit status."""
    return _of_cli(output, status, server=server) or Verdict(
        "docker_cli_failed",
        f"The docker command on {server} failed. {said(output, status)}",
        "Run docker version there to see more.",
        permanent=False,
        subject="server",
    )


def of_daemon(output: str, status: int, *, server: str, user: str) -> Verdict:
    """Why the Docker daemon gave no answer; `status` is the exit status of the command that asked it."""
    known = of_docker(output, status, server=server, user=user)
    if known is None and status in TIME_IS_UP:
        return _daemon_silent(server=server)
    return known or Verdict(
        "docker_daemon_failed",
        f"The Docker daemon on {server} did not answer as it should. {said(output, status)}",
        "Run docker version there as the same user to see more.",
        permanent=False,
        subject="server",
    )


def _of_cli(output: str, status: int, *, server: str) -> Verdict | None:
    facts = {"server": server}
    not_executable, not_found = _CLI_ROWS
    if status == _NOT_EXECUTABLE_STATUS:
        return not_executable.verdict(facts)
    if status == _NOT_FOUND_STATUS:
        return not_found.verdict(facts)
    return recognise(_CLI_ROWS, output, facts)


def _daemon_silent(*, server: str) -> Verdict:
    return Verdict(
        "docker_daemon_silent",
        f"The Docker daemon on {server} did not answer in time.",
        "It may be overloaded or hang: look at journalctl -u docker there, and restart it.",
        permanent=False,
        subject="server",
    )
