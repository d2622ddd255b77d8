"""Golden runs of retort-report."""

import json
from html.parser import HTMLParser

from harness import ToolTest

REPORT = {"step": 10, "epoch": 0, "lr": 0.002, "masked": {"loss": 4.5, "accuracy": 0.04}, "odd_key": -1}


class Page(HTMLParser):
    """Checks that tags are closed, and collects what a page refers to."""

    VOID = {"meta"}

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes = [], [], []
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, tag


class ReportTest(ToolTest):
    def make_run(self, name, reports, tail=""):
        run = self.folder / name
        run.mkdir(parents=True)
        config = {"format": "retort-run-1", "seed": 0,
                  "recipe": {"name": "hubert", "student": {"layers": 3, "hidden": 144}, "schedule": {"steps": 40}}}
        (run / "config.json").write_text(json.dumps(config))
        (run / "log.jsonl").write_text("".join(json.dumps(report) + "\n" for report in reports) + tail)

    def setUp(self):
        super().setUp()
        self.make_run("exp/first", [{**REPORT, "step": step, "masked": {"loss": 4.5 - step / 20}}
                                    for step in (10, 20, 30, 40)])
        self.make_run("exp/second", [REPORT, {**REPORT, "step": 20}], tail='{"step":30,"ma')
        result = {"task": "units", "model": "mfcc-39", "inputs": {"layer": "mfcc"}, "metrics": {"pnmi": 0.4575},
                  "counts": {"frames": 60182}}
        (self.folder / "exp/units.json").write_text(json.dumps(result))
        (self.folder / "kept.jsonl").write_text(json.dumps({"step": 20, "masked": {"loss": 4.25}}) + "\n")

    def test_tables(self):
        result = self.succeeds("retort-report", "exp", "--reference", "kept.jsonl")
        self.assertEqual(result.err, "")
        self.assertEqual(result.out, """\
Runs
run     recipe  student  state         step  of
first   hubert  3 x 144  not finished    40  40
second  hubert  3 x 144  not finished    20  40

Last values
quantity         first  second  kept (reference)
masked.loss        2.5     4.5              4.25
masked.accuracy      -    0.04                 -
lr               0.002   0.002                 -
odd_key             -1      -1                 -
epoch                0       0                 -

units
result  model    layer    pnmi      n
units   mfcc-39  mfcc   0.4575  60182
""")

    def test_costs_layer_weights_and_published_scores(self):
        def result(name, **keys):
            (self.folder / f"{name}.json").write_text(json.dumps({"counts": {}, **keys}))

        result("profile", task="profile", metrics=[
            {"model": model, "parameters": {"backbone": size},
             "speed": [{"precision": "f32", "threads": 1, "batch": 1, "times_real_time": 30.5}]}
            for model, size in (("small", 250000), ("large", 900000))])
        for model, per in (("small", 0.2), ("large", 0.1)):
            result(model, task="ctc", protocol="asterisk-pr-1", model=model, layers="enc1,enc2", metrics={"per": per},
                   layer_weights=[[0.25, 0.75]])
        self.succeeds("retort-report", "profile.json", "small.json", "large.json", "-o", "page.html")
        page = (self.folder / "page.html").read_text()
        Page(page)
        for text in ("<h2>SUPERB and SUPERB-style tasks</h2>", "cannot be compared with them", "<td>HuBERT Base</td>",
                     "ctc per (less is better) over millions of parameters", "<h2>Layer weights</h2>",
                     "<title>large: 0.1 at 0.9</title>"):
            self.assertIn(text, page)
        table = self.succeeds("retort-report", "profile.json", "small.json", "large.json").out
        self.assertRegex(table, r"small +asterisk +0\.25 +- +- +20\.00")

    def test_json(self):
        result = json.loads(self.succeeds("retort-report", "exp", "--json", "--reference", "kept.jsonl").out)
        self.assertEqual([run["name"] for run in result["runs"]], ["first", "second"])
        self.assertEqual((result["runs"][0]["step"], result["runs"][0]["steps"]), (40, 40))
        self.assertEqual(result["runs"][0]["last"]["masked.loss"], 2.5)
        self.assertEqual(result["references"], [{"name": "kept", "step": 20, "last": {"masked.loss": 4.25}}])
        self.assertEqual(result["scores"][0]["metrics"], {"pnmi": 0.4575})

    def test_page(self):
        self.succeeds("retort-report", "exp", "--reference", "kept.jsonl", "-o", "report.html")
        text = (self.folder / "report.html").read_text()
        page = Page(text)
        self.assertEqual(page.tags.count("figure"), 5 + 1)  # a panel per quantity, a bar chart per metric
        self.assertFalse({"script", "link", "img", "iframe", "image"} & set(page.tags))
        self.assertFalse({"href", "src", "xlink:href"} & set(page.attributes))
        self.assertNotIn(str(self.folder), text)
        self.assertIn("<title>first, step 30: 3</title>", text)
        self.assertIn("<title>kept (reference), step 20: 4.25</title>", text)
        self.assertEqual(self.succeeds("retort-report", "exp", "--reference", "kept.jsonl", "-o", "-").out, text)

    def test_an_existing_page(self):
        (self.folder / "report.html").write_text("mine")
        self.fails(1, "report.html: exists; name another output or give --overwrite", "retort-report", "exp",
                   "-o", "report.html")
        self.assertEqual((self.folder / "report.html").read_text(), "mine")
        self.succeeds("retort-report", "exp", "-o", "report.html", "--overwrite")
        self.assertIn("<html", (self.folder / "report.html").read_text())

    def test_a_run_that_has_not_begun(self):
        self.make_run("exp/third", [])
        self.fails(1, "exp/third/log.jsonl: holds no report yet", "retort-report", "exp/third", "-o", "report.html")
        (self.folder / "exp/third/log.jsonl").unlink()
        self.fails(1, "exp/third/log.jsonl: is not there yet", "retort-report", "exp/third")
        result = self.succeeds("retort-report", "exp")
        self.assertRegex(result.err, r"\Aretort-report \[report\] warning: .*third has no report in its log .*\n\Z")
        self.leaves_nothing("report.html")

    def test_wrong_input(self):
        self.fails(1, "none: no such file or folder", "retort-report", "exp/first", "none", "-o", "report.html")
        self.make_run("broken", [REPORT], tail='{"step": 20,\n{"step": 30}\n')
        self.fails(1, "broken/log.jsonl:2: is no JSON object", "retort-report", "broken", "-o", "report.html")
        self.fails(1, "kept.jsonl: is no result of retort-evaluate", "retort-report", "kept.jsonl", "-o", "report.html")
        self.fails(1, "none.jsonl", "retort-report", "exp", "--reference", "none.jsonl", "-o", "report.html")
        (self.folder / "odd").mkdir()
        self.fails(1, "odd: holds neither a run", "retort-report", "odd", "-o", "report.html")
        self.leaves_nothing("report.html")

    def test_wrong_usage(self):
        self.fails(2, "RUN is required", "retort-report", "-o", "report.html")
        self.fails(2, "leave out one of --json and -o", "retort-report", "exp", "--json", "-o", "report.html")
        self.leaves_nothing("report.html")

    def test_a_full_disk_leaves_nothing(self):
        self.fails_on_a_full_disk(4096, "writing failed", "retort-report", "exp", "-o", "report.html")
        self.leaves_nothing("report.html")


if __name__ == "__main__":
    import unittest
    unittest.main()
