"""Golden runs with Kaldi tables: retort-copy, -extract, -cluster, -label and -evaluate units from and to ark and scp."""

import json
import os
import resource
import shutil
import subprocess
import unittest

from harness import BIN, FIXTURES, ToolTest, tone, write_wav
from small_models import read_npy

try:
    import kaldiio
    import numpy
except ImportError:
    kaldiio = None

TABLES = FIXTURES / "kaldi"


class TableTest(ToolTest):
    """Five utterances, their MFCC in a store of two parts, and the fixtures' tables in the folder."""

    def setUp(self):
        super().setUp()
        for table in TABLES.glob("*.ark"):
            shutil.copy(table, self.folder)

    def make_features(self):
        for i in range(5):
            write_wav(self.folder / "wav" / f"u{i}.wav", tone(0.4 + 0.1 * i, 150 + 60 * i))
        self.succeeds("retort-prepare", "wav", "-o", "corpus.jsonl")
        for part in range(2):
            self.succeeds("retort-extract", "--model", "mfcc", "corpus.jsonl", "-o", "feats", "--shard", f"{part}/2")

    def shell(self, command):
        """Runs a command line with the tools on the path; returns exit code, bytes of stdout and text of stderr."""
        done = subprocess.run(["bash", "-o", "pipefail", "-c", f'PATH="{BIN}:$PATH"; {command}'], cwd=self.folder,
                              capture_output=True, timeout=600)
        return done.returncode, done.stdout, done.stderr.decode()

    def read(self, name):
        return (self.folder / name).read_bytes()

    def write(self, name, data):
        (self.folder / name).write_bytes(data if isinstance(data, bytes) else data.encode())


class CopyTest(TableTest):
    def test_copies_of_binary_tables_are_the_same_bytes(self):
        for name in ("float", "labels"):
            with self.subTest(name):
                result = self.succeeds("retort-copy", f"ark:{name}.ark", f"ark,scp:{name}-2.ark,{name}-2.scp")
                self.assertEqual(self.read(f"{name}-2.ark"), self.read(f"{name}.ark"))
                self.assertEqual(result.out, "")
                self.succeeds("retort-copy", f"scp:{name}-2.scp", f"ark,t:{name}.txt")
                self.succeeds("retort-copy", f"ark,s,o,cs:{name}.txt", f"ark:{name}-3.ark")
                self.assertEqual(self.read(f"{name}-3.ark"), self.read(f"{name}.ark"))

    def test_the_log_says_how_much_was_written(self):
        err = self.succeeds("retort-copy", "ark:float.ark", "ark:out.ark").err
        self.assertIn("2 utterances, 14 frames of 5 values written to ark:out.ark", err)

    def test_a_script_has_the_places_of_the_values(self):
        self.succeeds("retort-copy", "ark:float.ark", "ark,scp:out.ark,out.scp")
        self.assertEqual(self.read("out.scp").decode(), (TABLES / "float.scp").read_text().replace("float.ark", "out.ark"))
        self.write("part.scp", "b out.ark:239[1:2,0:1]\n")
        text = self.succeeds("retort-copy", "scp:part.scp", "ark,t:-").out
        values = [line.split()[:2] for line in self.succeeds("retort-copy", "ark:out.ark:237", "ark,t:-").out.splitlines()]
        self.assertEqual(text.split(), ["b", "[", *values[2], *values[3], "]"])

    def test_compressed_double_and_vector_tables_become_floats(self):
        for name in ("auto", "cm", "cm2", "cm2int", "cm3", "cm3zero", "double", "vector"):
            with self.subTest(name):
                self.succeeds("retort-copy", f"ark:{name}.ark", f"{name}.npy")
                expected = [read_npy(TABLES / f"{name}.{key}.npy") for key in "ab"]
                shape, payload = read_npy(self.folder / f"{name}.npy")
                self.assertEqual(payload, expected[0][1] + expected[1][1])
                self.assertEqual(shape[0], expected[0][0][0] + expected[1][0][0])
                self.assertEqual(self.read(f"{name}.len").decode().split(), [str(e[0][0]) for e in expected])

    def test_pipes_carry_tables_and_nothing_else(self):
        code, out, err = self.shell("cat float.ark | retort-copy ark:- ark:- | retort-copy ark,bg:- ark,f:-")
        self.assertEqual((code, out), (0, self.read("float.ark")), err)
        self.succeeds("retort-copy", "ark:cat float.ark |", "ark:| gzip -c > out.gz")
        code, out, err = self.shell("retort-copy 'ark:gunzip -c out.gz |' ark:/dev/stdout")
        self.assertEqual((code, out), (0, self.read("float.ark")), err)
        code, out, err = self.shell("retort-copy <(cat float.ark) x; retort-copy ark:<(cat float.ark) ark:-")
        self.assertEqual((code, out), (0, self.read("float.ark")), err)

    def test_stores_and_back(self):
        self.make_features()
        self.succeeds("retort-copy", "feats", "ark:f.ark")
        self.succeeds("retort-copy", "ark:f.ark", "again", "--corpus", "corpus.jsonl", "--layer", "mfcc", "--hop", 160)
        for store in ("feats", "again"):
            self.succeeds("retort-copy", store, f"{store}.npy")
        self.assertEqual(self.read("again.npy"), self.read("feats.npy"))
        info = json.loads(self.succeeds("retort-inspect", "--json", "--lineage", "--check", "again").out)
        whole = json.loads(self.succeeds("retort-inspect", "--json", "--lineage", "feats").out)
        self.assertEqual(info["hash"], whole["hash"])
        self.assertEqual(info["made_from"]["corpus"], whole["made_from"]["corpus"])
        lines = [json.loads(line) for line in self.read("again/part-00000-of-00001.jsonl").decode().splitlines()]
        self.assertEqual([(line["id"], line["samples"]) for line in lines],
                         [(f"u{i}", 6400 + 1600 * i) for i in range(5)])
        self.fails(1, "corpus.jsonl: has no utterance a", "retort-copy", "ark:float.ark", "x", "--corpus", "corpus.jsonl")
        self.leaves_nothing("x/part-00000-of-00001.json")

    def test_labels_become_stores_and_km(self):
        self.write("l.ark", "a 1 2 3 \nb \nc 2\n")
        self.succeeds("retort-copy", "ark:l.ark", "l.km")
        self.assertEqual(self.read("l.km").decode(), "1 2 3\n\n2\n")
        self.succeeds("retort-copy", "ark:l.ark", "store")
        info = json.loads(self.succeeds("retort-inspect", "--json", "--check", "store").out)
        self.assertEqual((info["content"], info["clusters"], info["dtype"]), ("labels", 4, "u16"))
        self.assertEqual(self.succeeds("retort-copy", "store", "ark,t:-").out, "a 1 2 3\nb \nc 2\n")
        self.fails(1, "holds label 3, K is 3", "retort-copy", "ark:l.ark", "other", "--clusters", 3)

    def test_inspect(self):
        result = json.loads(self.succeeds("retort-inspect", "--json", "--check", "ark:cm.ark").out)
        self.assertEqual(result, {"kind": "kaldi table", "problems": [], "content": "features", "utterances": 2, "frames": 14,
                                  "dim": 5})
        result = json.loads(self.succeeds("retort-inspect", "--json", "--lineage", "ark:cat labels.ark |").out)
        self.assertEqual(result, {"kind": "kaldi table", "content": "labels", "utterances": 3, "frames": 5, "made_from": {}})
        self.write("cut.ark", self.read("cm.ark")[:-1])
        code, out, err = self.shell("retort-inspect --check ark:- < cm.ark")
        self.assertEqual((code, out.split()[:3]), (0, [b"kind", b"kaldi", b"table"]), err)
        self.fails(1, "ark:cut.ark: b: is cut short", "retort-inspect", "--check", "--json", "ark:cut.ark")
        self.fails(2, "for tables that are written", "retort-inspect", "ark,f:cm.ark")

    def test_wrong_specifiers(self):
        for spec, text in (("ark,f:float.ark", "option f is for tables that are written"), ("ark,scp:a,b", "one ark or one scp"),
                           ("ark,q:float.ark", 'no option "q"'), ("ark:float.ark ", "white space"),
                           ("ark:cat a | sort", "ends in |")):
            self.fails(2, text, "retort-copy", spec, "out")
        for spec, text in (("scp,ark:a.ark,a.scp", "in this order"), ("ark,scp:a.ark", "two files"),
                           ("ark,s:a.ark", 'no option "s"'), ("ark,scp:|cat,a.scp", "has to be a file"),
                           ("ark:a.ark:12", "a place in a file")):
            self.fails(2, text, "retort-copy", "ark:float.ark", spec)
        self.fails(2, "--dtype f16: only a frame store has it", "retort-copy", "ark:float.ark", "ark:a.ark", "--dtype", "f16")
        self.leaves_nothing("out", "a.ark", "a.scp")

    def test_bad_tables(self):
        whole = self.read("float.ark")
        self.write("cut.ark", whole[:300])
        self.write("lies.ark", b"u \0BFM \4\xff\xff\xff\x7f\4\x00\x10\x00\x00abcd")
        self.write("twice.ark", whole + whole)
        self.write("order.ark", "b [ 1 ]\na [ 1 ]\n")
        self.write("dims.ark", "a [ 1 2 ]\nb [ 1 ]\n")
        self.write("nan.ark", "a [\n 1\n nan ]\n")
        self.write("mixed.ark", "a [ 1 ]\nb 1\n")
        self.write("nowhere.scp", "a none.ark:12\n")
        self.write("beyond.scp", "a float.ark:1234\n")
        self.write("failing.scp", "a false |\n")
        self.write("empty.ark", "")
        for spec, text in (("ark:cut.ark", "ark:cut.ark: b: is cut short (46 of 60 bytes of values are there)"),
                           ("ark:cat cut.ark |", "b: is cut short"),
                           ("ark:cat lies.ark |", "u: states 8796093018112 values, which cannot be"),
                           ("ark:twice.ark", "ark:twice.ark: a comes twice"),
                           ("s,ark:order.ark", "a comes after b, but option s promises"),
                           ("ark:dims.ark", "b has frames of 1 values, those before have 2"),
                           ("ark:nan.ark", "ark:nan.ark: a: frame 1 holds a value that is not finite"),
                           ("ark:mixed.ark", "b has labels, those before have features"),
                           ("scp:nowhere.scp", "scp:nowhere.scp: a: none.ark:12: none.ark: cannot be opened"),
                           ("scp:beyond.scp", "a: float.ark:1234: float.ark: has 314 bytes, byte 1234 was asked for"),
                           ("scp:failing.scp", "a: false |: the command `false ` failed (exit code 1)"),
                           ("ark:cat float.ark; exit 7 |", "failed (exit code 7)"),
                           ("ark:none.ark", "none.ark: cannot be opened"),
                           ("ark:empty.ark", "ark:empty.ark: holds no utterance"),
                           ("scp:float.ark", "is it an archive"),
                           ("ark:wav.scp", "wav.scp: cannot be opened")):
            with self.subTest(spec):
                for output in ("ark,scp:out.ark,out.scp", "out.npy", "out"):
                    result = self.fails(1, text, "retort-copy", spec, output)
                    self.assertEqual(len(result.err.splitlines()), 1, result.err)
                self.leaves_nothing("out.ark", "out.scp", "out.npy", "out.len", "out/part-00000-of-00001.json")

    @unittest.skipIf(os.environ.get("RETORT_SANITIZE"), "sanitizers reserve more address space than the limit")
    def test_sizes_that_lie_cost_no_memory(self):
        def little_memory():
            resource.setrlimit(resource.RLIMIT_AS, (1 << 29, 1 << 29))

        def size(number):
            return b"\4" + number.to_bytes(4, "little")

        for value in (b"\0BFM " + size(100000) + size(10000), b"\0BDV " + size(1 << 30), b"\0B" + size(1 << 30),
                      b"\0BCM " + b"\0" * 8 + (1 << 20).to_bytes(4, "little") * 2):
            with self.subTest(value[2:5]):
                self.write("lies.ark", b"u " + value + b"x" * 5000)
                for spec in ("ark:lies.ark", "ark:cat lies.ark |"):
                    self.fails(1, "u: ", "retort-copy", spec, "ark:out.ark", preexec=little_memory)
        self.leaves_nothing("out.ark")

    def test_permissive_tables_lose_what_cannot_be_read(self):
        self.write("cut.ark", self.read("float.ark")[:300])
        result = self.succeeds("retort-copy", "ark,p:cut.ark", "ark:out.ark")
        self.assertEqual(self.read("out.ark"), self.read("float.ark")[:237])
        self.assertIn("warning: ark,p:cut.ark: ends here, since it cannot be read on: b: is cut short", result.err)
        self.write("some.scp", "x none.ark:3\nb float.ark:239\n")
        result = self.succeeds("retort-copy", "p,scp:some.scp", "ark:b.ark")
        self.assertEqual(self.read("b.ark"), self.read("float.ark")[237:])
        self.assertIn("warning: leaving out x: none.ark:3", result.err)

    def test_outputs_are_not_replaced_unasked_and_not_left_half_written(self):
        self.write("out.scp", "old")
        self.fails(1, "out.scp: exists", "retort-copy", "ark:float.ark", "ark,scp:out.ark,out.scp")
        self.leaves_nothing("out.ark")
        self.succeeds("retort-copy", "ark:float.ark", "ark,scp:out.ark,out.scp", "--overwrite")
        self.assertEqual(self.read("out.scp").decode(), "a out.ark:2\nb out.ark:239\n")
        self.fails(1, "failed (exit code 9)", "retort-copy", "ark:float.ark", "ark:| cat > /dev/null; exit 9")
        self.fails(1, "/dev/full: writing failed", "retort-copy", "ark:float.ark", "ark:/dev/full")
        code, _, err = self.shell("retort-copy ark:float.ark ark:- > /dev/full")
        self.assertEqual(code, 1)
        self.assertEqual(err, "retort-copy: standard output: writing failed (No space left on device)\n")
        self.fails_on_a_full_disk(100, "writing failed", "retort-copy", "ark:float.ark", "ark:full.ark")
        self.leaves_nothing("full.ark")

    @unittest.skipUnless(kaldiio, "needs kaldiio and numpy")
    def test_kaldiio_reads_what_was_written(self):
        expected = {key: numpy.load(TABLES / f"float.{key}.npy") for key in "ab"}
        for spec, load in (("ark:x.ark", lambda: dict(kaldiio.load_ark(str(self.folder / "x.ark")))),
                           ("ark,t:x.txt", lambda: dict(kaldiio.load_ark(str(self.folder / "x.txt"))))):
            self.succeeds("retort-copy", "ark:float.ark", spec)
            read = load()
            self.assertEqual(list(read), ["a", "b"])
            for key, matrix in read.items():
                self.assertTrue(numpy.array_equal(matrix, expected[key]), (spec, key))


class FairseqTest(TableTest):
    def test_a_dictionary_and_a_manifest_go_with_the_labels(self):
        self.make_features()
        self.succeeds("retort-cluster", "-k", 5, "feats", "-o", "codebook")
        self.succeeds("retort-label", "--codebook", "codebook", "feats", "-o", "labels")
        for output in ("train.km", "dict.km.txt"):
            self.succeeds("retort-copy", "labels", output)
        self.succeeds("retort-copy", "labels", "train.tsv", "--corpus", "corpus.jsonl")
        self.assertEqual(self.read("dict.km.txt").decode(), "0 1\n1 1\n2 1\n3 1\n4 1\n")
        lines = self.read("train.tsv").decode().splitlines()
        self.assertEqual(lines[0], str(self.folder.resolve()))
        self.assertEqual(lines[1:], [f"wav/u{i}.wav\t{6400 + 1600 * i}" for i in range(5)])
        self.assertEqual(len(self.read("train.km").decode().splitlines()), 5)
        # The manifest gives back the corpus.
        self.succeeds("retort-prepare", "train.tsv", "-o", "again.jsonl")
        self.assertEqual(self.read("again.jsonl"), self.read("corpus.jsonl"))

    def test_a_manifest_of_an_incomplete_store_has_its_lines_only(self):
        self.make_features()
        self.write("some.scp", "u3 cat three.mat |\nu1 cat three.mat |\n")
        self.write("three.mat", " [ 1 2 3 ]\n")
        self.succeeds("retort-copy", "scp:some.scp", "some.tsv", "--corpus", "corpus.jsonl")
        self.assertEqual([line.split()[0] for line in self.read("some.tsv").decode().splitlines()[1:]],
                         ["wav/u3.wav", "wav/u1.wav"])

    def test_what_fairseq_cannot_have(self):
        self.make_features()
        self.write("l.ark", "u0 1\n")
        self.fails(1, "which have no dictionary", "retort-copy", "feats", "dict.km.txt")
        self.fails(2, "give --corpus", "retort-copy", "feats", "x.tsv")
        corpus = [json.loads(line) for line in self.read("corpus.jsonl").decode().splitlines()]
        write_wav(self.folder / "slow.wav", tone(0.5, rate=8000), rate=8000)
        for change, text in (({"samples": 5000}, "is a piece of wav/u0.wav"), ({"start": 400}, "is a piece of"),
                             ({"path": "slow.wav", "rate": 8000, "samples": 4000}, "has 8000 Hz"),
                             ({"path": "none.wav"}, "none.wav: no such file"), ({"id": "v"}, "has no utterance u0")):
            self.write("other.jsonl", json.dumps({**corpus[0], **change}) + "\n")
            self.fails(1, text, "retort-copy", "ark:l.ark", "x.tsv", "--corpus", "other.jsonl")
        self.leaves_nothing("x.tsv", "dict.km.txt")

    def test_arrays_of_every_version_order_and_type(self):
        """What numpy and npy-append-array (version 2.0, 192 bytes before the values) write."""
        import struct

        def array(version, descr, payload, fortran=False, header_bytes=128):
            text = f"{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': (2, 3), }}"
            begin = 10 if version == 1 else 12
            text = text.ljust(header_bytes - begin - 1) + "\n"
            size = struct.pack("<H" if version == 1 else "<I", len(text))
            return b"\x93NUMPY" + bytes([version, 0]) + size + text.encode() + payload

        rows = (1, 2, 3, 4, 5, 6)
        self.write("plain.npy", array(1, "<f4", struct.pack("<6f", *rows)))
        self.succeeds("retort-copy", "plain.npy", "ark:plain.ark")
        made = [(2, "<f4", struct.pack("<6f", *rows), False, 192), (3, "<f4", struct.pack("<6f", *rows), False, 128),
                (1, "<f4", struct.pack("<6f", 1, 4, 2, 5, 3, 6), True, 128)]
        made += [(1, f"<{code}{size}", struct.pack(f"<6{letter}", *rows), False, 128)
                 for code, size, letter in (("f", 8, "d"), ("f", 2, "e"), ("i", 8, "q"), ("i", 4, "i"), ("i", 2, "h"),
                                            ("u", 2, "H"), ("u", 4, "I"), ("u", 8, "Q"))]
        made += [(1, f"|{code}1", struct.pack(f"<6{letter}", *rows), False, 128) for code, letter in (("i", "b"), ("u", "B"))]
        for i, (version, descr, payload, fortran, size) in enumerate(made):
            with self.subTest(f"{version} {descr} {fortran}"):
                self.write(f"a{i}.npy", array(version, descr, payload, fortran, size))
                self.write(f"a{i}.len", "2\n")
                self.succeeds("retort-copy", f"a{i}.npy", f"ark:a{i}.ark")
                self.assertEqual(self.read(f"a{i}.ark").split(b" ", 1)[1], self.read("plain.ark").split(b" ", 1)[1])
        self.write("big.npy", array(1, ">f4", struct.pack(">6f", *rows)))
        self.fails(1, "big.npy: values of type >f4 are big-endian", "retort-copy", "big.npy", "ark:x.ark")
        self.write("complex.npy", array(1, "<c8", b"x" * 48))
        self.fails(1, "complex.npy: values of type <c8 are not supported", "retort-copy", "complex.npy", "ark:x.ark")


class StageTest(TableTest):
    def setUp(self):
        super().setUp()
        self.make_features()
        self.succeeds("retort-copy", "feats", "ark:f.ark")

    def test_extract_writes_what_the_store_holds(self):
        extract = ["retort-extract", "--model", "mfcc", "corpus.jsonl", "-o"]
        result = self.succeeds(*extract, "ark,scp:e.ark,e.scp")
        self.assertEqual(result.out, "")
        self.assertIn("5 utterances, ", result.err)
        self.assertIn(" frames of 39 values written to ark,scp:e.ark,e.scp", result.err)
        self.assertEqual(self.read("e.ark"), self.read("f.ark"))
        for part in range(3):
            self.succeeds(*extract, f"ark:e.{part}.ark", "--shard", f"{part}/3")
        self.assertEqual(b"".join(self.read(f"e.{part}.ark") for part in range(3)), self.read("f.ark"))
        code, out, err = self.shell("retort-extract --model mfcc corpus.jsonl -o ark:- --progress")
        self.assertEqual((code, out), (0, self.read("f.ark")), err)
        text = self.succeeds(*extract, "ark,t:-").out
        self.write("e.txt", text)
        self.succeeds("retort-copy", "ark:e.txt", "ark:e.4.ark")
        self.assertEqual(self.read("e.4.ark"), self.read("f.ark"))

    def test_extract_refuses(self):
        extract = ["retort-extract", "--model", "mfcc", "corpus.jsonl", "-o"]
        self.fails(2, "in this order", *extract, "scp,ark:a.ark,a.scp")
        self.fails(2, "--dtype f16: a Kaldi table holds f32", *extract, "ark:a.ark", "--dtype", "f16")
        self.fails(1, "f.ark: exists", *extract, "ark:f.ark")
        self.succeeds(*extract, "ark:a.ark", "--dry-run")
        (self.folder / "wav/u2.wav").write_bytes(b"RIFF")
        self.fails(1, "1 of 5 utterances were bad", *extract, "ark:a.ark")
        self.fails(1, "1 of 5 utterances were bad", *extract, "ark,scp:a.ark,a.scp")
        self.leaves_nothing("a.ark", "a.scp")
        result = self.succeeds(*extract, "ark,scp:a.ark,a.scp", "--max-bad", 0.5)
        self.assertIn("4 of 5 utterances written", result.err)
        self.assertEqual(len(self.read("a.scp").splitlines()), 4)

    def test_clusters_of_a_table_are_those_of_the_array(self):
        self.succeeds("retort-copy", "feats", "f.npy")
        cluster = ["retort-cluster", "-k", 5]
        report = json.loads(self.succeeds(*cluster, "f.npy", "-o", "cb-npy").out)
        for spec, output in (("ark:f.ark", "cb-ark"), ("ark,bg:cat f.ark |", "cb-pipe")):
            table = json.loads(self.succeeds(*cluster, spec, "-o", output).out)
            self.assertEqual((table["hash"], table["curve"]), (report["hash"], report["curve"]))
        self.assertIn("nothing to do", self.succeeds(*cluster, "ark:f.ark", "-o", "cb-ark").err)
        self.fails(1, "was made otherwise", *cluster, "ark:float.ark", "-o", "cb-ark")
        self.fails(1, "holds labels, features were expected", *cluster, "ark:labels.ark", "-o", "x")
        self.fails(2, "no option", *cluster, "ark,q:f.ark", "-o", "x")
        self.write("empty.ark", "a [ ]\n")
        self.fails(1, "holds no frames", *cluster, "ark:empty.ark", "-o", "x")
        self.leaves_nothing("x")

    def test_labels_of_a_table_are_those_of_the_store(self):
        self.succeeds("retort-cluster", "-k", 5, "feats", "-o", "cb")
        label = ["retort-label", "--codebook", "cb"]
        self.succeeds(*label, "feats", "-o", "l.txt")
        self.assertEqual(self.succeeds(*label, "feats", "-o", "ark,t:-").out, self.read("l.txt").decode())
        self.assertEqual(self.succeeds(*label, "ark:f.ark", "-o", "ark,t:-").out, self.read("l.txt").decode())
        self.assertEqual(self.succeeds(*label, "ark:f.ark", "-o", "-").out, self.read("l.txt").decode())
        self.succeeds(*label, "--model", "mfcc", "corpus.jsonl", "-o", "ark,scp:l.ark,l.scp")
        self.assertEqual(self.succeeds("retort-copy", "scp:l.scp", "ark,t:-").out, self.read("l.txt").decode())
        for part in range(2):
            self.succeeds(*label, "feats", "-o", f"ark:l.{part}.ark", "--shard", f"{part}/2")
        self.assertEqual(self.read("l.0.ark") + self.read("l.1.ark"), self.read("l.ark"))
        code, out, err = self.shell("retort-extract --model mfcc corpus.jsonl -o ark:- | "
                                    "retort-label --codebook cb ark:- -o ark:-")
        self.assertEqual((code, out), (0, self.read("l.ark")), err)
        self.succeeds(*label, "ark:f.ark", "-o", "labels")
        self.assertEqual(json.loads(self.succeeds("retort-inspect", "--json", "--check", "labels").out)["clusters"], 5)

    def test_label_refuses(self):
        self.succeeds("retort-cluster", "-k", 5, "feats", "-o", "cb")
        label = ["retort-label", "--codebook", "cb"]
        self.fails(2, "a table is labelled whole", *label, "ark:f.ark", "-o", "x", "--shard", "0/2")
        self.fails(2, "for tables that are written", *label, "ark,f:f.ark", "-o", "x")
        self.fails(2, "two files", *label, "ark:f.ark", "-o", "ark,scp:x")
        self.fails(2, "one frame store, .npy or Kaldi table", *label, "ark:f.ark", "ark:f.ark", "-o", "x")
        self.fails(1, "dimension 39, these have 5", *label, "ark:float.ark", "-o", "ark:x.ark")
        self.fails(1, "holds labels, features were expected", *label, "ark:labels.ark", "-o", "ark:x.ark")
        self.write("cut.ark", self.read("f.ark")[:-1])
        self.fails(1, "u4: is cut short", *label, "ark:cut.ark", "-o", "ark,scp:x.ark,x.scp")
        self.leaves_nothing("x", "x.ark", "x.scp")

    def test_units_of_a_table_are_scored_as_those_of_a_store(self):
        self.succeeds("retort-cluster", "-k", 5, "feats", "-o", "cb")
        self.succeeds("retort-label", "--codebook", "cb", "feats", "-o", "labels")
        self.succeeds("retort-label", "--codebook", "cb", "feats", "-o", "ark,t:labels.txt")
        self.write("phones.ctm", "".join(f"u{i} 1 0.00 0.20 A{i % 2}\nu{i} 1 0.20 0.15 B\n" for i in range(5)))
        units = ["retort-evaluate", "units", "--alignments", "phones.ctm", "--labels"]
        store = self.succeeds(*units, "labels", "-o", "store.json").out
        self.assertEqual(self.succeeds(*units, "ark:labels.txt", "--hop", 160, "-o", "table.json").out, store)
        one, two = self.read_json("store.json"), self.read_json("table.json")
        self.assertEqual((one["metrics"], one["counts"]), (two["metrics"], two["counts"]))
        self.assertEqual(self.succeeds(*units, "ark:labels.txt", "--hop", 160, "-o", "table.json").out, store)
        # At the hop of models the labels would be of twice as much audio; then the alignment is too short to be wrong.
        self.succeeds(*units, "ark:labels.txt", "-o", "models.json")
        self.fails(1, "is aligned to", *units, "ark:labels.txt", "--hop", 20, "-o", "x.json")
        self.fails(1, "holds features, labels were expected", *units, "ark:f.ark", "-o", "x.json")
        self.fails(2, "does not say what it was made from", *units, "ark:labels.txt", "--corpus", "corpus.jsonl", "-o",
                   "x.json")
        self.fails(2, "no option", *units, "ark,q:labels.txt", "-o", "x.json")
        self.write("huge.ark", "u0 2147483647\n")
        self.fails(1, "u0 has label 2147483647, more than units can be", *units, "ark:huge.ark", "-o", "x.json")
        self.leaves_nothing("x.json")


class DataDirectoryTest(TableTest):
    """Kaldi data directories whose recordings are commands, with segments."""

    def setUp(self):
        super().setUp()
        stereo = [value for pair in zip(tone(2.0, 220), tone(2.0, 330)) for value in pair]
        write_wav(self.folder / "audio/one.wav", tone(1.5, 150))
        write_wav(self.folder / "audio/two.wav", stereo, channels=2)

    def write_data(self, name, **files):
        (self.folder / name).mkdir()
        for file, lines in files.items():
            self.write(f"{name}/{file.replace('_', '.')}", "".join(line + "\n" for line in lines))

    SEGMENTS = ["s1 one 0.25 1", "s2 one 0.5 -1", "s3 one 1 1.9", "s4 two 0.1 1.1 0", "s5 two 0.1 1.1 1", "s6 two 0.1 1.1"]

    def test_commands_give_what_their_files_give(self):
        for name, recordings in (("plain", ["one audio/one.wav", "two audio/two.wav"]),
                                 ("piped", ["one echo x >> ran; cat audio/one.wav |", "two cat audio/two.wav|"])):
            self.write_data(name, wav_scp=recordings, segments=self.SEGMENTS, utt2spk=["s1 anna", "s2 anna"])
            self.succeeds("retort-prepare", name, "-o", f"{name}.jsonl")
            self.succeeds("retort-extract", "--model", "mfcc", f"{name}.jsonl", "-o", f"ark:{name}.ark", "--threads", 2)
        corpus = [json.loads(line) for line in self.read("piped.jsonl").decode().splitlines()]
        self.assertEqual([(u["id"], u["start"], u["samples"], u["channel"]) for u in corpus],
                         [("s1", 4000, 12000, -1), ("s2", 8000, 16000, -1), ("s3", 16000, 8000, -1), ("s4", 1600, 16000, 0),
                          ("s5", 1600, 16000, 1), ("s6", 1600, 16000, -1)])
        self.assertEqual(corpus[0]["path"], "echo x >> ran; cat audio/one.wav |")
        self.assertEqual(corpus[0]["speaker"], "anna")
        self.assertEqual(self.read("piped.ark"), self.read("plain.ark"))
        # Once to prepare and once to extract, not once per segment.
        self.assertEqual(self.read("ran").decode().split(), ["x", "x"])
        self.assertIn("commands                     6", self.succeeds("retort-inspect", "--check", "piped.jsonl").out)
        self.assertNotIn("commands", self.succeeds("retort-inspect", "plain.jsonl").out)
        self.write("l.ark", "s1 1\n")
        self.fails(1, "comes from a command", "retort-copy", "ark:l.ark", "x.tsv", "--corpus", "piped.jsonl")
        self.leaves_nothing("x.tsv")

    def test_lengths_that_a_pipe_could_not_fill_in_are_no_fault(self):
        data = bytearray(self.read("audio/one.wav"))
        data[4:8] = data[40:44] = b"\xff\xff\xff\xff"
        self.write("open.wav", bytes(data))
        self.write_data("data", wav_scp=["one cat open.wav |"])
        self.succeeds("retort-prepare", "data", "-o", "c.jsonl")
        self.assertEqual(json.loads(self.read("c.jsonl"))["samples"], 24000)

    def test_commands_that_fail_are_bad_utterances(self):
        data = self.read("audio/one.wav")
        self.write("cut.wav", data[:3000])
        self.write_data("data", wav_scp=["a cat audio/one.wav |", "b cat audio/one.wav; exit 3 |", "c true |",
                                         "d cat cut.wav |", "e echo hello |", "f kill -9 $$ |"])
        result = self.succeeds("retort-prepare", "data", "-o", "c.jsonl", "--max-bad", 1)
        self.assertEqual([json.loads(line)["id"] for line in self.read("c.jsonl").decode().splitlines()], ["a"])
        rejected = {r["id"]: r for r in map(json.loads, self.read("c.rejected.jsonl").decode().splitlines())}
        self.assertEqual({key: r["reason"] for key, r in rejected.items()},
                         {"b": "command-failed", "c": "empty", "d": "truncated", "e": "not-audio", "f": "command-failed"})
        self.assertEqual(rejected["b"]["message"], "the command failed (exit code 3)")
        self.assertEqual(rejected["f"]["message"], "the command failed (signal 9)")
        self.assertIn("skipping b: cat audio/one.wav; exit 3 |: the command failed (exit code 3)", result.err)

    def test_segments_that_are_no_use_are_named(self):
        self.write_data("data", wav_scp=["one cat audio/one.wav |"], segments=[
            "ok one 0 1", "over one 1 2.1", "beyond one 1.6 2", "short one 0.5 0.59", "back one 1 0.5", "chan one 0 1 1"])
        self.succeeds("retort-prepare", "data", "-o", "c.jsonl", "--max-bad", 1)
        rejected = [json.loads(line) for line in self.read("c.rejected.jsonl").decode().splitlines()]
        self.assertEqual([(r["id"], r["reason"]) for r in rejected],
                         [("over", "bad-segment"), ("beyond", "bad-segment"), ("short", "too-short"), ("back", "bad-segment"),
                          ("chan", "no-such-channel")])
