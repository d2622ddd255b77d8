"""What every tool does alike: --help, --version, --config, --print-config, and how it takes a wrong command line."""

import json
import os
import re

from harness import BIN, ToolTest

# Tools whose first argument picks a command line of its own.
TASKS = {"retort-evaluate": ["units", "probe", "profile"]}
# Tools whose --config is a file of their own subject, not one of options.
OWN_CONFIG = ["retort-import"]


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
    """Ways to run and check a command line that does no work."""

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


class EveryToolTest(CommonTest):
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

    def test_print_config_is_json_of_known_keys_and_can_be_given_back(self):
        def check(name, first):
            if name in TASKS and not first:
                return  # all it has is the task
            if name in OWN_CONFIG:
                return
            printed = json.loads(self.prints(name, *first, "--print-config"))
            self.assertTrue(printed)
            for key in printed:
                self.assertTrue(re.fullmatch(r"[a-z0-9_]+|[A-Z]+", key), key)
            (self.folder / "config.json").write_text(json.dumps(printed))
            again = json.loads(self.prints(name, *first, "--config", "config.json", "--print-config"))
            self.assertEqual({key: again[key] for key in printed}, printed)
        self.for_each(check)

    def test_unknown_configuration_keys_are_refused(self):
        (self.folder / "config.json").write_text('{"no_such_key": 1}')
        self.for_each(lambda name, first: name in OWN_CONFIG or self.refuses(
            'unknown key "no_such_key"', name, *first, "--config", "config.json"))


class OneToolTest(CommonTest):
    """What all tools take from the same code and one of them can show."""

    def test_what_follows_from_options_is_not_set_by_a_configuration(self):
        printed = json.loads(self.prints("retort-evaluate", "probe", "--seeds", 5, "--print-config"))
        self.assertEqual(printed["protocol_values"]["seeds"], 5)
        (self.folder / "config.json").write_text(json.dumps(printed))
        self.assertEqual(json.loads(self.prints("retort-evaluate", "probe", "--config", "config.json", "--print-config")), printed)
        printed["protocol_values"]["seeds"] = 6
        (self.folder / "config.json").write_text(json.dumps(printed))
        self.refuses("protocol_values follows from the other options", "retort-evaluate", "probe", "--config", "config.json")

    def test_the_command_line_wins_over_the_configuration(self):
        (self.folder / "config.json").write_text('{"threads": 3}')
        from_file = self.prints("retort-extract", "--config", "config.json", "--print-config")
        self.assertEqual(json.loads(from_file)["threads"], 3)
        given = self.prints("retort-extract", "--threads", 2, "--config", "config.json", "--print-config")
        self.assertEqual(json.loads(given)["threads"], 2)

    def test_bad_configurations_are_refused(self):
        bad = {
            '{"no_such_key": null}': 'unknown key "no_such_key"',
            '{"log_level": {"a": 1}}': "is nested",
            '{"log_level": "loud"}': "--log-level",
            '{"threads": 1.5}': "--threads",
            '{"log_level": ': "not JSON",
            "[1]": "one JSON object",
            "": "not JSON",
        }
        for text, message in bad.items():
            (self.folder / "config.json").write_text(text)
            self.refuses(message, "retort-extract", "--config", "config.json")
        self.refuses("none.json", "retort-extract", "--config", "none.json")

    def test_a_wrong_value_is_refused(self):
        self.refuses("--log-level", "retort-extract", "--log-level", "loud")
        self.refuses("--threads", "retort-extract", "--threads", "many")
        self.refuses("--max-bad", "retort-extract", "--max-bad", "2")

    def test_a_full_standard_output_is_an_error(self):
        for option in ("--print-config", "--help", "--version"):
            result = self.tool("retort-extract", option, preexec=write_to_full_disk)
            self.assertEqual(result.code, 1)
            self.assertEqual(result.err, "retort-extract: standard output: writing failed\n")
