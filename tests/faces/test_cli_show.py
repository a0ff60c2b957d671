"""Commands that show: listings, buckets, credentials, URLs, profiles; for people and in JSON."""

from __future__ import annotations

import json
import re
import shlex
import signal
import urllib.request
from datetime import datetime
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from neuro_sdk.cli import main

from .terminal import blob, done, objects, start


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, prog_name="neuro-sdk", catch_exceptions=False)


@pytest.fixture
def box(platform: Path) -> Path:
    """A bucket with some blobs."""
    done("mb", "box")
    for key in ("a.txt", "d/b.txt", "d/e/c", "x\x1b[2J"):
        done("cp", "-", f"blob:box/{key}", stdin=key.encode())
    return platform


def test_listings(box: Path) -> None:
    lines = [line.split()[-2:] for line in done("ls", "blob:box").stdout.splitlines()]
    assert lines == [["5", "a.txt"], ["DIR", "d/"], ["5", "x\\x1b[2J"]]
    entries = objects(done("ls", "-r", "--json", "blob:box/d/"))
    assert [entry["key"] for entry in entries] == ["d/b.txt", "d/e/c"]
    assert entries[0]["uri"].startswith("blob://local/")
    assert entries[0]["uri"].endswith("/box/d/b.txt")
    assert (entries[0]["type"], entries[0]["size"]) == ("blob", 7)
    assert datetime.fromisoformat(entries[0]["modified_at"]).tzinfo is not None
    assert objects(done("ls", "--json", "blob:box/d"))[0]["type"] == "dir"
    globbed = objects(done("glob", "--json", "blob:box/**/*.txt"))
    assert [entry["key"] for entry in globbed] == ["a.txt", "d/b.txt"]
    assert done("glob", "blob:box/[!ad]*").stdout.endswith("  x\\x1b[2J\n")


def test_stat_of_a_blob_a_directory_and_a_bucket(box: Path) -> None:
    (entry,) = objects(done("stat", "--json", "blob:box/d/b.txt"))
    assert (entry["type"], entry["key"], entry["size"]) == ("blob", "d/b.txt", 7)
    assert "size         7\n" in done("stat", "blob:box/d/b.txt").stdout
    for place in ("blob:box/d", "blob:box/d/"):
        (entry,) = objects(done("stat", "--json", place))
        assert (entry["type"], entry["key"]) == ("dir", "d/")
    found = [
        objects(done("stat", "--json", place))[0] for place in ("box", "blob:box", "blob:box/")
    ]
    assert found[0] == found[1] == found[2]
    assert (found[0]["name"], found[0]["public"]) == ("box", False)
    assert objects(done("stat", "--json", found[0]["id"])) == found[:1]
    assert objects(done("lsbuckets", "--json")) == found[:1]
    missing = blob("stat", "blob:box/none")
    assert (missing.exit_code, missing.stdout) == (1, "")
    assert "none" in missing.stderr


def test_du(box: Path) -> None:
    sums = objects(done("du", "--json", "blob:box", "blob:box/d", "blob:box/a.txt"))
    assert [(each["bytes"], each["blobs"]) for each in sums] == [(22, 4), (12, 2), (5, 1)]
    assert done("du", "blob:box/d/").stdout.split() == ["12", "2", "blob:box/d/"]
    assert blob("du", "blob:box/none").exit_code == 1


def test_buckets_are_made_public_and_removed(box: Path) -> None:
    assert objects(done("set-public", "--json", "box"))[0]["public"] is True
    assert "is public" in done("set-public", "blob:box").stdout
    assert "is private" in done("set-public", "--off", "box").stdout
    assert blob("rb", "blob:box").exit_code == 1
    assert blob("rb", "blob:box/a.txt").exit_code == 2
    done("rb", "--force", "blob:box")
    assert done("lsbuckets").stdout == ""
    assert objects(done("mb", "--json", "other"))[0]["name"] == "other"


def test_a_folder_is_imported(
    platform: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "cat.jpg").write_bytes(b"cat")
    monkeypatch.chdir(tmp_path)
    (bucket,) = objects(done("import", "--json", "--name", "pics", "local", "pictures"))
    assert (bucket["imported"], bucket["provider"]) == (True, "local")
    assert done("cat", "blob:pics/cat.jpg").stdout_bytes == b"cat"
    done("rb", "pics")
    assert (tmp_path / "pictures" / "cat.jpg").exists()


@pytest.mark.parametrize("text", ['{"root": 1}', "[]", '{"secret_access_key": "hush'])
def test_bad_credentials_are_not_repeated(platform: Path, text: str) -> None:
    result = blob("import", "aws", "there", "--credentials", "-", stdin=text.encode())
    assert result.exit_code == 2
    assert "not a JSON object" in result.stderr
    assert "hush" not in result.output


def test_a_bucket_at_a_store_is_imported(at_seaweedfs: Path) -> None:
    done("mb", "raw")
    (made,) = objects(done("credentials", "temporary", "--json", "raw"))
    opens = made["credentials"]
    there = opens["bucket_name"]
    wanted = ("endpoint_url", "access_key_id", "secret_access_key", "session_token", "region_name")
    keys = json.dumps({name: opens[name] for name in wanted if name in opens}).encode()
    how = ("--name", "again", "--credentials", "-")
    done("import", "seaweedfs", there, *how, stdin=keys)
    done("cp", "-", "blob:raw/a", stdin=b"a")
    assert done("cat", "blob:again/a").stdout == "a"


def test_credentials_are_made_shown_and_removed(at_seaweedfs: Path) -> None:
    done("mb", "one")
    done("mb", "two")
    create = ("credentials", "create", "--json", "--read-only", "--name", "reports", "one", "two")
    (made,) = objects(done(*create))
    secrets = [each["credentials"]["secret_access_key"] for each in made["credentials"]]
    assert len(secrets) == 2
    assert made["read_only"] is True
    listed = done("credentials", "list", "--json")
    assert [each["name"] for each in objects(listed)] == ["reports"]
    assert len(objects(listed)[0]["bucket_ids"]) == 2
    plain = done("credentials", "list").stdout
    assert plain.split() == [made["id"], "read-only", "2", "buckets", "reports"]
    assert not any(secret in plain + listed.stdout for secret in secrets)
    assert objects(done("credentials", "get", "--json", "reports")) == [made]
    people = done("credentials", "get", made["id"]).stdout
    assert re.search(rf"^secret_access_key +{re.escape(secrets[0])}$", people, re.MULTILINE)
    assert "secret_access_key" in done("credentials", "temporary", "one").stdout
    done("credentials", "rm", "reports")
    assert blob("credentials", "get", "reports").exit_code == 1


def test_a_url_at_a_store(at_seaweedfs: Path) -> None:
    done("mb", "box")
    done("cp", "-", "blob:box/a b", stdin=b"hello")
    (signed,) = objects(done("sign-url", "--json", "--expires", "15m", "blob:box/a%20b"))
    assert signed["expires_in_seconds"] == 900
    with urllib.request.urlopen(signed["url"], timeout=30) as answer:
        assert answer.read() == b"hello"
    assert done("sign-url", "blob:box/a b").stdout.startswith("http://127.0.0.1:")


def test_a_url_of_this_machine_is_served_until_ctrl_c(box: Path) -> None:
    command = start("blob", "sign-url", "blob:box/a.txt")
    assert command.stdout is not None
    url = command.stdout.readline().decode().strip()
    with urllib.request.urlopen(url, timeout=30) as answer:
        assert answer.read() == b"a.txt"
    command.send_signal(signal.SIGINT)
    _, said = command.communicate(timeout=30)
    assert command.returncode == 0
    assert said == b"serving it until its time is over; stop with Ctrl-C\n"
    assert done("sign-url", "--expires", "1s", "blob:box/a.txt").exit_code == 0


def test_whoami_and_profiles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_seaweedfs: Path
) -> None:
    monkeypatch.delenv("NEURO_SDK_PLATFORM")
    homes = [tmp_path / "one", tmp_path / "two"]
    (tmp_path / "config.toml").write_text(
        'default_profile = "one"\n'
        f'[profiles.one]\nplatform = "local:{homes[0]}"\nproject = "vision"\n'
        f'[profiles.two]\nplatform = "local:{homes[1]}"\ntoken = "hush"\n'
    )
    listed = run("profile", "list")
    assert [line.split() for line in listed.stdout.splitlines()] == [
        ["*", "one", f"local:{homes[0]}", "vision"],
        ["two", f"local:{homes[1]}"],
    ]
    (one, two) = objects(run("profile", "list", "--json"))
    assert (one["default"], one["logged_in"], two["logged_in"]) == (True, False, True)
    assert objects(run("profile", "show", "--json")) == [one]
    assert "logged_in  yes\n" in run("profile", "show", "two").stdout
    assert "hush" not in run("profile", "show", "two").stdout + listed.stdout
    assert objects(run("whoami", "--json"))[0]["project"] == "vision"
    assert run("whoami", "--profile", "two").stdout.split()[2] == f"local:{homes[1]},"
    assert run("blob", "--profile", "two", "mb", "box").exit_code == 0
    assert run("blob", "lsbuckets").stdout == ""
    assert run("profile", "use", "two").exit_code == 0
    assert run("blob", "lsbuckets").stdout.split()[-1] == "box"
    assert run("profile", "use", "three").exit_code == 1
    monkeypatch.setenv("NEURO_SDK_PLATFORM", "local:")
    assert "NEURO_SDK_PLATFORM is set" in run("profile", "use", "two").stderr
    monkeypatch.delenv("NEURO_SDK_PLATFORM")
    assert "there are: one, two" in run("profile", "show", "three").stderr
    assert run("profile", "rm", "two").exit_code == 0
    assert [each["name"] for each in objects(run("profile", "list", "--json"))] == ["one"]
    assert "no default profile" in run("profile", "show").stderr
    assert run("blob", "--profile", "two", "lsbuckets").exit_code == 1


def test_an_error_obeys_no_terminal(platform: Path) -> None:
    done("mb", "box")
    result = blob("stat", "blob:box/\x1b[2Jnone")
    assert result.exit_code == 1
    assert "\x1b" not in result.output
    assert "\\x1b[2Jnone" in result.stderr


def _commands(command: click.Command, path: str) -> list[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        return [(path, command)]
    below = command.commands.items()
    return [deep for name, each in below for deep in _commands(each, f"{path} {name}")]


@pytest.mark.parametrize(("path", "command"), _commands(main, "neuro-sdk"))
def test_every_command_explains_itself(path: str, command: click.Command) -> None:
    text = run(*path.split()[1:], "--help").stdout
    assert text.startswith(f"Usage: {path} ")
    assert command.help
    first, *more = command.help.split("\n\n")
    assert len(first) < 60, "it is cut in the list of commands"
    assert more, "there is a paragraph"
    for option in command.params:
        assert isinstance(option, click.Argument) or vars(option)["help"], option.name
    examples = text.split("\n  Examples:\n")[1].split("\n\n")[0].splitlines()
    codes = text.split("\n  Exit codes:\n")[1]
    for code in ("0  ", "1  ", "2  ", "130  "):
        assert f"    {code}" in codes
    assert any(f"{path} " in f"{example} " for example in examples)
    for example in examples:
        _parses(example)


def _parses(example: str) -> None:
    """Hold an example to the arguments and options that there are."""
    inside = re.search(r"\$\((neuro-sdk [^)]*)\)", example)
    typed = inside[1] if inside else re.split(r" \| (?=neuro-sdk)", example)[-1]
    typed = typed.split(" | ")[0].split(" > ")[0]
    words = shlex.split(typed.replace("*.jpg", "one.jpg"))
    assert words.pop(0) == "neuro-sdk", example
    command: click.Command = main
    context = None
    while isinstance(command, click.Group):
        context = command.make_context("neuro-sdk", words, parent=context)
        name = [*context._protected_args, *context.args][0]
        words = [*context._protected_args, *context.args][1:]
        command = command.commands[name]
    files = (".pem", ".json", "pictures")  # they must be there
    words = [__file__ if word.endswith(files) else word for word in words]
    if "--source" not in words:
        command.make_context(command.name, words, parent=context).close()
