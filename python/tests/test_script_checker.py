from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CHECKER = Path(__file__).parent.parent / "asgard" / "script_checker.py"
GUIDE = Path(__file__).parents[2] / "test" / "fixtures" / "guide" / "train_model.py"


class Checker:
    """A checker, started as the platform starts it."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(CHECKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd="/",
            env={},
        )

    def send(self, script: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(len(script).to_bytes(4, "big") + script)
        self.process.stdin.flush()

    def check(self, script: str | bytes) -> dict[str, Any] | None:
        self.send(script.encode() if isinstance(script, str) else script)
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())["error"]

    def end(self) -> tuple[int, bytes]:
        """Ends the input; how the process ended, and what it said."""
        _, said = self.process.communicate(timeout=60)
        return self.process.returncode, said


@pytest.fixture
def checker() -> Iterator[Checker]:
    checker = Checker()
    yield checker
    checker.process.kill()
    checker.process.communicate()


@pytest.mark.parametrize(
    "script",
    [
        "print('hello')\n",
        "",
        "# only a comment",
        GUIDE.read_text(),
        "\ufeffprint('a mark at the beginning')\n",
        "\x0cprint('a form feed')\n",
        "if True:\r\n    print('ends of Windows')\r\n",
        "if True:\r    print('ends of old')\r",
        "# -*- coding: latin-1 -*-\nprint('\xe4')\n",
        "# coding: a-package-brings-it\nprint(1)\n",
        "print('no end')",
        "from __future__ import annotations\nx: unknown\n",
        "'\\d is an odd escape'\n1 is 1\nassert (1, 'always')\n",
        "x = " + "1" * 5000,
        "ünï = 'ä✅🐍\u2028'\n",
    ],
)
def test_a_script_that_python_runs_has_no_error(checker: Checker, script: str) -> None:
    assert checker.check(script) is None
    assert checker.end() == (0, b"")


@pytest.mark.parametrize(
    ("script", "kind", "message", "line", "text"),
    [
        ("this is no python\n", "SyntaxError", "invalid syntax", 1, "this is no python"),
        ("print(1)\n\n\nprint(\n", "SyntaxError", "'(' was never closed", 4, "print("),
        ("if True:\nprint(1)\n", "IndentationError", "expected an indented block", 2, "print(1)"),
        ("if True:\n  a = 1\n\tb = 2\n", "TabError", "inconsistent use of tabs", 3, "b = 2"),
        ("  x = 1\n", "IndentationError", "unexpected indent", 1, "x = 1"),
        ("x = 1\nreturn x\n", "SyntaxError", "'return' outside function", 2, "return x"),
        ("\n\nawait x\n", "SyntaxError", "'await' outside function", 3, "await x"),
        ("def f(a, a): pass\n", "SyntaxError", "duplicate argument 'a'", 1, "def f(a, a): pass"),
        ("x = 'never ends\n", "SyntaxError", "unterminated string literal", 1, "x = 'never ends"),
        ("a\r\nb\r\nc d\r\n", "SyntaxError", "invalid syntax", 3, "c d"),
        ("print 'hello'\n", "SyntaxError", "Missing parentheses", 1, "print 'hello'"),
        ("\x0c\n\x0cx y\n", "SyntaxError", "invalid syntax", 2, "x y"),
        ("from __future__ import braces\n", "SyntaxError", "not a chance", 1, "from __future__ import braces"),
        ("\ufeff# coding: latin-1\nprint(1)\n", "SyntaxError", "with BOM", None, None),
    ],
)
def test_an_error_is_told_with_its_line_as_python_does(
    checker: Checker, script: str, kind: str, message: str, line: int | None, text: str | None
) -> None:
    error = checker.check(script)
    assert error is not None
    assert (error["kind"], error["line"], error["text"]) == (kind, line, text)
    assert message in error["message"]


def test_of_a_long_line_the_part_around_the_error_is_told(checker: Checker) -> None:
    error = checker.check("if x:\n    x = [" + "1, " * 100_000 + "here ? , ä" + ", 2" * 100_000 + "]\n")
    assert error is not None
    assert 100 < len(error["text"]) <= 122
    assert error["text"].startswith("…") and error["text"].endswith("…")
    assert "here ?" in error["text"]


def test_what_is_told_of_a_line_can_be_shown(checker: Checker) -> None:
    error = checker.check("a b \x1b[31m \u200b \u202e\n")
    assert error is not None
    assert error["text"].isprintable()


def test_nothing_of_a_script_is_run_and_no_file_is_read(checker: Checker, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    assert checker.check(f"open({str(marker)!r}, 'w')\n") is None
    assert not marker.exists()
    error = checker.check("\n" * 3 + "return\n")
    assert error == {"kind": "SyntaxError", "message": "'return' outside function", "line": 4, "text": "return"}


@pytest.mark.parametrize(
    "script",
    [
        "-" * 1_000_000 + "1",
        "not " * 250_000 + "1",
        "a=" + "1+" * 500_000 + "1",
        "a" + ".a" * 500_000,
        "lambda:" * 100_000 + "1",
        "x = " + "[1]," * 250_000,
    ],
)
def test_a_script_that_is_too_deep_or_too_large_is_not_called_wrong(checker: Checker, script: str) -> None:
    assert checker.check(script) is None


def test_bytes_that_are_no_text_have_an_error(checker: Checker) -> None:
    error = checker.check(b"x = 1\nprint('\xff')\n")
    assert error is not None and error["kind"] == "SyntaxError"
    assert checker.check("print(1)\n") is None


def test_it_goes_on_whatever_the_program_needs_that_started_it() -> None:
    held = b"x" * (256 * 1024 * 1024)
    checker = Checker()
    try:
        assert [checker.check("print(1)\n") for _ in range(3)] == [None, None, None]
        assert checker.end() == (0, b"")
    finally:
        checker.process.kill()
        del held


def test_it_ends_after_a_script_that_made_it_grow(checker: Checker) -> None:
    assert checker.check("a=1\n" * (1 << 18)) is None
    assert checker.process.wait(60) == 0


def test_it_stops_compiling_when_nobody_is_left_to_ask(checker: Checker) -> None:
    checker.send(b"def f():pass\n" * 80_000)
    code, _ = checker.end()
    assert -code in (signal.SIGXCPU, signal.SIGKILL)
