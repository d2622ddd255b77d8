"""What every tool does alike: --help, --version, --config, --print-config, and how it takes a wrong command line."""

import json
import os
import re

from harness import BIN, ToolTest

# Tools whose first argument picks a command line of its own.
TASKS = {"retort-evaluate": ["units", "probe", "profile"]}
# --print-config adds keys to these that follow from the options and cannot be given.
DERIVED_KEYS = {"retort-distill": ["recipe_values"]}


def command_lines():
    """(tool, leading arguments) of every command line there is."""
    for path in sorted(BIN.glob("retort-*")):
        yield path.name, []
        for task in TASKS.get(path.name, []):
            yield path.name, [task]


def write_to_full_disk():
    """Runs in the child: its standard output takes nothing."""
    os.dup2(os.open("/dev/full", os.O_WRONLY), 1)


class CommonTest(ToolTest):
    def for_each(self, check):
        lines = list(command_lines())
        self.assertTrue(lines, f"no tools in {BIN}")
        for name, first in lines:
            with self.subTest(" ".join([name, *first])):
                check(name, first)

    def prints(self, name, *args):
        """Standard output of a run that succeeds and says nothing else."""
        result = self.succeeds(name, *args)
        self.assertEqual(result.err, "")
        return result.out

    def refuses(self, text, name, *args):
        """One line on stderr and nothing else, exit code 2."""
        result = self.fails(2, text, name, *args)
        self.assertEqual(len(result.err.splitlines()), 1, result.err)

    def test_help_is_on_stdout_and_ends_with_an_example(self):
        def check(name, first):
            text = self.prints(name, *first, "--help")
            self.assertRegex(text, rf"(?m)^Example:\n  {name} ")
            self.assertIn("Exit codes: 0 done, 1 the work failed, 2 bad command line", text)
            for flag in ("--version", "--config", "--print-config", "--log-level", "--progress", "--no-progress"):
                self.assertIn(flag, text)
        self.for_each(check)

    def test_version(self):
        def check(name, first):
            self.assertRegex(self.prints(name, *first, "--version"), rf"\A{name} \d+\.\d+\.\d+\n\Z")
        self.for_each(check)

    def test_unknown_options_are_refused(self):
        self.for_each(lambda name, first: self.refuses("", name, *first, "--no-such-option"))
        self.for_each(lambda name, first: self.refuses("--no-such-option", name, *first, "--print-config",
                                                       "--no-such-option"))

    def test_missing_arguments_are_refused(self):
        self.for_each(lambda name, first: self.refuses("required", name, *first))

    def test_a_wrong_value_of_a_shared_option_is_refused(self):
        self.for_each(lambda name, first: self.refuses("--log-level", name, *first, "--print-config", "--log-level",
                                                       "loud"))

    def test_print_config_is_json_of_known_keys_and_can_be_given_back(self):
        def check(name, first):
            printed = json.loads(self.prints(name, *first, "--print-config"))
            self.assertTrue(printed)
            for key in DERIVED_KEYS.get(name, []):
                printed.pop(key)
            for key in printed:
                self.assertTrue(re.fullmatch(r"[a-z0-9_]+|[A-Z]+", key), key)
            (self.folder / "config.json").write_text(json.dumps(printed))
            again = json.loads(self.prints(name, *first, "--config", "config.json", "--print-config"))
            self.assertEqual({key: again[key] for key in printed}, printed)
        self.for_each(check)

    def test_the_command_line_wins_over_the_configuration(self):
        def check(name, first):
            keys = json.loads(self.prints(name, *first, "--print-config"))
            if "threads" not in keys:
                return
            (self.folder / "config.json").write_text('{"threads": 3}')
            from_file = self.prints(name, *first, "--config", "config.json", "--print-config")
            self.assertEqual(json.loads(from_file)["threads"], 3)
            given = self.prints(name, *first, "--threads", 2, "--config", "config.json", "--print-config")
            self.assertEqual(json.loads(given)["threads"], 2)
        self.for_each(check)

    def test_bad_configurations_are_refused(self):
        bad = {
            '{"no_such_key": 1}': 'unknown key "no_such_key"',
            '{"no_such_key": null}': 'unknown key "no_such_key"',
            '{"log_level": {"a": 1}}': "is nested",
            '{"log_level": "loud"}': "--log-level",
            '{"log_level": ': "not JSON",
            "[1]": "one JSON object",
            "": "not JSON",
        }

        def check(name, first):
            for text, message in bad.items():
                (self.folder / "config.json").write_text(text)
                self.refuses(message, name, *first, "--config", "config.json")
            self.refuses("none.json", name, *first, "--config", "none.json")
        self.for_each(check)

    def test_a_full_standard_output_is_an_error(self):
        def check(name, first):
            result = self.tool(name, *first, "--print-config", preexec=write_to_full_disk)
            self.assertEqual(result.code, 1)
            self.assertEqual(result.err, f"{name}: standard output: writing failed\n")
        self.for_each(check)
